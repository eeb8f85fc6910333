// Texts for types, fields and parameters, as the build has written them beside the programs (scripts/openapi-descriptions.ts).

export interface DefinitionTexts {
  /** `''` is the type itself, other keys are its fields. */
  readonly texts: Readonly<Record<string, string>>;
  /** The values a field may have. */
  readonly enums?: Readonly<Record<string, readonly string[]>>;
}

export interface Descriptions {
  readonly definitions: Readonly<Record<string, DefinitionTexts | undefined>>;
  /** By name; `patch.NAME` where it means something else for a patch. */
  readonly parameters: Readonly<Record<string, string | undefined>>;
}

export const NO_DESCRIPTIONS: Descriptions = { definitions: {}, parameters: {} };
