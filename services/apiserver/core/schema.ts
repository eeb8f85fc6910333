// The structure of objects: decodes a request body by the published definitions, as Go's JSON decoder would into the
// typed structs. Unknown fields are dropped and reported; a wrong type is an error in Go's words.
import { definitions, listKeys as keysByDefinition } from '#lib/kinds/openapi/schemas.ts';
import { canonicalQuantity, QuantityError } from '#lib/machinery/quantity.ts';
import { formatMicroTime, formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { unwrittenZeros } from '../protobuf/zeros.ts';
import { setOwn } from './patch/json-value.ts';

/** The body does not fit the types. Message in the words of encoding/json. */
export class StructureError extends Error {
  override readonly name = 'StructureError';
}

export interface FieldKeys {
  readonly listType?: string;
  readonly listMapKeys?: readonly string[];
  readonly mapType?: string;
  readonly patchStrategy?: string;
  readonly patchMergeKey?: string;
}

export type SchemaType =
  | { readonly is: 'scalar'; readonly name: string }
  | { readonly is: 'list'; readonly item: SchemaType }
  | { readonly is: 'map'; readonly value: SchemaType }
  | { readonly is: 'struct'; readonly definition: string };

export interface SchemaField {
  readonly type: SchemaType;
  readonly required: boolean;
  /** Go cannot tell its zero (empty text, 0, false) from absence, and leaves it out. */
  readonly dropsZero: boolean;
  readonly keys: FieldKeys;
}

export interface Struct {
  /** Go's name of the struct, without package. */
  readonly name: string;
  readonly fields: ReadonlyMap<string, SchemaField>;
}

const ANYTHING: SchemaType = { is: 'scalar', name: 'any' };
const structs = new Map<string, Struct | undefined>();

function parseType(text: string): SchemaType {
  if (text.startsWith('[]')) return { is: 'list', item: parseType(text.slice(2)) };
  if (text.startsWith('map:')) return { is: 'map', value: parseType(text.slice(4)) };
  if (!text.startsWith('ref:')) return { is: 'scalar', name: text };
  const definition = text.slice(4);
  const target = definitions[definition];
  if (target?.fields) return { is: 'struct', definition };
  return target?.type === undefined ? ANYTHING : parseType(target.type);
}

/** The struct of a definition; undefined when there is none or its fields are not known. */
export function structOf(definition: string): Struct | undefined {
  if (structs.has(definition)) return structs.get(definition);
  const raw = definitions[definition]?.fields;
  const keys = keysByDefinition[definition];
  const zeros = unwrittenZeros(definition);
  const struct = raw && {
    name: definition.slice(definition.lastIndexOf('.') + 1),
    fields: new Map(Object.entries(raw).map(([name, text]) => [name, {
      type: parseType(text.replace(/!$/, '')), required: text.endsWith('!'), dropsZero: zeros.has(name), keys: keys?.[name] ?? {},
    }] as const)),
  };
  structs.set(definition, struct);
  return struct;
}

const GO_SCALARS: Readonly<Record<string, string>> = {
  string: 'string', bool: 'bool', int: 'int', int32: 'int32', int64: 'int64', double: 'float64', number: 'float64', bytes: '[]uint8',
  quantity: 'resource.Quantity', 'int-or-string': 'intstr.IntOrString', 'date-time': 'v1.Time', 'date-time-micro': 'v1.MicroTime',
  'raw-object': 'runtime.RawExtension', any: 'interface {}', object: 'map[string]interface {}',
};

function goType(type: SchemaType): string {
  switch (type.is) {
    case 'scalar': return GO_SCALARS[type.name] ?? type.name;
    case 'list': return `[]${goType(type.item)}`;
    case 'map': return `map[string]${goType(type.value)}`;
    case 'struct': return type.definition.split('.').slice(-2).join('.');
  }
}

const jsonTypeOf = (value: unknown): string =>
  Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;

const INTEGER_LIMITS: Readonly<Record<string, readonly [number, number]>> = {
  int: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER], int32: [-(2 ** 31), 2 ** 31 - 1], int64: [-(2 ** 63), 2 ** 63],
};

/** Where the decoder is: Go names the innermost struct and the path of field names without indices. */
interface Position {
  readonly struct: string;
  readonly goPath: string;
  /** With indices, for reports of unknown fields: `spec.containers[0]`. */
  readonly path: string;
}

class Decoder {
  /** Values of a wrong type are left to validation, as for custom resources. */
  readonly #isLenient: boolean;
  constructor(isLenient: boolean) {
    this.#isLenient = isLenient;
  }
  /** Paths of unknown fields in order of appearance. */
  readonly unknownFields: string[] = [];

  decode(value: unknown, type: SchemaType, at: Position): unknown {
    if (value === null || value === undefined) return undefined;
    // what stands in `metadata` and around it is Go's in custom resources, too
    if (!this.#isLenient || /^($|metadata\b|apiVersion$|kind$)/.test(at.path)) return this.#decodeStrictly(value, type, at);
    try {
      return this.#decodeStrictly(value, type, at);
    } catch (error) {
      if (!(error instanceof StructureError)) throw error;
      return value;
    }
  }

  #decodeStrictly(value: NonNullable<unknown>, type: SchemaType, at: Position): unknown {
    switch (type.is) {
      case 'scalar': return this.scalar(value, type, at);
      case 'list':
        if (!Array.isArray(value)) throw this.mismatch(jsonTypeOf(value), type, at);
        return value.map((item, index) => this.decode(item, type.item, { ...at, path: `${at.path}[${index}]` }) ?? zeroOf(type.item));
      case 'map': {
        if (typeof value !== 'object' || Array.isArray(value)) throw this.mismatch(jsonTypeOf(value), type, at);
        const result: Record<string, unknown> = {};
        for (const [key, item] of Object.entries(value)) {
          setOwn(result, key, this.decode(item, type.value, { ...at, path: `${at.path}.${key}` }) ?? zeroOf(type.value));
        }
        return result;
      }
      case 'struct': {
        if (typeof value !== 'object' || Array.isArray(value)) throw this.mismatch(jsonTypeOf(value), type, at);
        const struct = structOf(type.definition);
        return struct ? this.struct(value as Record<string, unknown>, struct, at) : value;
      }
    }
  }

  struct(value: Readonly<Record<string, unknown>>, struct: Struct, at: Position): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (const [name, item] of Object.entries(value)) {
      const field = struct.fields.get(name);
      const path = at.path === '' ? name : `${at.path}.${name}`;
      if (!field) {
        this.unknownFields.push(path);
        continue;
      }
      const decoded = this.decode(item, field.type, { struct: struct.name, goPath: at.goPath === '' ? name : `${at.goPath}.${name}`, path });
      // omitempty: Go drops what is empty when it writes the object again
      if (decoded === undefined || (!field.required && isEmptyCollection(decoded, field.type))) continue;
      if (field.dropsZero && (decoded === '' || decoded === 0 || decoded === false)) continue;
      setOwn(result, name, decoded);
    }
    return result;
  }

  private scalar(value: unknown, type: SchemaType & { is: 'scalar' }, at: Position): unknown {
    switch (type.name) {
      case 'string':
        if (typeof value !== 'string') throw this.mismatch(jsonTypeOf(value), type, at);
        return value;
      case 'bool':
        if (typeof value !== 'boolean') throw this.mismatch(jsonTypeOf(value), type, at);
        return value;
      case 'int': case 'int32': case 'int64': {
        if (typeof value !== 'number') throw this.mismatch(jsonTypeOf(value), type, at);
        const [min, max] = INTEGER_LIMITS[type.name] ?? [-Infinity, Infinity];
        if (!Number.isInteger(value) || value < min || value > max) throw this.mismatch(`number ${value}`, type, at);
        return value;
      }
      case 'double': case 'number':
        if (typeof value !== 'number') throw this.mismatch(jsonTypeOf(value), type, at);
        return value;
      case 'bytes':
        return this.bytes(value, type, at);
      case 'quantity':
        return quantity(typeof value === 'string' || typeof value === 'number' ? String(value) : '-');
      case 'int-or-string':
        if (typeof value === 'string') return value;
        if (typeof value === 'number' && Number.isInteger(value)) return value;
        throw new StructureError(`json: cannot unmarshal ${typeof value === 'number' ? `number ${value}` : jsonTypeOf(value)} into Go value of type int32`);
      case 'date-time': return this.time(value, 0);
      case 'date-time-micro': return this.time(value, 6);
      case 'raw-object': case 'object':
        if (typeof value !== 'object' || Array.isArray(value)) throw this.mismatch(jsonTypeOf(value), type, at);
        return value;
      default: return value;
    }
  }

  private bytes(value: unknown, type: SchemaType, at: Position): string {
    if (typeof value !== 'string') throw this.mismatch(jsonTypeOf(value), type, at);
    const clean = value.replace(/[\r\n]/g, '');
    const bad = /[^A-Za-z0-9+/=]|=(?=[^=])/.exec(clean);
    if (bad) throw new StructureError(`illegal base64 data at input byte ${bad.index}`);
    if (clean.length % 4 !== 0) throw new StructureError(`illegal base64 data at input byte ${clean.length - (clean.length % 4)}`);
    return clean;
  }

  private time(value: unknown, fractionDigits: 0 | 6): string {
    if (typeof value !== 'string') throw new StructureError(`json: cannot unmarshal ${jsonTypeOf(value)} into Go value of type string`);
    const timeMs = parseTimeOrUndefined(value);
    if (timeMs === undefined) {
      const layout = fractionDigits === 0 ? '2006-01-02T15:04:05Z07:00' : '2006-01-02T15:04:05.000000Z07:00';
      throw new StructureError(`parsing time "${value}" as "${layout}": cannot parse "${value}" as "2006"`);
    }
    return fractionDigits === 0 ? formatTime(timeMs) : formatMicroTime(timeMs);
  }

  private mismatch(got: string, type: SchemaType, at: Position): StructureError {
    return new StructureError(at.struct === ''
      ? `json: cannot unmarshal ${got} into Go value of type ${goType(type)}`
      : `json: cannot unmarshal ${got} into Go struct field ${at.struct}.${at.goPath} of type ${goType(type)}`);
  }
}

const isEmptyCollection = (value: unknown, type: SchemaType): boolean =>
  (type.is === 'list' && (value as unknown[]).length === 0) || (type.is === 'map' && Object.keys(value as object).length === 0);

function zeroOf(type: SchemaType): unknown {
  if (type.is === 'struct' || type.is === 'map') return {};
  if (type.is === 'list') return [];
  if (type.name === 'bool') return false;
  if (['int', 'int32', 'int64', 'double', 'number', 'int-or-string'].includes(type.name)) return 0;
  if (type.name === 'quantity') return '0';
  return type.name === 'string' || type.name === 'bytes' ? '' : null;
}

function quantity(text: string): string {
  try {
    return canonicalQuantity(text);
  } catch (error) {
    if (!(error instanceof QuantityError)) throw error;
    throw new StructureError(error.message, { cause: error });
  }
}

export interface DecodedBody {
  readonly object: Record<string, unknown>;
  /** Such as `unknown field "spec.foo"`. */
  readonly strictErrors: readonly string[];
}

/** Throws StructureError. A definition that is not known lets everything pass. */
export function decodeStructure(value: unknown, definition: string): DecodedBody {
  const decoder = new Decoder(definition.startsWith('custom.'));
  const object = decoder.decode(value, { is: 'struct', definition }, { struct: '', goPath: '', path: '' }) as Record<string, unknown> | undefined;
  return { object: object ?? {}, strictErrors: decoder.unknownFields.map((path) => `unknown field "${path}"`) };
}
