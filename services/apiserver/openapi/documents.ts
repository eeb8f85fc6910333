// Writes the OpenAPI documents piece by piece, so that no whole document stands in memory as objects.
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { asPublished, customDefinitions, LIST_META, OBJECT_META, type CustomType } from './custom-types.ts';
import type { Descriptions } from './descriptions.ts';
import { definitionSchema, reachable, reference, type Dialect, type JsonSchema } from './json-schema.ts';
import { definitionsOf, discoveryPaths, pathsOf, type Operation, type PathItem } from './operations.ts';

export interface DocumentSource {
  readonly kinds: readonly AnyKind[];
  readonly custom?: readonly CustomType[];
  /** Of other servers, in v2; what is named alike here stays. */
  readonly remote?: readonly RemoteV2[];
  /** Of Kubernetes, e.g. v1.36.2. */
  readonly version: string;
  readonly descriptions: Descriptions;
}

export interface RemoteV2 {
  readonly paths: Readonly<Record<string, JsonSchema>>;
  readonly definitions: Readonly<Record<string, JsonSchema>>;
}

export type Entry = readonly [name: string, value: JsonSchema];

/** What both encodings of v2 are written from. */
export interface V2Parts {
  readonly info: { readonly title: string; readonly version: string };
  paths(): Generator<Entry>;
  definitions(): Generator<Entry>;
}

const PRODUCES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const DESCRIPTIONS: Readonly<Record<number, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' };

const described = (text: string | undefined): JsonSchema => (text === undefined || text === '' ? {} : { description: text });

/** A parameter's text depends on the operation. */
const parameterText = ({ parameters }: Descriptions, name: string, { method }: { readonly method: string }): string | undefined => (method === 'patch' ? parameters[`patch.${name}`] : undefined) ?? parameters[name];

/** Such as `name of the Pod`; the kind stands in every operation of the path. */
const pathText = ({ parameters }: Descriptions, name: string, operations: readonly Operation[]): string | undefined => {
  if (name !== 'name') return parameters[name];
  const subject = operations[0]?.subject;
  return subject === undefined ? undefined : `name of the ${subject}`;
};

const groupVersionsOf = (kinds: readonly AnyKind[]) => [...new Map(kinds.map(({ apiVersion, group, version }) => [apiVersion, { group, version }])).values()];

/** Paths of all kinds; those of one collection share a path item, in order of path. */
function allPaths(kinds: readonly AnyKind[]): PathItem[] {
  return [...kinds.flatMap(pathsOf), ...discoveryPaths(kinds)].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** All that the paths lead to. */
function* definitionEntries({ kinds, custom = [], descriptions }: DocumentSource, paths: readonly PathItem[], dialect: Dialect): Generator<Entry> {
  const groupVersions = groupVersionsOf(kinds);
  for (const name of reachable([...definitionsOf(paths), ...(custom.length > 0 ? [OBJECT_META, LIST_META] : [])])) {
    yield [name, definitionSchema(name, dialect, { groupVersions, texts: descriptions.definitions[name] })];
  }
  for (const one of custom) yield* customDefinitions(one, dialect, descriptions);
}

const withCustom = (source: DocumentSource): DocumentSource => ({ ...source, kinds: [...source.kinds, ...(source.custom ?? []).map(({ kind }) => asPublished(kind))] });

export function v2Parts(own: DocumentSource): V2Parts {
  const source = withCustom(own);
  const { version, descriptions, remote = [] } = source;
  const paths = allPaths(source.kinds);
  return {
    info: { title: 'Kubernetes', version },
    *paths() {
      for (const item of paths) yield [item.path, v2PathItem(item, descriptions)];
      for (const one of remote) yield* Object.entries(one.paths);
    },
    *definitions() {
      const told = new Set<string>();
      for (const entry of definitionEntries(source, paths, 'v2')) {
        told.add(entry[0]);
        yield entry;
      }
      for (const entry of remote.flatMap(({ definitions }) => Object.entries(definitions))) {
        if (told.has(entry[0])) continue;
        told.add(entry[0]);
        yield entry;
      }
    },
  };
}

const PRETTY = { name: 'pretty', type: 'string' } as const;

function v2PathItem({ pathParameters, operations }: PathItem, descriptions: Descriptions): JsonSchema {
  return {
    ...Object.fromEntries(operations.map((operation) => [operation.method, v2Operation(operation, descriptions)])),
    parameters: [
      ...pathParameters.map((name) => ({ ...described(pathText(descriptions, name, operations)), in: 'path', name, required: true, type: 'string', uniqueItems: true })),
      { ...described(descriptions.parameters[PRETTY.name]), in: 'query', ...PRETTY, uniqueItems: true },
    ],
  };
}

function v2Operation(operation: Operation, descriptions: Descriptions): JsonSchema {
  const { body, response } = operation;
  return {
    ...described(operation.description),
    consumes: operation.consumes ?? ['*/*'],
    operationId: operation.id,
    parameters: [
      ...(body === undefined ? [] : [{ in: 'body', name: 'body', ...(operation.bodyRequired ? { required: true } : {}), schema: reference(body, 'v2') }]),
      ...operation.query.map(({ name, type }) => ({ ...described(parameterText(descriptions, name, operation)), in: 'query', name, type, uniqueItems: true })),
    ],
    produces: PRODUCES,
    responses: Object.fromEntries(operation.codes.map((code) => [code, {
      description: DESCRIPTIONS[code] ?? '', schema: response === undefined ? { type: 'string' } : reference(response, 'v2'),
    }])),
    schemes: ['https'],
    tags: [operation.tag],
    ...(operation.action === undefined ? {} : { 'x-kubernetes-action': operation.action, 'x-kubernetes-group-version-kind': operation.gvk }),
  };
}

export function v2Json(source: DocumentSource): Buffer {
  const { info, paths, definitions } = v2Parts(source);
  return joined([
    `{"swagger":"2.0","info":${JSON.stringify(info)},"paths":`, ...jsonMap(paths()), ',"definitions":', ...jsonMap(definitions()),
    ',"securityDefinitions":{"BearerToken":{"description":"Bearer Token authentication","in":"header","name":"authorization","type":"apiKey"}},"security":[{"BearerToken":[]}]}',
  ]);
}

/** The document of one group and version; `kinds` are those of it. */
export function v3Json(own: DocumentSource): Buffer {
  const source = withCustom(own);
  const { version, descriptions } = source;
  const paths = allPaths(source.kinds);
  const pathEntries = function* (): Generator<Entry> {
    for (const item of paths) yield [item.path, v3PathItem(item, descriptions)];
  };
  return joined([
    `{"openapi":"3.0.0","info":${JSON.stringify({ title: 'Kubernetes', version: version.replace(/\.\d+$/, '.0') })},"paths":`, ...jsonMap(pathEntries()),
    ',"components":{"schemas":', ...jsonMap(definitionEntries(source, paths, 'v3')),
    ',"securitySchemes":{"BearerToken":{"type":"apiKey","description":"Bearer Token authentication","name":"authorization","in":"header"}}}}',
  ]);
}

function v3PathItem({ pathParameters, operations }: PathItem, descriptions: Descriptions): JsonSchema {
  return {
    ...Object.fromEntries(operations.map((operation) => [operation.method, v3Operation(operation, descriptions)])),
    parameters: [
      ...pathParameters.map((name) => ({ name, in: 'path', ...described(pathText(descriptions, name, operations)), required: true, schema: { type: 'string', uniqueItems: true } })),
      { name: PRETTY.name, in: 'query', ...described(descriptions.parameters[PRETTY.name]), schema: { type: 'string', uniqueItems: true } },
    ],
  };
}

function v3Operation(operation: Operation, descriptions: Descriptions): JsonSchema {
  const { body, response } = operation;
  const content = (types: readonly string[], schema: JsonSchema) => Object.fromEntries(types.map((type) => [type, { schema }]));
  return {
    tags: [operation.tag],
    ...described(operation.description),
    operationId: operation.id,
    parameters: operation.query.map(({ name, type }) => ({ name, in: 'query', ...described(parameterText(descriptions, name, operation)), schema: { type, uniqueItems: true } })),
    ...(body === undefined ? {} : {
      requestBody: { content: content(operation.consumes ?? ['*/*'], reference(body, 'v3')), ...(operation.bodyRequired ? { required: true } : {}) },
    }),
    responses: Object.fromEntries(operation.codes.map((code) => [code, {
      description: DESCRIPTIONS[code] ?? '', content: content(response === undefined ? ['*/*'] : PRODUCES, response === undefined ? { type: 'string' } : reference(response, 'v3')),
    }])),
    ...(operation.action === undefined ? {} : { 'x-kubernetes-action': operation.action, 'x-kubernetes-group-version-kind': operation.gvk }),
  };
}

function* jsonMap(entries: Iterable<Entry>): Generator<string> {
  let separator = '{';
  for (const [name, value] of entries) {
    yield `${separator}${JSON.stringify(name)}:${JSON.stringify(value)}`;
    separator = ',';
  }
  yield separator === '{' ? '{}' : '}';
}

const joined = (pieces: Iterable<string>): Buffer => Buffer.concat(Array.from(pieces, (piece) => Buffer.from(piece)));

