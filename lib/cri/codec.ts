// Plain objects to and from the bytes of CRI messages, and the gRPC definitions of the two services made of them.
// Field names are camelCase (pod_sandbox_id is podSandboxId, CDI_devices is CDIDevices); enums are their names; 64-bit
// numbers are numbers but for moments in time (Nanoseconds); bytes are Buffers.
import protobuf from 'protobufjs';
import type { MethodDefinition } from '@grpc/grpc-js';
import type { Nanoseconds } from './messages.ts';
import { CRI_PROTO } from './proto.ts';

const { root } = protobuf.parse(CRI_PROTO, { keepCase: false });
root.resolveAll();

interface LongLike {
  toNumber(): number;
  toBigInt(): bigint;
}

const isMoment = ({ name, type }: protobuf.Field): boolean => type === 'int64' && (name === 'timestamp' || name.endsWith('At'));

function plainValue(field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Enum) return field.resolvedType.valuesById[value as number] ?? String(value);
  if (field.resolvedType instanceof protobuf.Type) return toPlain(field.resolvedType, value as Record<string, unknown>);
  if (field.type === 'int64' || field.type === 'uint64') {
    const long = value as LongLike | number;
    if (isMoment(field)) return typeof long === 'number' ? BigInt(long) : long.toBigInt();
    return typeof long === 'number' ? long : long.toNumber();
  }
  if (field.type === 'bytes') return Buffer.from(value as Uint8Array);
  return value;
}

function toPlain(type: protobuf.Type, message: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    if (field.map) plain[field.name] = { ...(value as object) };
    else if (field.repeated) plain[field.name] = (value as unknown[]).map((item) => plainValue(field, item));
    else if (value !== null && value !== undefined) plain[field.name] = plainValue(field, value);
  }
  return plain;
}

/** The bytes of a message of the given type; throws TypeError where an object is expected and something else given. */
export function encodeMessage(typeName: string, value: object): Buffer {
  const type = root.lookupType(`runtime.v1.${typeName}`);
  return Buffer.from(type.encode(type.fromObject(value as Record<string, unknown>)).finish());
}

/** Throws when the bytes are no such message. */
export function decodeMessage(typeName: string, bytes: Uint8Array): unknown {
  const type = root.lookupType(`runtime.v1.${typeName}`);
  return toPlain(type, type.decode(bytes) as unknown as Record<string, unknown>);
}

/** gRPC method definitions of `RuntimeService` or `ImageService`, for servers and clients of @grpc/grpc-js. */
export function serviceDefinition(serviceName: 'RuntimeService' | 'ImageService'): Record<string, MethodDefinition<object, object>> {
  const service = root.lookupService(`runtime.v1.${serviceName}`);
  return Object.fromEntries(service.methodsArray.map((method) => [method.name, {
    path: `/runtime.v1.${serviceName}/${method.name}`,
    requestStream: false,
    responseStream: method.responseStream === true,
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
