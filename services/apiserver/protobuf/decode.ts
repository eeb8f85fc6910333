// Decodes Kubernetes' protobuf (the `k8s\0` envelope and the objects in it) into the JSON objects they stand for.
import { formatMicroTime, formatTime } from '#lib/machinery/time.ts';
import { Reader, type WireField } from './wire.ts';

/** Definition to its fields as text; see messages.ts. */
export type Messages = ReadonlyMap<string, string>;

export function parseMessages(text: string): Messages {
  const full = text.replaceAll('@', 'io.k8s.api.').replaceAll('~', 'io.k8s.apimachinery.pkg.apis.meta.v1.');
  return new Map(full.split('\n').filter((line) => line !== '').map((line) => {
    const [definition = ''] = line.split(' ', 1);
    return [definition, line.slice(definition.length + 1)] as const;
  }));
}

export class ProtobufError extends Error {
  override readonly name = 'ProtobufError';
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly keepsZero: boolean;
  readonly isInline: boolean;
}

const MAGIC = Buffer.from('k8s\0');

export interface Envelope {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
}

export function openEnvelope(bytes: Uint8Array): Envelope {
  if (!MAGIC.equals(bytes.subarray(0, MAGIC.length))) throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  let apiVersion = '';
  let kind = '';
  let raw: Uint8Array = new Uint8Array();
  for (const field of new Reader(bytes.subarray(MAGIC.length))) {
    if (field.number === 1) {
      for (const inner of new Reader(field.bytes())) {
        if (inner.number === 1) apiVersion = inner.text();
        else if (inner.number === 2) kind = inner.text();
      }
    } else if (field.number === 2) {
      raw = field.bytes();
    }
  }
  return { apiVersion, kind, raw };
}

/** Decodes by message; parsed fields are remembered. */
export class ProtobufDecoder {
  readonly #messages: Messages;
  readonly #parsed = new Map<string, ReadonlyMap<number, Field>>();

  constructor(messages: Messages) {
    this.#messages = messages;
  }

  knows(definition: string): boolean {
    return this.#messages.has(definition);
  }

  decode(definition: string, bytes: Uint8Array): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    this.#decodeInto(result, definition, bytes);
    return result;
  }

  #fieldsOf(definition: string): ReadonlyMap<number, Field> {
    const known = this.#parsed.get(definition);
    if (known) return known;
    const raw = this.#messages.get(definition);
    if (raw === undefined) throw new ProtobufError(`no message for ${definition}`);
    const fields = new Map(raw.split('; ').filter((text) => text !== '').map((text) => {
      const [number = '', name = '', type = ''] = text.split(' ');
      return [Number(number), { name, type: type.replace(/[?^]$/, ''), keepsZero: type.endsWith('?'), isInline: type.endsWith('^') }] as const;
    }));
    this.#parsed.set(definition, fields);
    return fields;
  }

  #decodeInto(result: Record<string, unknown>, definition: string, bytes: Uint8Array): void {
    const fields = this.#fieldsOf(definition);
    for (const wire of new Reader(bytes)) {
      const field = fields.get(wire.number);
      if (!field) continue; // newer than we are
      const { name, type } = field;
      if (field.isInline) {
        this.#decodeInto(result, type.slice('ref:'.length), wire.bytes());
      } else if (type.startsWith('[]')) {
        const list = (result[name] ??= []) as unknown[];
        list.push(...this.#items(type.slice(2), wire));
      } else if (type.startsWith('map:')) {
        const map = (result[name] ??= {}) as Record<string, unknown>;
        const [key, value] = this.#mapEntry(type.slice('map:'.length), wire.bytes());
        map[key] = value;
      } else {
        const value = this.#value(type, wire);
        if (value !== undefined && (field.keepsZero || !isZero(value))) result[name] = value;
      }
    }
  }

  #items(type: string, wire: WireField): unknown[] {
    if (wire.isLengthDelimited && (type === 'int32' || type === 'int64' || type === 'bool')) {
      return Array.from(wire.packedVarints(), (number) => (type === 'bool' ? number !== 0 : number));
    }
    return [this.#value(type, wire) ?? null];
  }

  #mapEntry(type: string, bytes: Uint8Array): [string, unknown] {
    let key = '';
    let value: unknown = emptyOf(type);
    for (const part of new Reader(bytes)) {
      if (part.number === 1) key = part.text();
      else if (part.number === 2) value = this.#value(type, part) ?? value;
    }
    return [key, value];
  }

  #value(type: string, wire: WireField): unknown {
    if (type.startsWith('ref:')) return this.decode(type.slice('ref:'.length), wire.bytes());
    if (type.startsWith('wrapped:')) return this.#wrapped(type.slice('wrapped:'.length), wire.bytes());
    switch (type) {
      case 'string': return wire.text();
      case 'bool': return wire.integer() !== 0;
      case 'int32':
      case 'int64': return wire.integer();
      case 'double': return wire.double();
      case 'bytes': return Buffer.from(wire.bytes()).toString('base64');
      case 'quantity': return firstText(wire.bytes(), 1);
      case 'int-or-string': return intOrString(wire.bytes());
      case 'date-time':
      case 'date-time-micro': return timestamp(wire.bytes(), type);
      case 'raw-object': return rawObject(wire.bytes());
      default: throw new ProtobufError(`no decoding for the type ${type}`);
    }
  }

  #wrapped(type: string, bytes: Uint8Array): unknown[] {
    return Array.from(new Reader(bytes)).filter(({ number }) => number === 1).flatMap((item) => this.#items(type, item));
  }
}

const isZero = (value: unknown): boolean => value === '' || value === 0 || value === false;

function emptyOf(type: string): unknown {
  if (type === 'string' || type === 'bytes') return '';
  if (type === 'quantity') return '0';
  if (type.startsWith('wrapped:')) return [];
  return type.startsWith('ref:') ? {} : null;
}

function firstText(bytes: Uint8Array, number: number): string {
  for (const field of new Reader(bytes)) if (field.number === number) return field.text();
  return '';
}

/** {type: 0 number, 1 text; intVal; strVal} */
function intOrString(bytes: Uint8Array): number | string {
  let isText = false;
  let number = 0;
  let text = '';
  for (const field of new Reader(bytes)) {
    if (field.number === 1) isText = field.integer() === 1;
    else if (field.number === 2) number = field.integer();
    else if (field.number === 3) text = field.text();
  }
  return isText ? text : number;
}

/** {seconds, nanos}; the zero time stands for none. */
function timestamp(bytes: Uint8Array, type: 'date-time' | 'date-time-micro'): string | undefined {
  let seconds = 0;
  let nanos = 0;
  for (const field of new Reader(bytes)) {
    if (field.number === 1) seconds = field.integer();
    else if (field.number === 2) nanos = field.integer();
  }
  if (seconds === 0 && nanos === 0) return undefined;
  return type === 'date-time' ? formatTime(seconds * 1000) : formatMicroTime(seconds * 1000 + Math.floor(nanos / 1000) / 1000);
}

function rawObject(bytes: Uint8Array): unknown {
  for (const field of new Reader(bytes)) {
    if (field.number !== 1) continue;
    const text = field.text();
    if (text === '') return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new ProtobufError('an embedded object is not JSON', { cause: error });
    }
  }
  return undefined;
}
