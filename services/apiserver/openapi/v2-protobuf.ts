// OpenAPI v2 in protobuf: the message openapi.v2.Document of google/gnostic, as far as our documents use it.
// Source of the field numbers: gnostic openapiv2/OpenAPIv2.proto.
import type { Entry, V2Parts } from './documents.ts';
import type { JsonSchema } from './json-schema.ts';

type Piece = Buffer;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

const LENGTH_DELIMITED = 2;
const VARINT = 0;
const message = (field: number, contents: readonly Piece[]): Piece => {
  const body = Buffer.concat(contents);
  return Buffer.concat([varint(field * 8 + LENGTH_DELIMITED), varint(body.length), body]);
};
const string = (field: number, value: unknown): Piece[] => (typeof value === 'string' && value !== '' ? [message(field, [Buffer.from(value)])] : []);
const strings = (field: number, values: unknown): Piece[] => (Array.isArray(values) ? values.map((value) => message(field, [Buffer.from(String(value))])) : []);
const bool = (field: number, value: unknown): Piece[] => (value === true ? [Buffer.concat([varint(field * 8 + VARINT), Buffer.from([1])])] : []);
const named = (field: number, name: string, value: readonly Piece[]): Piece => message(field, [...string(1, name), message(2, value)]);
/** Any: its text is YAML, of which JSON is a part. */
const any = (value: unknown): Piece[] => string(2, `${JSON.stringify(value)}\n`);
const extensions = (field: number, of: JsonSchema): Piece[] => Object.entries(of).filter(([name]) => name.startsWith('x-')).map(([name, value]) => named(field, name, any(value)));
const asObject = (value: unknown): JsonSchema => value as JsonSchema;
const entriesOf = (value: unknown): [string, JsonSchema][] => Object.entries((value ?? {}) as Record<string, JsonSchema>);
const listOf = (value: unknown): JsonSchema[] => (value ?? []) as JsonSchema[];

export function v2Protobuf(parts: V2Parts): Buffer {
  const collect = (entries: Iterable<Entry>, encode: (value: JsonSchema) => Piece[], field: number) => Array.from(entries, ([name, value]) => named(field, name, encode(value)));
  return Buffer.concat([
    ...string(1, '2.0'),
    message(2, [...string(1, parts.info.title), ...string(2, parts.info.version)]),
    message(8, collect(parts.paths(), pathItem, 2)),
    message(9, collect(parts.definitions(), schema, 1)),
  ]);
}

function pathItem(item: JsonSchema): Piece[] {
  const methods = [['get', 2], ['put', 3], ['post', 4], ['delete', 5], ['patch', 8]] as const;
  return [
    ...methods.flatMap(([method, field]) => (item[method] === undefined ? [] : [message(field, operation(asObject(item[method])))])),
    ...listOf(item['parameters']).map((one) => message(9, parameter(one))),
  ];
}

function operation(one: JsonSchema): Piece[] {
  return [
    ...strings(1, one['tags']), ...string(3, one['description']), ...string(5, one['operationId']), ...strings(6, one['produces']), ...strings(7, one['consumes']),
    ...listOf(one['parameters']).map((item) => message(8, parameter(item))),
    message(9, entriesOf(one['responses']).map(([code, response]) => named(1, code, [
      message(1, [...string(1, response['description']), message(2, [message(1, schema(asObject(response['schema'])))])]),
    ]))),
    ...strings(10, one['schemes']), ...extensions(13, one),
  ];
}

/** ParametersItem { parameter { body_parameter | non_body_parameter { query | path } } } */
function parameter(one: JsonSchema): Piece[] {
  const place = one['in'];
  const common = [...bool(1, one['required']), ...string(2, place), ...string(3, one['description']), ...string(4, one['name'])];
  switch (place) {
    case 'body': return [message(1, [message(1, [...string(2, one['name']), ...string(3, place), ...bool(4, one['required']), message(5, schema(asObject(one['schema'])))])])];
    case 'query': return [message(1, [message(2, [message(3, [...common, ...string(6, one['type']), ...bool(20, one['uniqueItems'])])])])];
    case 'path': return [message(1, [message(2, [message(4, [...common, ...string(5, one['type']), ...bool(19, one['uniqueItems'])])])])];
    default: throw new Error(`no encoding for a parameter in ${String(place)}`);
  }
}

function schema(one: JsonSchema): Piece[] {
  return [
    ...string(1, one['$ref']), ...string(2, one['format']), ...string(4, one['description']),
    ...(one['default'] === undefined ? [] : [message(5, any(one['default']))]),
    ...strings(19, one['required']),
    ...(Array.isArray(one['enum']) ? one['enum'].map((value) => message(20, any(value))) : []),
    // what another server writes here may be more than we do: a truth value says less than nothing at all
    ...(typeof one['additionalProperties'] !== 'object' ? [] : [message(21, [message(1, schema(asObject(one['additionalProperties'])))])]),
    ...(one['type'] === undefined ? [] : [message(22, string(1, one['type']))]),
    ...(one['items'] === undefined ? [] : [message(23, [message(1, schema(asObject(one['items'])))])]),
    ...(one['properties'] === undefined ? [] : [message(25, entriesOf(one['properties']).map(([name, value]) => named(1, name, schema(value))))]),
    ...extensions(31, one),
  ];
}
