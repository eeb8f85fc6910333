// What clients ask, drawn from a seed: few keys, so that they meet on them.
import type { CompareInput, KeyValue, RequestOpInput, ResponseOp, TxnRequestInput } from '#lib/etcd-api/messages.ts';
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { Change, Condition, KeyState, Transaction } from './kv-model.ts';

export const REGISTERS = '/registers/';
const KEYS = Array.from({ length: 8 }, (_, at) => `${REGISTERS}${at}`);

export type Request =
  | { readonly type: 'txn'; readonly name: string; readonly request: Transaction }
  | { readonly type: 'local-read'; readonly name: string; readonly keys: readonly string[]; readonly isOld: boolean };

/** Of a hundred requests so many are of this kind. */
const WEIGHTS = { put: 24, get: 24, delete: 6, 'compare-and-swap': 16, 'multi-key': 10, 'get-all': 6, 'local-get': 8, 'local-get-all': 4, 'old-get': 2 } as const;
const KINDS = Object.entries(WEIGHTS).flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind as keyof typeof WEIGHTS));

const pick = <T>(random: Random, items: readonly T[]): T => items[integerBelow(random, items.length)] as T;
export const pickKey = (random: Random): string => pick(random, KEYS);
const get = (key: string): Change => ({ type: 'get', key });
const plain = (name: string, ...success: readonly Change[]): Request => ({ type: 'txn', name, request: { conditions: [], success, failure: [] } });

/** `newValue` gives one that was never used; `lastSeen` is what some client last saw. */
export function nextRequest(random: Random, newValue: () => string, lastSeen: ReadonlyMap<string, KeyState>): Request {
  const kind = pick(random, KINDS);
  const key = pick(random, KEYS);
  switch (kind) {
    case 'put': return plain(kind, { type: 'put', key, value: newValue() });
    case 'get': return plain(kind, get(key));
    case 'delete': return plain(kind, { type: 'delete', key });
    case 'get-all': return plain(kind, ...KEYS.map(get));
    case 'compare-and-swap': return { type: 'txn', name: kind, request: { conditions: [conditionOn(random, key, lastSeen)], success: [{ type: 'put', key, value: newValue() }], failure: [get(key)] } };
    case 'multi-key': return { type: 'txn', name: kind, request: overSeveral(random, newValue, lastSeen) };
    case 'local-get': return { type: 'local-read', name: kind, keys: [key], isOld: false };
    case 'local-get-all': return { type: 'local-read', name: kind, keys: KEYS, isOld: false };
    case 'old-get': return { type: 'local-read', name: kind, keys: KEYS, isOld: true };
  }
}

function overSeveral(random: Random, newValue: () => string, lastSeen: ReadonlyMap<string, KeyState>): Transaction {
  const keys = [...KEYS].map((key) => ({ key, at: random.fraction() })).sort((a, b) => a.at - b.at).slice(0, 2 + integerBelow(random, 3)).map(({ key }) => key);
  const [first = '', ...others] = keys;
  const conditions = integerBelow(random, 2) === 0 ? [] : others.slice(0, 1 + integerBelow(random, 2)).map((key) => conditionOn(random, key, lastSeen));
  const success = [{ type: 'put', key: first, value: newValue() } as const, ...others.map((key): Change => {
    const kind = integerBelow(random, 4);
    return kind === 0 ? { type: 'delete', key } : kind === 1 ? get(key) : { type: 'put', key, value: newValue() };
  })];
  return { conditions, success, failure: keys.map(get) };
}

function conditionOn(random: Random, key: string, lastSeen: ReadonlyMap<string, KeyState>): Condition {
  const seen = lastSeen.get(key);
  switch (integerBelow(random, 5)) {
    case 0: return { key, target: 'version', value: seen?.version ?? 0 };
    case 1: return { key, target: 'create', value: seen?.createRevision ?? 0 };
    case 2: if (seen !== undefined) return { key, target: 'value', value: seen.value };
  }
  return { key, target: 'mod', value: seen?.modRevision ?? 0 };
}

export function toTxnRequest({ conditions, success, failure }: Transaction): TxnRequestInput {
  return { compare: conditions.map(toCompare), success: success.map(toRequestOp), failure: failure.map(toRequestOp) };
}

function toCompare(condition: Condition): CompareInput {
  const { key } = condition;
  switch (condition.target) {
    case 'value': return { key, result: 'EQUAL', target: 'VALUE', value: condition.value };
    case 'version': return { key, result: 'EQUAL', target: 'VERSION', version: condition.value };
    case 'create': return { key, result: 'EQUAL', target: 'CREATE', createRevision: condition.value };
    case 'mod': return { key, result: 'EQUAL', target: 'MOD', modRevision: condition.value };
  }
}

function toRequestOp(change: Change): RequestOpInput {
  const { key } = change;
  switch (change.type) {
    case 'get': return { requestRange: { key } };
    case 'put': return { requestPut: { key, value: change.value, prevKv: true } };
    case 'delete': return { requestDeleteRange: { key, prevKv: true } };
  }
}

/** What the key had before the change. */
export function beforeOf({ responseRange, responsePut, responseDeleteRange }: ResponseOp): KeyState | undefined {
  const kv = responseRange?.kvs[0] ?? responsePut?.prevKv ?? responseDeleteRange?.prevKvs[0];
  return kv === undefined ? undefined : keyStateOf(kv);
}

export const keyStateOf = ({ value, version, createRevision, modRevision }: KeyValue): KeyState => ({ value: Buffer.from(value).toString(), version, createRevision, modRevision });
