import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CustomResourceDefinition, JSONSchemaProps } from '#lib/kinds/types/apiextensions-v1.ts';
import { fieldErrorText } from '#lib/machinery/field-error.ts';
import { definitionErrors } from './definition-checks.ts';

const AT = 'spec.versions[0].schema.openAPIV3Schema';
const definition = (openAPIV3Schema: unknown): CustomResourceDefinition => ({
  apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'xs.example.com' },
  spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'xs', kind: 'X' }, versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: openAPIV3Schema as JSONSchemaProps } }] },
} as CustomResourceDefinition);
const errorsOf = (schema: unknown): string[] => definitionErrors(definition(schema)).map(fieldErrorText).map((text) => text.replaceAll(AT, '@'));
const object = (properties: object, rest: object = {}) => ({ type: 'object', properties, ...rest });

test('what tools generate is accepted', () => {
  const port = { 'x-kubernetes-int-or-string': true, 'anyOf': [{ type: 'integer' }, { type: 'string' }], 'pattern': '^\\d+$' };
  const quantity = { 'x-kubernetes-int-or-string': true, 'allOf': [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }, { pattern: '^[0-9]+$' }] };
  const conditions = { 'type': 'array', 'items': object({ type: { type: 'string' } }, { required: ['type'] }), 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] };
  const template = { 'type': 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true };
  const oneOf = object({ a: { type: 'string' }, b: { type: 'integer', default: 3 } }, { oneOf: [{ required: ['a'] }, { required: ['b'], properties: { b: { minimum: 2 } } }] });
  const anything = { 'x-kubernetes-preserve-unknown-fields': true };
  assert.deepEqual(errorsOf(object({
    apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: { type: 'object' }, status: object({ conditions }),
    spec: object({ port, quantity, template, oneOf, anything, labels: { type: 'object', additionalProperties: { type: 'string' } } }),
  }, { description: 'An X.', required: ['spec'] })), []);
});

test('a schema is structural: all that is there has a type, and only one place says so', () => {
  assert.deepEqual(errorsOf(object({ a: {}, list: { type: 'array' }, items: { type: 'array', items: {} }, b: { type: 'string', allOf: [{ type: 'string', description: 'x', minLength: 1 }] } }, { additionalProperties: true })), [
    '@.additionalProperties: Forbidden: must not be used at the root',
    '@.properties[a].type: Required value: must not be empty for specified object fields',
    '@.properties[b].allOf[0].description: Forbidden: must be empty to be structural',
    '@.properties[b].allOf[0].type: Forbidden: must be empty to be structural',
    '@.properties[items].items.type: Required value: must not be empty for specified array items',
    '@.properties[list].items: Required value: must be specified',
  ]);
  assert.deepEqual(errorsOf(object({ a: { type: 'string' } }, { allOf: [{ properties: { b: { minLength: 1 } } }], anyOf: [{ items: { minLength: 1 } }] })), [
    '@.items: Required value: because it is defined in @.anyOf[0].items',
    '@.properties[b]: Required value: because it is defined in @.allOf[0].properties[b]',
  ]);
});

test('of an object itself a schema can only restrict the name', () => {
  assert.deepEqual(errorsOf(object({ kind: { type: 'integer' }, metadata: object({ name: { type: 'string', pattern: '^x' } }) })), ['@.properties[kind].type: Invalid value: "integer": must be string']);
  assert.deepEqual(errorsOf(object({ metadata: object({ labels: { type: 'object' } }), spec: object({}, { not: { properties: { metadata: {} } } }) })), [
    '@.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified',
    '@.properties[spec].not.properties[metadata]: Forbidden: must not be specified in a nested context',
    '@.properties[spec].properties[metadata]: Required value: because it is defined in @.properties[spec].not.properties[metadata]',
  ]);
  assert.deepEqual(errorsOf(object({ spec: { 'type': 'object', 'x-kubernetes-embedded-resource': true } })), ['@.properties[spec].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields']);
});

test('patterns are regular expressions of Go', () => {
  assert.deepEqual(errorsOf(object({ foo: { type: 'string', pattern: '+' } })), ["@.properties[foo].pattern: Invalid value: \"+\": must be a valid regular expression, but isn't: error parsing regexp: missing argument to repetition operator: `+`"]);
  assert.deepEqual(errorsOf(object({ foo: { type: 'string', pattern: '(?=x)' } })).length, 1);
});

test('what OpenAPI has and custom resources have not', () => {
  assert.deepEqual(errorsOf(object({
    a: { $ref: '#/x', type: 'string' }, b: { type: 'null' }, c: { type: 'file' }, d: { type: 'array', items: [{ type: 'string' }] }, e: { type: 'array', items: { type: 'string' }, uniqueItems: true },
    f: object({ x: { type: 'string' } }, { additionalProperties: false }), apiVersion: { type: 'string', default: 'v1' },
  })).filter((text) => !text.includes('must be specified')), [
    '@.properties[a].$ref: Forbidden: $ref is not supported',
    '@.properties[b].type: Forbidden: type cannot be set to null, use nullable as an alternative',
    '@.properties[c].type: Unsupported value: "file": supported values: "array", "boolean", "integer", "number", "object", "string"',
    '@.properties[d].items: Forbidden: items must be a schema object and not an array',
    '@.properties[e].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
    '@.properties[f].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive',
    '@.properties[apiVersion].default: Forbidden: must not be set in top-level apiVersion',
  ]);
});

test('lists with keys have items that have them', () => {
  const list = (keys: string[], items: object) => object({ l: { 'type': 'array', items, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys } });
  assert.deepEqual(errorsOf(list(['name', 'other', 'name'], object({ name: { type: 'string' } }))), [
    '@.properties[l].items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
    '@.properties[l].x-kubernetes-list-map-keys: Invalid value: ["name","other","name"]: entries must all be names of item properties',
    '@.properties[l].x-kubernetes-list-map-keys: Invalid value: ["name","other","name"]: must not contain duplicate entries',
    '@.properties[l].items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
  ]);
  assert.deepEqual(errorsOf(object({ l: { 'type': 'array', 'items': { type: 'string' }, 'x-kubernetes-list-type': 'bag' }, m: { 'type': 'string', 'x-kubernetes-map-type': 'atomic' } })), [
    '@.properties[l].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"',
    '@.properties[m].type: Invalid value: "string": must be object if x-kubernetes-map-type is specified',
  ]);
});

test('defaults are values that their schemas allow', () => {
  assert.deepEqual(errorsOf(object({ spec: object({ n: { type: 'integer', default: 'three' }, s: { type: 'string', enum: ['a'], default: 'b' } }) })).length, 2);
});
