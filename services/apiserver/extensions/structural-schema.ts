// The schema of a custom resource put to use: its structure in the form of the built-in definitions (which decodes, prunes
// and merges), its defaults, and the checks of values.
// Source: apiextensions-apiserver pkg/apiserver/{schema/defaulting,schema/pruning,validation}; kube-openapi pkg/validation.
import { RE2JS, RE2JSException } from 're2js';
import type { ListKeys, SchemaDefinition } from '#lib/kinds/openapi/schemas.ts';
import type { JSONSchemaProps } from '#lib/kinds/types/apiextensions-v1.ts';
import { invalid, notSupported, required, tooMany, type FieldError } from '#lib/machinery/field-error.ts';
import { jsonEqual } from '../core/patch/json-value.ts';

const META = 'ref:io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const SCALARS: Readonly<Record<string, string>> = { string: 'string', integer: 'int64', number: 'number', boolean: 'bool' };

export interface Definitions {
  readonly definitions: Record<string, SchemaDefinition>;
  readonly keys: Record<string, Record<string, ListKeys>>;
}

export const isSchema = (value: unknown): value is JSONSchemaProps => typeof value === 'object' && value !== null && !Array.isArray(value);
const hasProperties = (schema: JSONSchemaProps): boolean => Object.keys(schema.properties ?? {}).length > 0;

/** `name`: of the root; the others are named below it. */
export function definitionsOf(root: JSONSchemaProps, name: string): Definitions {
  const definitions: Record<string, SchemaDefinition> = {};
  const keys: Record<string, Record<string, ListKeys>> = {};
  let count = 0;

  const typeOf = (schema: unknown): string => {
    if (!isSchema(schema)) return 'any';
    if (schema['x-kubernetes-int-or-string']) return 'int-or-string';
    if (schema['x-kubernetes-preserve-unknown-fields'] || schema['x-kubernetes-embedded-resource']) return schema.type === 'object' ? 'object' : 'any';
    if (schema.type === 'array') return `[]${typeOf(schema.items)}`;
    if (schema.type !== 'object') return SCALARS[schema.type ?? ''] ?? 'any';
    const more = schema.additionalProperties as unknown;
    if (!hasProperties(schema) && more !== undefined) return more === true ? 'object' : more === false ? struct(schema) : `map:${typeOf(more)}`;
    return struct(schema);
  };
  const struct = (schema: JSONSchemaProps, at = `${name}.${(count += 1)}`): string => {
    const fields: Record<string, string> = {};
    const own: Record<string, ListKeys> = {};
    definitions[at] = { fields };
    keys[at] = own;
    for (const [field, value] of Object.entries(schema.properties ?? {})) {
      fields[field] = `${typeOf(value)}!`; // an empty list or map of a custom resource is kept
      const listType = value['x-kubernetes-list-type'];
      const mapType = value['x-kubernetes-map-type'];
      const listMapKeys = value['x-kubernetes-list-map-keys'];
      own[field] = { ...(listType === undefined ? {} : { listType }), ...(mapType === undefined ? {} : { mapType }), ...(listMapKeys === undefined ? {} : { listMapKeys }) };
    }
    return `ref:${at}`;
  };

  if (root['x-kubernetes-preserve-unknown-fields'] && !hasProperties(root)) {
    // everything is kept: of what nobody describes only spec and status can be told
    definitions[name] = { fields: { spec: 'any', status: 'any' } };
  } else struct(root, name);
  Object.assign(definitions[name]?.fields ?? {}, { apiVersion: 'string', kind: 'string', metadata: META });
  return { definitions, keys };
}

/** Fills in what is missing, at every depth that is there. */
export function fillDefaults(value: unknown, schema: JSONSchemaProps | undefined): void {
  if (!schema || typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    if (isSchema(schema.items)) for (const item of value) fillDefaults(item, schema.items);
    return;
  }
  const object = value as Record<string, unknown>;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (name === '__proto__') continue;
    if (object[name] === undefined && property.default !== undefined) object[name] = structuredClone(property.default);
    fillDefaults(object[name], property);
  }
  const more = schema.additionalProperties as unknown;
  if (isSchema(more)) for (const [name, item] of Object.entries(object)) if (!propertyOf(schema, name)) fillDefaults(item, more);
}

/** Of the schema's own: an object may have a field called `constructor`. */
const propertyOf = ({ properties }: JSONSchemaProps, name: string): JSONSchemaProps | undefined => (properties && Object.hasOwn(properties, name) ? properties[name] : undefined);

const patterns = new Map<string, RE2JS | undefined>();
/** Go's expressions, matched in a time that grows with the length only. One that is none checks nothing. */
function patternOf(text: string): RE2JS | undefined {
  if (!patterns.has(text)) {
    if (patterns.size > 500) patterns.clear();
    try {
      patterns.set(text, RE2JS.compile(text));
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
      patterns.set(text, undefined);
    }
  }
  return patterns.get(text);
}

function scalarErrors(value: unknown, schema: JSONSchemaProps, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (text: string): void => void errors.push(invalid(path, value, `${path} in body ${text}`));
  if (schema.enum && !schema.enum.some((one) => jsonEqual(one, value))) {
    errors.push(notSupported(path, value, schema.enum.map((one) => (typeof one === 'string' ? one as string : JSON.stringify(one)))));
  }
  if (typeof value === 'string') {
    const length = [...value].length;
    if (schema.maxLength !== undefined && length > schema.maxLength) errors.push({ type: 'FieldValueTooLong', field: path, body: `Too long: may not be more than ${schema.maxLength} bytes` });
    if (schema.minLength !== undefined && length < schema.minLength) refuse(`should be at least ${schema.minLength} chars long`);
    if (schema.pattern !== undefined && patternOf(schema.pattern)?.matcher(value).find() === false) refuse(`should match '${schema.pattern}'`);
  }
  if (typeof value === 'number') {
    const { minimum, maximum, multipleOf } = schema;
    if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) refuse(schema.exclusiveMaximum ? `should be less than ${maximum}` : `should be less than or equal to ${maximum}`);
    if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) refuse(schema.exclusiveMinimum ? `should be greater than ${minimum}` : `should be greater than or equal to ${minimum}`);
    if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) refuse(`should be a multiple of ${multipleOf}`);
  }
  return errors;
}

function typeNameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

/** Undefined when the value is of the type. Source: apiextensions-apiserver pkg/apiserver/validation; go-openapi's type validator. */
function typeError(value: unknown, { type, 'x-kubernetes-int-or-string': isIntOrString }: JSONSchemaProps, path: string): FieldError | undefined {
  const is = typeNameOf(value);
  const allowed = isIntOrString ? ['integer', 'string'] : type === undefined || type === '' ? [] : [type];
  if (allowed.length === 0 || allowed.includes(is) || (type === 'number' && is === 'integer')) return undefined;
  return invalid(path === '' ? '<nil>' : path, is, `${path} in body must be of type ${allowed.join(',')}: ${JSON.stringify(is)}`);
}

/** What the values break, in the words of upstream's validator. */
export function schemaErrors(value: unknown, schema: JSONSchemaProps | undefined, path: string): FieldError[] {
  if (!schema || value === undefined || value === null) return [];
  const wrongType = path === '' ? undefined : typeError(value, schema, path);
  if (wrongType) return [wrongType];
  const errors = scalarErrors(value, schema, path);
  if (Array.isArray(value)) {
    if (schema.maxItems !== undefined && value.length > schema.maxItems) errors.push(tooMany(path, value.length, schema.maxItems));
    if (schema.minItems !== undefined && value.length < schema.minItems) errors.push(invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`));
    if (schema['x-kubernetes-list-type'] === 'set' || schema.uniqueItems) {
      value.forEach((item, index) => {
        if (value.slice(0, index).some((other) => jsonEqual(other, item))) errors.push({ type: 'FieldValueDuplicate', field: `${path}[${index}]`, body: `Duplicate value: ${JSON.stringify(item)}` });
      });
    }
    const { items } = schema as { items?: unknown };
    if (isSchema(items)) errors.push(...value.flatMap((item, index) => schemaErrors(item, items, `${path}[${index}]`)));
  } else if (typeof value === 'object') {
    const object = value as Record<string, unknown>;
    const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
    const count = Object.keys(object).length;
    if (schema.maxProperties !== undefined && count > schema.maxProperties) errors.push(tooMany(path, count, schema.maxProperties));
    if (schema.minProperties !== undefined && count < schema.minProperties) errors.push(invalid(path, count, `${path} in body should have at least ${schema.minProperties} properties`));
    for (const name of schema.required ?? []) if (object[name] === undefined) errors.push(required(at(name)));
    for (const [name, property] of Object.entries(schema.properties ?? {})) if (Object.hasOwn(object, name)) errors.push(...schemaErrors(object[name], property, at(name)));
    const more = schema.additionalProperties as unknown;
    if (isSchema(more)) for (const [name, item] of Object.entries(object)) if (!propertyOf(schema, name)) errors.push(...schemaErrors(item, more, at(name)));
  }
  for (const part of schema.allOf ?? []) errors.push(...schemaErrors(value, part, path));
  if (schema.anyOf && !schema['x-kubernetes-int-or-string'] && schema.anyOf.every((part) => schemaErrors(value, part, path).length > 0)) errors.push(invalid(path, '', `${path} in body must validate at least one schema (anyOf)`));
  if (schema.oneOf && schema.oneOf.filter((part) => schemaErrors(value, part, path).length === 0).length !== 1) errors.push(invalid(path, '', `${path} in body must validate one and only one schema (oneOf)`));
  if (schema.not && schemaErrors(value, schema.not, path).length === 0) errors.push(invalid(path, '', `${path} in body must not validate the schema (not)`));
  return errors;
}
