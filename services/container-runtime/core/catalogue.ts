// The built-in images: what a node can run without a registry. The data is images/catalogue.json.
import { formatImageReference, type ImageReference } from './image-reference.ts';

/** One entry of the catalogue: an image under one or several names, with its tags. */
export interface CatalogueEntry {
  /** Normalised, without tag: docker.io/library/nginx. */
  readonly repositories: readonly string[];
  /** The version that each tag stands for; `*` accepts any tag, its version is the tag. */
  readonly tags: Readonly<Record<string, string>>;
  /** Folders below images/layers, topmost first, above the node's own programs. */
  readonly layers: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  /** `{version}` is replaced. */
  readonly environment?: readonly string[];
  readonly workingDirectory?: string;
  readonly user?: string;
  readonly stopSignal?: string;
  /** Programs that the node must have, by path; `*` is any one name. */
  readonly needs?: readonly string[];
  /** Debian's packages that have them. */
  readonly packages?: readonly string[];
  /** Small files that depend on the version or on what the node has. */
  readonly files?: readonly CatalogueFile[];
  /** Whether the project's own bundles show at /opt/kubreak. */
  readonly bundles?: boolean;
}

export interface CatalogueFile {
  readonly path: string;
  readonly text?: string;
  /** Where it leads, when it is a symbolic link (which the layers, being packed by npm, cannot hold). */
  readonly link?: string;
  /** Only where the node has this file. */
  readonly ifNodeHas?: string;
}

export interface CatalogueImage {
  readonly entry: CatalogueEntry;
  readonly reference: string;
  readonly version: string;
}

export function findInCatalogue(entries: readonly CatalogueEntry[], reference: ImageReference): CatalogueImage | undefined {
  if (reference.digest !== '') return undefined;
  for (const entry of entries) {
    if (!entry.repositories.includes(reference.repository)) continue;
    const version = entry.tags[reference.tag] ?? (entry.tags['*'] === undefined ? undefined : reference.tag);
    if (version !== undefined) return { entry, reference: formatImageReference(reference), version };
  }
  return undefined;
}

/** Why an image that the catalogue has cannot run here, and what would help. */
export const missingProgramText = (reference: string, program: string, packages: readonly string[]): string =>
  `${imageNotFoundText(reference)} (the built-in image runs ${program} of the node, which is not installed${packages.length > 0 ? `: apt-get install ${packages.join(' ')}` : ''})`;

/** containerd's words for an image that no registry has. */
export const imageNotFoundText = (reference: string): string =>
  `failed to pull and unpack image "${reference}": failed to resolve reference "${reference}": ${reference}: not found`;
