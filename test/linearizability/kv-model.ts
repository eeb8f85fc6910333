// What etcd promises of its keys, as models for the checker: the whole store with its revisions, and one key by itself.
import type { Interval, Model } from './checker.ts';

/** Values are unique over a run, so that a value tells who wrote it. */
export interface KeyState {
  readonly value: string;
  readonly version: number;
  readonly createRevision: number;
  readonly modRevision: number;
}

export type Change =
  | { readonly type: 'get'; readonly key: string }
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string };

/** Is it equal? */
export type Condition = { readonly key: string } & (
  | { readonly target: 'value'; readonly value: string }
  | { readonly target: 'version' | 'create' | 'mod'; readonly value: number });

/** All requests are transactions: a plain put is one without conditions. */
export interface Transaction {
  readonly conditions: readonly Condition[];
  readonly success: readonly Change[];
  readonly failure: readonly Change[];
}

/** For each change of the branch taken: what the key had before. */
export interface Outcome {
  readonly revision: number;
  readonly succeeded: boolean;
  readonly before: readonly (KeyState | undefined)[];
}

export interface Operation extends Interval {
  readonly client: number;
  readonly member: number;
  readonly request: Transaction;
  /** Absent when no answer came. */
  readonly outcome?: Outcome;
  /** Known from elsewhere of one without an answer: where it can have happened. */
  readonly revisions?: readonly number[];
}

/** Where the operation changed something, as far as is known. */
export function writtenAt({ request, outcome, revisions, isOptional }: Operation): number | undefined {
  if (outcome === undefined) return isOptional ? undefined : revisions?.[0];
  const changes = outcome.succeeded ? request.success : request.failure;
  return changes.some((change, at) => isWrite(change) && (change.type === 'put' || outcome.before[at] !== undefined)) ? outcome.revision : undefined;
}

export interface Store {
  readonly revision: number;
  readonly keys: ReadonlyMap<string, KeyState>;
  key?: string;
}

const isWrite = ({ type }: Change): boolean => type !== 'get';

function holds(condition: Condition, state: KeyState | undefined): boolean {
  switch (condition.target) {
    case 'value': return state?.value === condition.value;
    case 'version': return (state?.version ?? 0) === condition.value;
    case 'create': return (state?.createRevision ?? 0) === condition.value;
    case 'mod': return (state?.modRevision ?? 0) === condition.value;
  }
}

const isSame = (a: KeyState | undefined, b: KeyState | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.value === b.value && a.version === b.version && a.createRevision === b.createRevision && a.modRevision === b.modRevision);

const putOn = (before: KeyState | undefined, value: string, revision: number): KeyState =>
  ({ value, version: (before?.version ?? 0) + 1, createRevision: before === undefined ? revision : before.createRevision, modRevision: revision });

export interface Taken {
  readonly succeeded: boolean;
  readonly before: readonly (KeyState | undefined)[];
  readonly keys: ReadonlyMap<string, KeyState>;
  readonly hasWritten: boolean;
}

/** What a transaction does to keys when it gets `revision`. No key is written twice in one transaction. */
export function take(keys: ReadonlyMap<string, KeyState>, { conditions, success, failure }: Transaction, revision: number): Taken {
  const succeeded = conditions.every((condition) => holds(condition, keys.get(condition.key)));
  const changes = succeeded ? success : failure;
  const before = changes.map(({ key }) => keys.get(key));
  const hasWritten = changes.some((change) => isWrite(change) && (change.type === 'put' || keys.has(change.key)));
  if (!hasWritten) return { succeeded, before, keys, hasWritten };
  const after = new Map(keys);
  for (const change of changes) {
    if (change.type === 'put') after.set(change.key, putOn(keys.get(change.key), change.value, revision));
    else if (change.type === 'delete') after.delete(change.key);
  }
  return { succeeded, before, keys: after, hasWritten };
}

/**
 * The whole store. Every write has the revision after that of the write before; revisions of changes to other keys (`isForeign`)
 * lie between, and a read may tell one of those.
 */
export function storeModel(initialRevision: number, isForeign: (revision: number) => boolean = () => false): Model<Store, Operation> {
  const follows = (from: number, to: number): boolean => {
    for (let revision = from + 1; revision <= to; revision += 1) if (!isForeign(revision)) return false;
    return to >= from;
  };
  const nextWrite = (from: number): number => {
    let revision = from + 1;
    while (isForeign(revision)) revision += 1;
    return revision;
  };
  return {
    initial: { revision: initialRevision, keys: new Map() },
    step(state, { request, outcome, revisions }) {
      const revision = nextWrite(state.revision);
      const taken = take(state.keys, request, revision);
      if (outcome === undefined) {
        // Without an effect it need not have happened.
        if (!taken.hasWritten) return undefined;
        return revisions === undefined || revisions.includes(revision) ? { revision, keys: taken.keys } : undefined;
      }
      if (taken.succeeded !== outcome.succeeded || !taken.before.every((kv, at) => isSame(kv, outcome.before[at]))) return undefined;
      if (taken.hasWritten) return outcome.revision === revision ? { revision, keys: taken.keys } : undefined;
      if (outcome.revision === state.revision) return state;
      return follows(state.revision, outcome.revision) ? { revision: outcome.revision, keys: state.keys } : undefined;
    },
    key: (state) => (state.key ??= `${state.revision}:${[...state.keys].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, { value, version, createRevision, modRevision }]) => `${key}=${value},${version},${createRevision},${modRevision}`).join(';')}`),
  };
}

/** Of one key; revisions that nobody was told are 0 until a read tells them. */
export interface Register {
  readonly kv: KeyState | undefined;
  /** The newest revision that was told. */
  readonly revision: number;
}

const isLike = (known: KeyState | undefined, seen: KeyState | undefined): boolean =>
  known === undefined || seen === undefined
    ? known === seen
    : known.value === seen.value && known.version === seen.version && (known.modRevision === 0 || known.modRevision === seen.modRevision) && (known.createRevision === 0 || known.createRevision === seen.createRevision);

/** What is known of a condition on a key whose revisions may be unknown. */
function mayHold(condition: Condition, kv: KeyState | undefined, expected: boolean): boolean {
  const isUnknown = kv !== undefined && ((condition.target === 'mod' && kv.modRevision === 0) || (condition.target === 'create' && kv.createRevision === 0));
  return isUnknown ? condition.value !== 0 || !expected : holds(condition, kv) === expected;
}

export const registerModel: Model<Register, Operation> = {
  initial: { kv: undefined, revision: 0 },
  step({ kv, revision }, { request: { conditions, success, failure }, outcome, revisions }) {
    if (outcome === undefined) {
      const at = revisions?.length === 1 ? (revisions[0] as number) : 0;
      if (at !== 0 && at <= revision) return undefined;
      // Which branch was taken is not known; the one without writes is the same as never having happened.
      if (!conditions.every((condition) => mayHold(condition, kv, true))) return undefined;
      const change = success.find(isWrite);
      if (change === undefined) return { kv, revision };
      return { kv: change.type === 'put' ? putOn(kv, change.value, at) : undefined, revision: Math.max(revision, at) };
    }
    // A failed transaction with several conditions does not tell which one failed.
    const tells = outcome.succeeded || conditions.length === 1;
    if (tells && !conditions.every((condition) => mayHold(condition, kv, outcome.succeeded))) return undefined;
    const changes = outcome.succeeded ? success : failure;
    if (!changes.every((_, at) => isLike(kv, outcome.before[at]))) return undefined;
    const seen = changes.length > 0 ? outcome.before[0] : kv;
    const write = changes.find(isWrite);
    const hasWritten = write !== undefined && (write.type === 'put' || seen !== undefined);
    if (hasWritten ? outcome.revision <= revision : outcome.revision < revision) return undefined;
    if ((seen?.modRevision ?? 0) > outcome.revision) return undefined;
    if (write === undefined) return { kv: seen, revision: outcome.revision };
    return { kv: write.type === 'put' ? putOn(seen, write.value, outcome.revision) : undefined, revision: outcome.revision };
  },
  key: ({ kv, revision }) => (kv === undefined ? String(revision) : `${revision}:${kv.value},${kv.version},${kv.createRevision},${kv.modRevision}`),
};

/**
 * What the operations do to each key by itself: necessary for the whole to be linearizable, and quick to check. A transaction whose
 * outcome is not known and whose conditions are on other keys may, seen from this key, have happened or not.
 */
export function partitionByKey(operations: readonly Operation[]): Map<string, Operation[]> {
  const partitions = new Map<string, Operation[]>();
  for (const operation of operations) {
    const { conditions, success, failure } = operation.request;
    const keys = new Set([...conditions, ...success, ...failure].map(({ key }) => key));
    for (const key of keys) {
      const part = projectOn(key, operation);
      if (part === undefined) continue;
      const partition = partitions.get(key);
      if (partition === undefined) partitions.set(key, [part]);
      else partition.push(part);
    }
  }
  return partitions;
}

function projectOn(key: string, operation: Operation): Operation | undefined {
  const { request, outcome } = operation;
  const ofKey = <T extends { key: string }>(items: readonly T[]): T[] => items.filter((item) => item.key === key);
  const all = ofKey(request.conditions);
  // One that failed fails by any of its conditions.
  const conditions = outcome?.succeeded === false && all.length < request.conditions.length ? [] : all;
  const projected = { conditions, success: ofKey(request.success), failure: ofKey(request.failure) };
  if (outcome === undefined) return projected.success.some(isWrite) ? { ...operation, request: projected } : undefined;
  const changes = outcome.succeeded ? request.success : request.failure;
  const before = outcome.before.filter((_, at) => changes[at]?.key === key);
  return conditions.length + before.length === 0 ? undefined : { ...operation, request: projected, outcome: { ...outcome, before } };
}
