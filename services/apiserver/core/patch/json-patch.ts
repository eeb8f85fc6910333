// JSON patch. Source: RFC 6902, with evanphx/json-patch's leniencies as kube-apiserver uses it.
import { isRecord, jsonEqual, ownField, setOwn } from './json-value.ts';

/** The patch is well-formed but cannot be applied (a path is missing, a test failed). */
export class JsonPatchError extends Error {
  override readonly name = 'JsonPatchError';
}

/** The patch itself makes no sense. */
export class JsonPatchFormatError extends Error {
  override readonly name = 'JsonPatchFormatError';
}

export const MAX_JSON_PATCH_OPERATIONS = 10_000;

interface Operation {
  readonly op: string;
  readonly path: readonly string[];
  readonly pathText: string;
  readonly from?: readonly string[];
  readonly value: unknown;
}

function pointer(text: unknown, name: string): string[] {
  if (typeof text !== 'string') throw new JsonPatchFormatError(`json: cannot unmarshal the ${name} of a patch operation: missing value`);
  if (text === '') return [];
  return text.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function parseOperation(raw: unknown): Operation {
  if (!isRecord(raw)) throw new JsonPatchFormatError('json: cannot unmarshal a value that is no object into Go value of type jsonpatch.Operation');
  const op = String(raw['op'] ?? 'unknown');
  const needsFrom = op === 'move' || op === 'copy';
  return {
    op, path: pointer(raw['path'], 'path'), pathText: String(raw['path']), value: raw['value'] ?? null,
    ...(needsFrom ? { from: pointer(raw['from'], 'from') } : {}),
  };
}

type Container = Record<string, unknown> | unknown[];

function containerOf(document: unknown, path: readonly string[], operation: Operation): Container {
  let at: unknown = document;
  for (const part of path.slice(0, -1)) {
    at = Array.isArray(at) ? at[indexIn(at, part, operation, at.length - 1)] : isRecord(at) ? ownField(at, part) : undefined;
    if (at === undefined) break;
  }
  if (Array.isArray(at) || isRecord(at)) return at;
  throw new JsonPatchError(`${operation.op} operation does not apply: doc is missing path: "${operation.pathText}": missing value`);
}

function indexIn(array: readonly unknown[], part: string, operation: Operation, max: number): number {
  const index = /^-?\d+$/.test(part) ? Number(part) : NaN;
  const positive = index < 0 ? index + array.length : index;
  if (!(positive >= 0 && positive <= max)) {
    throw new JsonPatchError(`${operation.op} operation does not apply: doc is missing key: ${operation.pathText}: Unable to access invalid index: ${part}: invalid index referenced`);
  }
  return positive;
}

function read(document: unknown, path: readonly string[], operation: Operation): unknown {
  if (path.length === 0) return document;
  const container = containerOf(document, path, operation);
  const last = path.at(-1) ?? '';
  return Array.isArray(container) ? container[indexIn(container, last, operation, container.length - 1)] : ownField(container, last);
}

function add(document: unknown, path: readonly string[], value: unknown, operation: Operation): unknown {
  if (path.length === 0) return value;
  const container = containerOf(document, path, operation);
  const last = path.at(-1) ?? '';
  if (!Array.isArray(container)) setOwn(container, last, value);
  else if (last === '-') container.push(value);
  else container.splice(indexIn(container, last, operation, container.length), 0, value);
  return document;
}

function remove(document: unknown, path: readonly string[], operation: Operation): void {
  const container = containerOf(document, path, operation);
  const last = path.at(-1) ?? '';
  if (Array.isArray(container)) container.splice(indexIn(container, last, operation, container.length - 1), 1);
  else if (Object.hasOwn(container, last)) delete container[last];
  else throw new JsonPatchError(`remove operation does not apply: doc is missing path: "${operation.pathText}": missing value`);
}

/** Returns the patched copy. Throws JsonPatchFormatError or JsonPatchError. */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new JsonPatchFormatError('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  if (patch.length > MAX_JSON_PATCH_OPERATIONS) {
    throw new JsonPatchFormatError(`The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${patch.length}`);
  }
  let document: unknown = structuredClone(target);
  for (const operation of patch.map(parseOperation)) {
    const { op, path, value } = operation;
    switch (op) {
      case 'add':
        document = add(document, path, structuredClone(value), operation);
        break;
      case 'remove':
        remove(document, path, operation);
        break;
      case 'replace':
        if (path.length > 0 && read(document, path, operation) === undefined) {
          throw new JsonPatchError(`replace operation does not apply: doc is missing key: ${operation.pathText}: missing value`);
        }
        if (path.length > 0) remove(document, path, operation);
        document = add(document, path, structuredClone(value), operation);
        break;
      case 'test':
        if (!jsonEqual(read(document, path, operation) ?? null, value)) throw new JsonPatchError(`testing value ${operation.pathText} failed: test failed`);
        break;
      case 'move': case 'copy': {
        const from = operation.from ?? [];
        const moved = read(document, from, operation);
        if (moved === undefined) throw new JsonPatchError(`${op} operation does not apply: doc is missing key: /${from.join('/')}: missing value`);
        if (op === 'move') remove(document, from, operation);
        document = add(document, path, structuredClone(moved), operation);
        break;
      }
      default:
        throw new JsonPatchFormatError(`Unexpected kind: ${op}`);
    }
  }
  return document;
}
