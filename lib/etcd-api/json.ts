// Messages as JSON, as the gRPC gateway of etcd writes them: names as in the .proto files, bytes in base64, 64-bit integers
// as strings, enums by name; what has its default value is left out. Source: protobuf.dev/programming-guides/json.
import { parse, type MemberNode, type ValueNode } from '@humanwhocodes/momoa';
import { goJsonError } from '#lib/machinery/go-json-error.ts';
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

/**
 * What `encode` takes, from the JSON of a message. Fields go by either name; unknown ones are ignored. Throws JsonError in the words of Go.
 * Source: google.golang.org/protobuf v1.36, encoding/protojson/decode.go.
 */
export function fromJson(message: AnyMessage, text: string): Record<string, unknown> {
  try {
    JSON.parse(text); // is strict, and knows what is wrong
  } catch (error) {
    throw new JsonError(goJsonError(text, error), { cause: error });
  }
  const trimmed = text.trimStart(); // places are told from the beginning of the value on
  return new JsonReader(trimmed).message(message, parse(trimmed, { mode: 'json' }).body, 0);
}

const TYPE_NAMES: Readonly<Record<FieldKind['type'], string>> =
  { int64: 'int64', uint32: 'uint32', int64Id: 'int64', uint64Id: 'uint64', boolean: 'bool', string: 'string', bytes: 'bytes', enum: 'enum', message: 'message' };

type Located = ValueNode | MemberNode['name'];

/** From the text, as numbers of 64 bits are not exact as JavaScript's. */
class JsonReader {
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  message(message: AnyMessage, node: ValueNode, depth: number): Record<string, unknown> {
    if (depth > MAX_DEPTH) throw new JsonError('proto: exceeded max recursion depth');
    if (node.type !== 'Object') throw this.unexpected(node);
    const names = protoNamesOf(message);
    const value: Record<string, unknown> = {};
    const seen = new Set<string>();
    for (const { name: key, value: given } of node.members) {
      const keyText = key.type === 'String' ? key.value : key.name;
      const field = message.fields.find(([name]) => name === keyText || names.get(name) === keyText);
      if (field === undefined) continue;
      const [name, { kind, isRepeated }] = field;
      if (seen.has(name)) throw this.wrong(key, `duplicate field ${this.raw(key)}`);
      seen.add(name);
      if (given.type === 'Null') continue;
      if (!isRepeated) value[name] = this.value(kind, given, name, depth);
      else if (given.type === 'Array') value[name] = given.elements.map((element) => this.value(kind, element.value, name, depth));
      else throw this.unexpected(given);
    }
    return value;
  }

  private value(kind: FieldKind, node: ValueNode, name: string, depth: number): unknown {
    if (kind.type === 'message') return this.message(kind.message(), node, depth + 1);
    const value = this.scalar(kind, node);
    if (value === undefined) throw this.wrong(node, `invalid value for ${TYPE_NAMES[kind.type]} field ${name}: ${this.raw(node)}`);
    return value;
  }

  /** Undefined when it is none. */
  private scalar(kind: Exclude<FieldKind, { type: 'message' }>, node: ValueNode): unknown {
    const given = 'value' in node ? node.value : undefined;
    switch (kind.type) {
      case 'string': return typeof given === 'string' ? given : undefined;
      case 'boolean': return typeof given === 'boolean' ? given : undefined;
      case 'bytes': return typeof given === 'string' && BASE64.test(given) ? Buffer.from(given, 'base64') : undefined;
      case 'enum':
        // A name that is not known counts as the default, as unknown fields are ignored.
        if (typeof given === 'string') return kind.names.includes(given) ? given : kind.names[0] ?? 'UNRECOGNIZED';
        return typeof given === 'number' && Number.isInteger(given) ? kind.names[given] ?? 'UNRECOGNIZED' : undefined;
      case 'int64': case 'uint32': case 'int64Id': case 'uint64Id': {
        const text = typeof given === 'string' ? given : node.type === 'Number' ? this.raw(node) : undefined;
        const value = text === undefined ? undefined : integerIn(text);
        const [min, max] = RANGES[kind.type];
        if (value === undefined || value < min || value > max) return undefined;
        return kind.type === 'int64' || kind.type === 'uint32' ? nearestNumber(value) : value;
      }
    }
  }

  /** As it stands there; of an object or a list, how it begins. */
  private raw({ type, loc: { start, end } }: Located): string {
    return this.text.slice(start.offset, type === 'Object' || type === 'Array' ? start.offset + 1 : end.offset);
  }

  private wrong({ loc: { start } }: Located, words: string): JsonError {
    return new JsonError(`proto: (line ${start.line}:${start.column}): ${words}`);
  }

  private unexpected(node: Located): JsonError {
    const { line, column } = node.loc.start;
    return new JsonError(`proto: syntax error (line ${line}:${column}): unexpected token ${this.raw(node)}`);
  }
}

const BASE64 = /^(?:[A-Za-z\d+/]*|[A-Za-z\d_-]*)={0,2}$/;

const RANGES: Readonly<Record<'int64' | 'uint32' | 'int64Id' | 'uint64Id', readonly [bigint, bigint]>> = {
  int64: [-(2n ** 63n), 2n ** 63n - 1n], uint32: [0n, 2n ** 32n - 1n], int64Id: [-(2n ** 63n), 2n ** 63n - 1n], uint64Id: [0n, 2n ** 64n - 1n],
};

/** Of revisions and counts that are too large to be exact; there are none. */
const nearestNumber = (value: bigint): number => Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number(value), Number.MAX_SAFE_INTEGER));

/** More digits are out of all ranges; more characters are not looked at. */
const MAX_DIGITS = 40;
const MAX_NUMBER_LENGTH = 400;

/** `5`, `5.0` and `5e1` are integers, `5.5` is none. */
function integerIn(text: string): bigint | undefined {
  const [, sign = '', whole, fraction = '', exponent = '0'] = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  if (whole === undefined || text.length > MAX_NUMBER_LENGTH) return undefined;
  const digits = `${whole}${fraction}`.replace(/0+$/, '');
  const zeros = Number(exponent) + whole.length - digits.length;
  if (digits === '') return 0n;
  return zeros < 0 || digits.length + zeros > MAX_DIGITS ? undefined : BigInt(`${sign}${digits}`) * 10n ** BigInt(zeros);
}
