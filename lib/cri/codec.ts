// Plain objects to and from the bytes of CRI messages, and the gRPC definitions of the two services made of them.
// Field names are camelCase (pod_sandbox_id is podSandboxId, CDI_devices is CDIDevices); enums are their names; 64-bit
// numbers are numbers but for moments in time (Nanoseconds); bytes are Buffers.
import type { MethodDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import type { Nanoseconds } from './messages.ts';
import { enumeration, fieldsOf, isEnumeration, isMessage, methodsOf, type Enumeration, type Field } from './schema.ts';

/** Deepest nesting of messages; the deepest of CRI's own is 7. */
const MAX_DEPTH = 32;
const DELIMITED = 2;
const TWO_TO_32 = 2n ** 32n;

/**
 * A field as the two walks below need it. protobufjs would write and compile three functions for each message type on
 * its first use; a kubelet and a runtime meet most types a few dozen times in all, so walking the fields costs less.
 */
interface FieldPlan extends Omit<Field, 'type'> {
  /** The type as declared; `message` and `enum` for what is declared itself. */
  readonly scalar: string;
  readonly isMoment: boolean;
  /** Name of its type. */
  readonly message: string | undefined;
  readonly enumeration: Enumeration | undefined;
}

interface MessagePlan {
  readonly fields: readonly FieldPlan[];
  readonly byId: ReadonlyMap<number, FieldPlan>;
}

const plans = new Map<string, MessagePlan>();

function planOf(type: string): MessagePlan {
  const known = plans.get(type);
  if (known) return known;
  const fields = fieldsOf(type).map(({ type: fieldType, ...field }): FieldPlan => ({
    ...field,
    message: isMessage(fieldType) ? fieldType : undefined,
    enumeration: isEnumeration(fieldType) ? enumeration(fieldType) : undefined,
    scalar: isMessage(fieldType) ? 'message' : isEnumeration(fieldType) ? 'enum' : fieldType,
    isMoment: fieldType === 'int64' && (field.name === 'timestamp' || field.name.endsWith('At')),
  }));
  const plan = { fields, byId: new Map(fields.map((field) => [field.id, field])) };
  plans.set(type, plan);
  return plan;
}

interface LongLike {
  readonly low: number;
  readonly high: number;
  readonly unsigned?: boolean;
}

function wholeNumber(long: LongLike | number, asBigInt: boolean): number | bigint {
  if (typeof long === 'number') return asBigInt ? BigInt(long) : long;
  const value = BigInt(long.unsigned === true ? long.high >>> 0 : long.high) * TWO_TO_32 + BigInt(long.low >>> 0);
  return asBigInt ? value : Number(value);
}

const longOf = (value: bigint): LongLike => ({ low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) });

function defaultValue({ scalar, isMoment, enumeration }: FieldPlan): unknown {
  if (enumeration) return enumeration.names[0];
  switch (scalar) {
    case 'message': return undefined;
    case 'string': return '';
    case 'bytes': return Buffer.alloc(0);
    case 'bool': return false;
    default: return isMoment ? 0n : 0;
  }
}

function readValue(reader: protobuf.Reader, field: FieldPlan, depth: number): unknown {
  if (field.message) return readMessage(reader, field.message, reader.uint32() + reader.pos, depth + 1);
  if (field.enumeration) {
    const number = reader.int32();
    return field.enumeration.names[number] ?? String(number);
  }
  switch (field.scalar) {
    case 'string': return reader.string();
    case 'bytes': return Buffer.from(reader.bytes());
    case 'bool': return reader.bool();
    case 'int32': return reader.int32();
    case 'uint32': return reader.uint32();
    case 'int64': return wholeNumber(reader.int64() as LongLike | number, field.isMoment);
    case 'uint64': return wholeNumber(reader.uint64() as LongLike | number, field.isMoment);
    case 'double': return reader.double();
    default: throw new Error(`CRI has no fields of type ${field.scalar}`);
  }
}

function readMapEntry(reader: protobuf.Reader, field: FieldPlan, into: Record<string, unknown>): void {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value = defaultValue(field);
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = readValue(reader, field, 0);
    else reader.skipType(tag & 7);
  }
  into[key] = value;
}

function readMessage(reader: protobuf.Reader, type: string, end: number, depth: number): Record<string, unknown> {
  if (depth > MAX_DEPTH) throw new Error('the message is nested too deeply');
  const { fields, byId } = planOf(type);
  const plain: Record<string, unknown> = {};
  for (const field of fields) {
    if (field.shape === 'repeated') plain[field.name] = [];
    else if (field.shape === 'map') plain[field.name] = Object.create(null) as object;
    else if (!field.message) plain[field.name] = defaultValue(field);
  }
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = byId.get(tag >>> 3);
    if (!field) reader.skipType(tag & 7);
    else if (field.shape === 'map') readMapEntry(reader, field, plain[field.name] as Record<string, unknown>);
    else if (field.shape === 'single') plain[field.name] = readValue(reader, field, depth);
    else if ((tag & 7) === DELIMITED && !field.message && field.scalar !== 'string' && field.scalar !== 'bytes') {
      for (const packedEnd = reader.uint32() + reader.pos; reader.pos < packedEnd;) (plain[field.name] as unknown[]).push(readValue(reader, field, depth));
    } else (plain[field.name] as unknown[]).push(readValue(reader, field, depth));
  }
  if (reader.pos !== end) throw new Error('the message ends in the middle of a field');
  for (const { name, shape } of fields) if (shape === 'map') plain[name] = { ...(plain[name] as object) };
  return plain;
}

/** What proto3 leaves out of a message; a nested message is written even when it is empty. */
function isDefault(field: FieldPlan, value: unknown): boolean {
  if (field.message) return false;
  if (field.scalar === 'bytes') return (value as Uint8Array).length === 0;
  if (field.enumeration) return value === 0 || value === field.enumeration.names[0];
  return value === '' || value === false || value === 0 || value === 0n;
}

const VARINT_TYPES: ReadonlySet<string> = new Set(['bool', 'int32', 'uint32', 'int64', 'uint64', 'enum']);
const wireType = (scalar: string): number => (VARINT_TYPES.has(scalar) ? 0 : scalar === 'double' ? 1 : DELIMITED);

function writeValue(writer: protobuf.Writer, field: FieldPlan, value: unknown): void {
  writer.uint32((field.id << 3) | wireType(field.scalar));
  writeBare(writer, field, value);
}

function writeBare(writer: protobuf.Writer, field: FieldPlan, value: unknown): void {
  switch (field.scalar) {
    case 'message':
      if (typeof value !== 'object') throw new TypeError(`${field.name}: object expected`);
      writeMessage(writer.fork(), field.message as string, value as Record<string, unknown>).ldelim();
      break;
    case 'enum': {
      const number = typeof value === 'number' ? value : field.enumeration?.values[String(value)];
      if (number === undefined) throw new TypeError(`${field.name}: unknown value ${String(value)}`);
      writer.int32(number);
      break;
    }
    case 'string': writer.string(String(value)); break;
    case 'bytes': writer.bytes(value as Uint8Array); break;
    case 'bool': writer.bool(Boolean(value)); break;
    case 'int32': writer.int32(value as number); break;
    case 'uint32': writer.uint32(value as number); break;
    case 'int64': writer.int64(typeof value === 'bigint' ? longOf(value) as never : value as number); break;
    case 'uint64': writer.uint64(typeof value === 'bigint' ? longOf(value) as never : value as number); break;
    case 'double': writer.double(value as number); break;
    default: throw new Error(`CRI has no fields of type ${field.scalar}`);
  }
}

function writeMessage(writer: protobuf.Writer, type: string, value: Readonly<Record<string, unknown>>): protobuf.Writer {
  for (const field of planOf(type).fields) {
    const content = value[field.name];
    if (content === undefined || content === null) continue;
    if (field.shape === 'single') {
      if (!isDefault(field, content)) writeValue(writer, field, content);
    } else if (field.shape === 'map') {
      for (const [key, item] of Object.entries(content as object)) {
        writer.uint32((field.id << 3) | DELIMITED).fork().uint32((1 << 3) | DELIMITED).string(key).uint32((2 << 3) | wireType(field.scalar));
        writeBare(writer, field, item);
        writer.ldelim();
      }
    } else {
      const items = content as readonly unknown[];
      if (field.message || field.scalar === 'string' || field.scalar === 'bytes') for (const item of items) writeValue(writer, field, item);
      else if (items.length > 0) {
        writer.uint32((field.id << 3) | DELIMITED).fork();
        for (const item of items) writeBare(writer, field, item);
        writer.ldelim();
      }
    }
  }
  return writer;
}

/** The bytes of a message of the given type; throws TypeError where an object is expected and something else given. */
export function encodeMessage(typeName: string, value: object): Buffer {
  return Buffer.from(writeMessage(protobuf.Writer.create(), typeName, value as Record<string, unknown>).finish());
}

/** Throws when the bytes are no such message. */
export function decodeMessage(typeName: string, bytes: Uint8Array): unknown {
  return readMessage(protobuf.Reader.create(bytes), typeName, bytes.length, 0);
}

/** gRPC method definitions of `RuntimeService` or `ImageService`, for servers and clients of @grpc/grpc-js. */
export function serviceDefinition(serviceName: 'RuntimeService' | 'ImageService'): Record<string, MethodDefinition<object, object>> {
  return Object.fromEntries(methodsOf(serviceName).map((method) => [method.name, {
    path: `/runtime.v1.${serviceName}/${method.name}`,
    requestStream: false,
    responseStream: method.isStream,
    requestSerialize: (value: object) => encodeMessage(method.requestType, value),
    requestDeserialize: (bytes: Buffer) => decodeMessage(method.requestType, bytes) as object,
    responseSerialize: (value: object) => encodeMessage(method.responseType, value),
    responseDeserialize: (bytes: Buffer) => decodeMessage(method.responseType, bytes) as object,
    originalName: method.name[0]?.toLowerCase() + method.name.slice(1),
  }]));
}

export const nanosecondsOfMs = (ms: number): Nanoseconds => BigInt(Math.round(ms * 1000)) * 1000n;
/** Milliseconds, fractions kept as far as a number holds them. */
export const msOfNanoseconds = (nanoseconds: Nanoseconds): number => Number(nanoseconds / 1000n) / 1000;
