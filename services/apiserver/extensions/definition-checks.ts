// What the schema of a CustomResourceDefinition must be like: structural, so that objects can be pruned, completed and merged by it.
// Source: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go (ValidateCustomResourceDefinitionOpenAPISchema,
// specStandardValidatorV3), pkg/apiserver/schema/{validation,complete}.go.
import { RE2JS, RE2JSException } from 're2js';
import type { CustomResourceDefinition, JSONSchemaProps } from '#lib/kinds/types/apiextensions-v1.ts';
import { fieldErrorText, forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { invalidObject } from '#lib/machinery/status-error.ts';
import { isKind, type AdmissionPlugin } from '../core/admission/admission.ts';
import { jsonEqual } from '../core/patch/json-value.ts';
import { isSchema, schemaErrors } from './structural-schema.ts';

type Schema = Readonly<JSONSchemaProps>;
/** Where a schema stands: what is missing there is missing in other words. */
type Level = 'root' | 'items' | 'field';

const TYPES: readonly string[] = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const NOT_SUPPORTED = ['id', 'additionalItems', 'patternProperties', 'definitions', 'dependencies', '$ref'] as const;
const OF_ANY_OBJECT: ReadonlySet<string> = new Set(['metadata', 'apiVersion', 'kind']);
/** Of these a schema may only say more than once what values are allowed, not what there is. */
const STRUCTURE = {
  'type': 'must be empty to be structural', 'additionalProperties': 'must be undefined to be structural', 'default': 'must be undefined to be structural',
  'title': 'must be empty to be structural', 'description': 'must be empty to be structural', 'nullable': 'must be false to be structural',
  'x-kubernetes-preserve-unknown-fields': 'must be false to be structural', 'x-kubernetes-embedded-resource': 'must be false to be structural',
  'x-kubernetes-int-or-string': 'must be false to be structural', 'x-kubernetes-list-map-keys': 'must be empty to be structural',
  'x-kubernetes-list-type': 'must be undefined to be structural', 'x-kubernetes-map-type': 'must be undefined to be structural',
  'x-kubernetes-validations': 'must be empty to be structural',
} as const;
const INT_OR_STRING = [{ type: 'integer' }, { type: 'string' }];

const isSet = (value: unknown): boolean => value !== undefined && value !== null && value !== false && value !== '' && !(Array.isArray(value) && value.length === 0);
/** Of these what is false or empty is something too. */
const VALUES: ReadonlySet<string> = new Set(['additionalProperties', 'default']);
const isGiven = (name: string, value: unknown): boolean => (VALUES.has(name) ? value !== undefined : isSet(value));
const itemsOf = ({ items }: Schema): Schema | undefined => (isSchema(items) ? items : undefined);
const valuesOf = ({ additionalProperties }: Schema): Schema | undefined => (isSchema(additionalProperties) ? additionalProperties : undefined);
const propertiesOf = ({ properties = {} }: Schema): [string, Schema][] => Object.entries(properties);
const propertyOf = ({ properties }: Schema, name: string): Schema | undefined => (properties && Object.hasOwn(properties, name) ? properties[name] : undefined);

/** Each schema that only allows or forbids values of the one given, with its path. */
function junctors({ allOf = [], anyOf = [], oneOf = [], not }: Schema, path: string): [Schema, string][] {
  const parts = Object.entries({ allOf, anyOf, oneOf }).flatMap(([name, schemas]) => schemas.map((schema, at): [Schema, string] => [schema, `${path}.${name}[${at}]`]));
  return not === undefined ? parts : [...parts, [not, `${path}.not`]];
}

interface Place {
  readonly isRoot?: boolean;
  readonly isInMetadata?: boolean;
  /** Why there may be no defaults. */
  readonly noDefaults?: string | undefined;
}

/** What OpenAPI knows and custom resources do not, and the types of lists and maps. */
function openApiErrors(schema: Schema, path: string, place: Place): FieldError[] {
  const { type = '', 'x-kubernetes-list-map-keys': mapKeys = [], 'x-kubernetes-list-type': listType } = schema;
  const errors: FieldError[] = [];
  if (type === 'null') errors.push(forbidden(`${path}.type`, 'type cannot be set to null, use nullable as an alternative'));
  else if (type !== '' && !TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, TYPES));
  if (schema.default !== undefined && place.noDefaults !== undefined) errors.push(forbidden(`${path}.default`, `must not be set ${place.noDefaults}`));
  for (const name of NOT_SUPPORTED) if (isSet(schema[name])) errors.push(forbidden(`${path}.${name}`, `${name} is not supported`));
  if (Array.isArray(schema.items)) errors.push(forbidden(`${path}.items`, 'items must be a schema object and not an array'));
  if (place.isInMetadata && schema['x-kubernetes-embedded-resource']) errors.push(forbidden(`${path}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta'));
  if (schema.uniqueItems) errors.push(forbidden(`${path}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'));
  const more = schema.additionalProperties as unknown;
  if (propertiesOf(schema).length > 0 && (more === false || isSchema(more))) errors.push(forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'));
  const values = valuesOf(schema);
  if (values) errors.push(...openApiErrors(values, `${path}.additionalProperties`, { ...inner(place), ...(place.isInMetadata ? { noDefaults: 'inside additionalProperties applying to object metadata' } : {}) }));
  for (const [name, property] of propertiesOf(schema)) {
    const isMeta = (place.isRoot === true || schema['x-kubernetes-embedded-resource'] === true) && OF_ANY_OBJECT.has(name);
    errors.push(...openApiErrors(property, `${path}.properties[${name}]`, { ...inner(place), ...(isMeta ? { isInMetadata: true } : {}), ...(isMeta && place.isRoot ? { noDefaults: `in top-level ${name}` } : {}) }));
  }
  for (const [part, at] of junctors(schema, path)) errors.push(...openApiErrors(part, at, inner(place)));
  const items = itemsOf(schema);
  if (items) errors.push(...openApiErrors(items, `${path}.items`, inner(place)));
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) errors.push(invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'));
  errors.push(...listTypeErrors(schema, path), ...mapTypeErrors(schema, path));
  if (mapKeys.length > 0 && listType !== 'map') {
    const detail = 'must be map if x-kubernetes-list-map-keys is non-empty';
    errors.push(listType === undefined ? required(`${path}.x-kubernetes-list-type`, detail) : invalid(`${path}.x-kubernetes-list-type`, listType, detail));
  }
  return errors;
}
const inner = ({ isInMetadata = false, noDefaults }: Place): Place => ({ isInMetadata, noDefaults });

const wrongType = (path: string, type: string, detail: string): FieldError => (type === '' ? required(`${path}.type`, detail) : invalid(`${path}.type`, type, detail));

function mapTypeErrors({ type = '', 'x-kubernetes-map-type': mapType }: Schema, path: string): FieldError[] {
  if (mapType === undefined) return [];
  return [
    ...(type === 'object' ? [] : [wrongType(path, type, 'must be object if x-kubernetes-map-type is specified')]),
    ...(mapType === 'atomic' || mapType === 'granular' ? [] : [notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular'])]),
  ];
}

function listTypeErrors(schema: Schema, path: string): FieldError[] {
  const { type = '', 'x-kubernetes-list-type': listType } = schema;
  if (listType === undefined) return [];
  const errors: FieldError[] = [];
  const items = itemsOf(schema);
  if (type !== 'array') errors.push(wrongType(path, type, 'must be array if x-kubernetes-list-type is specified'));
  else if (listType === 'set' && items) {
    const { 'x-kubernetes-list-type': innerList, 'x-kubernetes-map-type': innerMap } = items;
    const detail = 'must be atomic as item of a list with x-kubernetes-list-type=set';
    if (items.type === 'array' && innerList !== undefined && innerList !== 'atomic') errors.push(invalid(`${path}.items.x-kubernetes-list-type`, innerList, detail));
    if (items.type === 'object' && innerMap !== 'atomic') errors.push(invalid(`${path}.items.x-kubernetes-map-type`, innerList, detail));
  }
  if (!['atomic', 'set', 'map'].includes(listType)) errors.push(notSupported(`${path}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']));
  if (listType === 'map') errors.push(...mapListErrors(schema, items, path));
  if ((listType === 'map' || listType === 'set') && items?.nullable) errors.push(forbidden(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`));
  return errors;
}

function mapListErrors({ 'x-kubernetes-list-map-keys': keys = [] }: Schema, items: Schema | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const at = `${path}.x-kubernetes-list-map-keys`;
  if (keys.length === 0) errors.push(required(at, 'must not be empty if x-kubernetes-list-type is map'));
  if (!items) return [...errors, required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map')];
  if (items.type !== 'object') return [...errors, invalid(`${path}.items.type`, items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map")];
  keys.forEach((key, index) => {
    const property = propertyOf(items, key);
    const field = `${path}.items.properties[${key}]`;
    if (!property) errors.push(invalid(at, keys, 'entries must all be names of item properties'));
    else if (property.type === 'array' || property.type === 'object') errors.push(invalid(`${field}.type`, items.type, "must be a scalar type if parent array's x-kubernetes-list-type is map"));
    if (keys.indexOf(key) < index) errors.push(invalid(at, keys, 'must not contain duplicate entries'));
    if (property && !items.required?.includes(key) && property.default === undefined) errors.push(required(`${field}.default`, 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'));
    if (property?.nullable) errors.push(forbidden(`${field}.nullable`, 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'));
  });
  return errors;
}

function patternErrors({ pattern = '' }: Schema, path: string): FieldError[] {
  if (pattern === '') return [];
  try {
    RE2JS.compile(pattern);
    return [];
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return [invalid(`${path}.pattern`, pattern, `must be a valid regular expression, but isn't: ${error.message}`)];
  }
}

const EMPTY_TYPE: Readonly<Record<Level, string>> = { root: 'must not be empty at the root', items: 'must not be empty for specified array items', field: 'must not be empty for specified object fields' };

function structureErrors(schema: Schema, level: Level, path: string): FieldError[] {
  const { type = '', 'x-kubernetes-embedded-resource': isEmbedded = false, 'x-kubernetes-int-or-string': isIntOrString = false, 'x-kubernetes-preserve-unknown-fields': keepsUnknown = false } = schema;
  const errors: FieldError[] = [];
  const [items, values] = [itemsOf(schema), valuesOf(schema)];
  if (type === 'array' && !items) errors.push(required(`${path}.items`, 'must be specified'));
  if (items) errors.push(...structureErrors(items, 'items', `${path}.items`));
  for (const [name, property] of propertiesOf(schema)) errors.push(...structureErrors(property, 'field', `${path}.properties[${name}]`));
  if (schema.additionalProperties !== undefined && level === 'root') errors.push(forbidden(`${path}.additionalProperties`, 'must not be used at the root'));
  if (values) errors.push(...structureErrors(values, 'field', `${path}.additionalProperties`));
  if (isIntOrString && keepsUnknown) errors.push(invalid(`${path}.x-kubernetes-preserve-unknown-fields`, true, 'must be false if x-kubernetes-int-or-string is true'));
  if (isIntOrString && isEmbedded) errors.push(invalid(`${path}.x-kubernetes-embedded-resource`, true, 'must be false if x-kubernetes-int-or-string is true'));
  errors.push(...patternErrors(schema, path), ...partErrors(schema, path));
  if (isEmbedded && type !== 'object') errors.push(wrongType(path, type, 'must be object if x-kubernetes-embedded-resource is true'));
  else if (type === '' && !isIntOrString && !keepsUnknown && level !== 'root') errors.push(required(`${path}.type`, EMPTY_TYPE[level])); // the root's is looked at with the definition
  if (isEmbedded && schema.additionalProperties !== undefined) errors.push(forbidden(`${path}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set'));
  if (isEmbedded && !keepsUnknown && propertiesOf(schema).length === 0) errors.push(required(`${path}.properties`, 'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'));
  if (level === 'root' || isEmbedded) errors.push(...objectFieldErrors(schema, level, path));
  return errors;
}

/** apiVersion, kind and metadata of whole objects. */
function objectFieldErrors(schema: Schema, level: Level, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['kind', 'apiVersion']) {
    const property = propertyOf(schema, name);
    if (property && property.type !== 'string') errors.push(invalid(`${path}.properties[${name}].type`, property.type ?? '', 'must be string'));
  }
  const metadata = propertyOf(schema, 'metadata');
  if (!metadata) return errors;
  const at = `${path}.properties[metadata]`;
  if (metadata.type !== 'object') errors.push(invalid(`${at}.type`, metadata.type ?? '', 'must be object'));
  const { type: _type, default: _default, properties = {}, ...others } = metadata;
  const isMore = Object.values(others).some(isSet) || Object.keys(properties).some((name) => name !== 'name' && name !== 'generateName');
  if (level === 'root' && isMore) errors.push(forbidden(at, 'must not specify anything other than name and generateName, but metadata is implicitly specified'));
  return errors;
}

/** Of allOf, anyOf, oneOf and not, but for the two ways to say once more that a value is an integer or a string. */
function partErrors(schema: Schema, path: string): FieldError[] {
  return junctors(schema, path).flatMap(([part, at]) => {
    if (at.startsWith(`${path}.anyOf[`) && jsonEqual(schema.anyOf, INT_OR_STRING)) return [];
    return nestedErrors(part, at, at === `${path}.allOf[0]` && jsonEqual(part.anyOf, INT_OR_STRING));
  });
}

function nestedErrors(schema: Schema, path: string, mayBeIntOrString = false): FieldError[] {
  const items = itemsOf(schema);
  return [
    ...patternErrors(schema, path),
    ...junctors(schema, path).flatMap(([part, at]) => (mayBeIntOrString && at.startsWith(`${path}.anyOf[`) ? [] : nestedErrors(part, at))),
    ...(items ? nestedErrors(items, `${path}.items`) : []),
    ...propertiesOf(schema).flatMap(([name, property]) => nestedErrors(property, `${path}.properties[${name}]`)),
    ...Object.entries(STRUCTURE).flatMap(([name, detail]) => (isGiven(name, schema[name as keyof typeof STRUCTURE]) ? [forbidden(`${path}.${name}`, detail)] : [])),
    ...(propertyOf(schema, 'metadata') ? [forbidden(`${path}.properties[metadata]`, 'must not be specified in a nested context')] : []),
  ];
}

/** What values are checked of has to be described. */
function completenessErrors(schema: Schema, path: string): FieldError[] {
  const [items, values] = [itemsOf(schema), valuesOf(schema)];
  return [
    ...junctors(schema, path).flatMap(([part, at]) => missingErrors(part, at, schema, path)),
    ...(items ? completenessErrors(items, `${path}.items`) : []),
    ...propertiesOf(schema).flatMap(([name, property]) => completenessErrors(property, `${path}.properties[${name}]`)),
    ...(values ? completenessErrors(values, `${path}.additionalProperties`) : []),
  ];
}
function missingErrors(part: Schema, at: string, schema: Schema | undefined, path: string): FieldError[] {
  if (!schema) return [required(path, `because it is defined in ${at}`)];
  const items = itemsOf(part);
  return [
    ...junctors(part, at).flatMap(([inside, where]) => missingErrors(inside, where, schema, path)),
    ...(items ? missingErrors(items, `${at}.items`, itemsOf(schema), `${path}.items`) : []),
    ...propertiesOf(part).flatMap(([name, property]) => missingErrors(property, `${at}.properties[${name}]`, propertyOf(schema, name), `${path}.properties[${name}]`)),
  ];
}

/** Defaults that their own schema refuses. */
function defaultErrors(schema: Schema, path: string): FieldError[] {
  const [items, values] = [itemsOf(schema), valuesOf(schema)];
  return [
    ...(schema.default === undefined ? [] : schemaErrors(schema.default, schema, `${path}.default`)),
    ...(items ? defaultErrors(items, `${path}.items`) : []),
    ...propertiesOf(schema).flatMap(([name, property]) => defaultErrors(property, `${path}.properties[${name}]`)),
    ...(values ? defaultErrors(values, `${path}.additionalProperties`) : []),
  ];
}

const textOrder = (a: FieldError, b: FieldError): number => (fieldErrorText(a) < fieldErrorText(b) ? -1 : 1);

/** Of the schemas of all versions. */
export function definitionErrors({ spec }: Readonly<CustomResourceDefinition>): FieldError[] {
  return spec.versions.flatMap(({ schema }, index) => {
    const root = schema?.openAPIV3Schema;
    if (!root) return [];
    const path = `spec.versions[${index}].schema.openAPIV3Schema`;
    const errors = [...openApiErrors(root, path, { isRoot: true }), ...[...structureErrors(root, 'root', path), ...completenessErrors(root, path)].toSorted(textOrder)];
    return errors.length > 0 ? errors : defaultErrors(root, path);
  });
}

/** Refuses definitions whose schemas cannot be put to use; what was wrong before a change may stay so. */
export const definitionChecks: AdmissionPlugin = {
  name: 'CustomResourceDefinitionSchemas',
  validate(attributes) {
    const { kind, object, previous, subresource } = attributes;
    if (!object || subresource !== '' || !isKind(attributes, 'apiextensions.k8s.io', 'CustomResourceDefinition')) return;
    const before = new Set(previous ? definitionErrors(previous as CustomResourceDefinition).map(fieldErrorText) : []);
    const errors = definitionErrors(object as CustomResourceDefinition).filter((error) => !before.has(fieldErrorText(error)));
    if (errors.length > 0) throw invalidObject(kind, object.metadata.name, errors);
  },
};
