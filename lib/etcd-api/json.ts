// Messages as JSON, as the gRPC gateway of etcd writes them: names as in the .proto files, bytes in base64, 64-bit integers
// as strings, enums by name; what has its default value is left out. Source: protobuf.dev/programming-guides/json.
import { statusResponse } from './messages.ts';
import { isDefault, type FieldKind, type Message } from './wire.ts';

export class JsonError extends Error {
  override readonly name = 'JsonError';
}

type AnyMessage = Message<unknown, never>;
type Json = Readonly<Record<string, unknown>>;

/** Fields whose names in the .proto files are not in snake case. */
const CAMEL_NAMES: ReadonlySet<string> = new Set([
  'ID', 'TTL', 'grantedTTL', 'peerURLs', 'clientURLs', 'isLearner', 'memberID', 'targetID', 'targetVersion', 'permType', 'hashedPassword', 'authRevision',
]);

/** Deepest nesting. Source: protojson, recursion limit is 10,000; a Txn here may nest as deep as on the wire. */
const MAX_DEPTH = 100;

const protoNames = new WeakMap<AnyMessage, ReadonlyMap<string, string>>();

/** Our name of each field to that in the .proto file. */
export function protoNamesOf(message: AnyMessage): ReadonlyMap<string, string> {
  const known = protoNames.get(message);
  if (known !== undefined) return known;
  const isCamel = message === (statusResponse as AnyMessage);
  const names = new Map(message.fields.map(([name]) => [name, isCamel || CAMEL_NAMES.has(name) ? name : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]));
  protoNames.set(message, names);
  return names;
}

export function toJson(message: AnyMessage, value: unknown): Json {
  const names = protoNamesOf(message);
  const json: Record<string, unknown> = {};
  for (const [name, { kind, isRepeated }] of message.fields) {
    const field = (value as Json)[name];
    if (field === undefined || (isRepeated && (field as unknown[]).length === 0)) continue;
    if (isRepeated) json[names.get(name) ?? name] = (field as unknown[]).map((item) => scalarToJson(kind, item));
    else if (kind.type === 'message' || !isDefault(kind, field)) json[names.get(name) ?? name] = scalarToJson(kind, field);
  }
  return json;
}

function scalarToJson(kind: FieldKind, value: unknown): unknown {
  switch (kind.type) {
    case 'message': return toJson(kind.message(), value);
    case 'int64': case 'int64Id': case 'uint64Id': return String(value);
    case 'bytes': return typeof value === 'string' ? Buffer.from(value).toString('base64') : Buffer.from(value as Uint8Array).toString('base64');
    case 'uint32': case 'boolean': case 'string': case 'enum': return value;
  }
}

/** What `encode` takes. Fields go by either name; unknown ones are ignored. Throws JsonError. */
export function fromJson(message: AnyMessage, json: unknown, depth = 0): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new JsonError(`proto: unexpected token ${JSON.stringify(json)}`);
  if (depth > MAX_DEPTH) throw new JsonError('proto: exceeded max recursion depth');
  const names = protoNamesOf(message);
  const value: Record<string, unknown> = {};
  for (const [name, { kind, isRepeated }] of message.fields) {
    const protoName = names.get(name) ?? name;
    const given = Object.hasOwn(json, protoName) ? (json as Json)[protoName] : Object.hasOwn(json, name) ? (json as Json)[name] : undefined;
    if (given === undefined || given === null) continue;
    if (!isRepeated) value[name] = scalarFromJson(kind, given, protoName, depth);
    else if (Array.isArray(given)) value[name] = given.map((item) => scalarFromJson(kind, item, protoName, depth));
    else throw invalid(kind, protoName, given);
  }
  return value;
}

const TYPE_NAMES: Readonly<Record<FieldKind['type'], string>> =
  { int64: 'int64', uint32: 'uint32', int64Id: 'int64', uint64Id: 'uint64', boolean: 'bool', string: 'string', bytes: 'bytes', enum: 'enum', message: 'message' };
const invalid = (kind: FieldKind, name: string, given: unknown): JsonError => new JsonError(`proto: invalid value for ${TYPE_NAMES[kind.type]} field ${name}: ${JSON.stringify(given)}`);

function scalarFromJson(kind: FieldKind, given: unknown, name: string, depth: number): unknown {
  switch (kind.type) {
    case 'message': return fromJson(kind.message(), given, depth + 1);
    case 'string':
      if (typeof given !== 'string') throw invalid(kind, name, given);
      return given;
    case 'boolean':
      if (typeof given !== 'boolean') throw invalid(kind, name, given);
      return given;
    case 'bytes':
      if (typeof given !== 'string' || !/^[\w+/-]*={0,2}$/.test(given)) throw invalid(kind, name, given);
      return Buffer.from(given, 'base64');
    case 'enum': return enumFromJson(kind, given, name);
    case 'int64': case 'uint32': return Number(integerFromJson(kind, given, name));
    case 'int64Id': case 'uint64Id': return integerFromJson(kind, given, name);
  }
}

/** A name that is not known counts as the default, as unknown fields are ignored. */
function enumFromJson(kind: FieldKind & { type: 'enum' }, given: unknown, name: string): string {
  if (typeof given === 'string') return kind.names.includes(given) ? given : kind.names[0] ?? 'UNRECOGNIZED';
  if (typeof given === 'number' && Number.isInteger(given)) return kind.names[given] ?? 'UNRECOGNIZED';
  throw invalid(kind, name, given);
}

/** Source: the ranges of 64-bit integers; revisions and counts must also be exact as numbers. */
const RANGES: Readonly<Partial<Record<FieldKind['type'], readonly [bigint, bigint]>>> = {
  int64: [BigInt(Number.MIN_SAFE_INTEGER), BigInt(Number.MAX_SAFE_INTEGER)], uint32: [0n, 2n ** 32n - 1n], int64Id: [-(2n ** 63n), 2n ** 63n - 1n], uint64Id: [0n, 2n ** 64n - 1n],
};

function integerFromJson(kind: FieldKind, given: unknown, name: string): bigint {
  const text = typeof given === 'number' ? (Number.isSafeInteger(given) ? String(given) : '') : given;
  if (typeof text !== 'string' || !/^-?\d{1,20}$/.test(text)) throw invalid(kind, name, given);
  const value = BigInt(text);
  const [min, max] = RANGES[kind.type] ?? [value, value];
  if (value < min || value > max) throw invalid(kind, name, given);
  return value;
}
