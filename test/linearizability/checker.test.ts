// The checker against all orders tried one by one, and the models against histories that etcd must not and may produce.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom, type Random } from '#lib/environment/random.ts';
import { checkLinearizable, type CheckOptions, type Interval, type Model } from './checker.ts';
import { partitionByKey, registerModel, storeModel, type KeyState, type Operation, type Outcome, type Transaction } from './kv-model.ts';

const options: CheckOptions = { timeLimitMs: 10_000, nowMs: () => performance.now() };

/** Of one variable: what was written, or what was read. */
interface Access extends Interval { readonly write?: number; readonly read?: number }
const variable: Model<number, Access> = {
  initial: 0,
  step: (state, { write, read }) => (write !== undefined ? write : read === undefined || read === state ? state : undefined),
  key: String,
};

/** By trying every order. */
function canBeOrdered(operations: readonly Access[], state = 0): boolean {
  if (operations.every(({ isOptional }) => isOptional)) return true;
  const firstReturn = Math.min(...operations.filter(({ isOptional }) => !isOptional).map((operation) => operation.return));
  return operations.some((operation, at) => {
    if (operation.call > firstReturn) return false;
    const after = variable.step(state, operation);
    return after !== undefined && canBeOrdered(operations.toSpliced(at, 1), after);
  });
}

function randomAccesses(random: Random): Access[] {
  let time = 0;
  const open: { call: number; access: Omit<Access, 'call' | 'return'> }[] = [];
  const accesses: Access[] = [];
  for (let step = 0; step < 14; step += 1) {
    time += 1;
    if (open.length > 0 && (open.length === 3 || integerBelow(random, 2) === 0)) {
      const [{ call, access }] = open.splice(integerBelow(random, open.length), 1) as [typeof open[number]];
      accesses.push(integerBelow(random, 6) === 0 ? { ...access, call, return: Infinity, isOptional: true } : { ...access, call, return: time });
    } else {
      open.push({ call: time, access: integerBelow(random, 2) === 0 ? { write: 1 + integerBelow(random, 3) } : { read: integerBelow(random, 3) } });
    }
  }
  return accesses;
}

test('the checker and the trying of every order come to the same verdict', () => {
  const random = seededRandom(7);
  const counts = { linearizable: 0, 'not linearizable': 0, unknown: 0 };
  for (let round = 0; round < 3000; round += 1) {
    const accesses = randomAccesses(random);
    const { result } = checkLinearizable(variable, accesses, options);
    counts[result] += 1;
    assert.equal(result, canBeOrdered(accesses) ? 'linearizable' : 'not linearizable', JSON.stringify(accesses));
  }
  assert.ok(counts.linearizable > 200 && counts['not linearizable'] > 200, JSON.stringify(counts));
});

test('a search that takes too long says that nothing is known', () => {
  // Writes that all overlap, and a value that nobody wrote: every subset would have to be tried.
  const writes = Array.from({ length: 24 }, (_, at): Access => ({ write: at + 1, call: at, return: 100 + at }));
  assert.equal(checkLinearizable(variable, [...writes, { read: 99, call: 50, return: 99 }], { ...options, timeLimitMs: 20 }).result, 'unknown');
});

/** A history in lines: who, from, to, what. */
class History {
  readonly operations: Operation[] = [];

  add(call: number, end: number, request: Partial<Transaction>, outcome?: Outcome, revisions?: number[]): this {
    const full = { conditions: [], success: [], failure: [], ...request };
    this.operations.push({ client: this.operations.length, member: 0, call, return: end, request: full, ...(outcome === undefined ? { isOptional: true } : { outcome }), ...(revisions === undefined ? {} : { revisions }) });
    return this;
  }
  put(call: number, end: number, key: string, value: string, revision?: number, before?: KeyState): this {
    return this.add(call, end, { success: [{ type: 'put', key, value }] }, revision === undefined ? undefined : { revision, succeeded: true, before: [before] });
  }
  get(call: number, end: number, key: string, revision: number, kv?: KeyState): this {
    return this.add(call, end, { success: [{ type: 'get', key }] }, { revision, succeeded: true, before: [kv] });
  }
  /** Both verdicts: of the whole store, and key by key. */
  check(): readonly [string, string] {
    const parts = [...partitionByKey(this.operations).values()].map((part) => checkLinearizable(registerModel, part, options).result);
    return [checkLinearizable(storeModel(1), this.operations, options).result, parts.find((result) => result !== 'linearizable') ?? 'linearizable'];
  }
}
const kv = (value: string, modRevision: number, version = 1, createRevision = modRevision): KeyState => ({ value, version, createRevision, modRevision });
const BOTH = ['linearizable', 'linearizable'];
const NEITHER = ['not linearizable', 'not linearizable'];

test('concurrent writes may come in either order, and reads beside them may see either', () => {
  assert.deepEqual(new History().put(1, 10, 'a', 'x', 3, kv('y', 2)).put(2, 9, 'a', 'y', 2).get(3, 4, 'a', 1).get(5, 6, 'a', 2, kv('y', 2)).get(11, 12, 'a', 3, kv('x', 3, 2, 2)).check(), BOTH);
});

test('a stale read is found', () => {
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).put(3, 4, 'a', 'y', 3, kv('x', 2)).get(5, 6, 'a', 2, kv('x', 2)).check(), NEITHER);
});

test('a read that goes back in time is found, though a write was under way all the time', () => {
  const seen = kv('y', 3, 2, 2);
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).put(3, 20, 'a', 'y', 3, kv('x', 2)).get(5, 6, 'a', 3, seen).get(7, 8, 'a', 2, kv('x', 2)).check(), NEITHER);
});

test('an acknowledged write that is lost is found', () => {
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).put(3, 4, 'a', 'y', 3, kv('x', 2)).put(5, 6, 'a', 'z', 3, kv('x', 2)).check(), NEITHER);
});

test('two sides of a split that both take writes are found', () => {
  assert.deepEqual(new History().put(1, 10, 'a', 'x', 2).put(2, 9, 'b', 'y', 2).check()[0], 'not linearizable');
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).put(3, 4, 'a', 'left', 3, kv('x', 2)).put(3.5, 4.5, 'a', 'right', 3, kv('x', 2)).check(), NEITHER);
});

test('a write that is applied twice is found', () => {
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).get(3, 4, 'a', 3, kv('x', 3, 2, 2)).check(), NEITHER);
  // Without an answer, too: it may have happened once, at any time, but not twice.
  assert.deepEqual(new History().put(1, Infinity, 'a', 'x').get(3, 4, 'a', 2, kv('x', 2)).get(5, 6, 'a', 3, kv('x', 3, 2, 2)).check(), NEITHER);
});

test('a write without an answer may have happened, at any time after its call, or not', () => {
  assert.deepEqual(new History().put(1, Infinity, 'a', 'x').get(2, 3, 'a', 1).get(4, 5, 'a', 1).check(), BOTH);
  assert.deepEqual(new History().put(1, Infinity, 'a', 'x').get(2, 3, 'a', 1).get(4, 5, 'a', 2, kv('x', 2)).check(), BOTH);
  assert.deepEqual(new History().put(4, Infinity, 'a', 'x').get(2, 3, 'a', 2, kv('x', 2)).check(), NEITHER);
  // Once seen, it stays.
  assert.deepEqual(new History().put(1, Infinity, 'a', 'x').get(2, 3, 'a', 2, kv('x', 2)).get(4, 5, 'a', 1).check(), NEITHER);
});

test('a write whose revision is known from elsewhere happened there and nowhere else', () => {
  const put = { success: [{ type: 'put', key: 'a', value: 'x' }] } as const;
  assert.deepEqual(new History().add(1, Infinity, put, undefined, [2]).get(4, 5, 'a', 2, kv('x', 2)).check(), BOTH);
  assert.deepEqual(new History().add(1, Infinity, put, undefined, [3]).get(4, 5, 'a', 2, kv('x', 2)).check(), NEITHER);
});

test('compare-and-swap: one of two with the same condition succeeds', () => {
  const swap = (value: string): Partial<Transaction> => ({ conditions: [{ key: 'a', target: 'mod', value: 2 }], success: [{ type: 'put', key: 'a', value }], failure: [{ type: 'get', key: 'a' }] });
  const first = { revision: 3, succeeded: true, before: [kv('x', 2)] };
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).add(3, 6, swap('y'), first).add(4, 7, swap('z'), { revision: 3, succeeded: false, before: [kv('y', 3, 2, 2)] }).check(), BOTH);
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).add(3, 6, swap('y'), first).add(4, 7, swap('z'), { revision: 4, succeeded: true, before: [kv('y', 3, 2, 2)] }).check(), NEITHER);
  assert.deepEqual(new History().put(1, 2, 'a', 'x', 2).add(3, 6, swap('y'), { revision: 2, succeeded: false, before: [kv('x', 2)] }).check(), NEITHER);
});

test('a transaction over two keys is seen as a whole or not at all', () => {
  const both = { success: [{ type: 'put', key: 'a', value: 'x' }, { type: 'put', key: 'b', value: 'y' }] } as const;
  const read = { success: [{ type: 'get', key: 'a' }, { type: 'get', key: 'b' }] } as const;
  const written = { revision: 2, succeeded: true, before: [undefined, undefined] };
  assert.equal(new History().add(1, 9, both, written).add(2, 3, read, { revision: 2, succeeded: true, before: [kv('x', 2), kv('y', 2)] }).check()[0], 'linearizable');
  assert.equal(new History().add(1, 9, both, written).add(2, 3, read, { revision: 1, succeeded: true, before: [kv('x', 2), undefined] }).check()[0], 'not linearizable');
});

test('changes to other keys take revisions, which reads may tell', () => {
  const { operations } = new History().put(1, 2, 'a', 'x', 2).get(3, 4, 'a', 4, kv('x', 2)).put(5, 6, 'a', 'y', 5, kv('x', 2));
  assert.equal(checkLinearizable(storeModel(1, (revision) => revision === 3 || revision === 4), operations, options).result, 'linearizable');
  assert.equal(checkLinearizable(storeModel(1, (revision) => revision === 3), operations, options).result, 'not linearizable');
});

test('what is not linearizable is shown with what was going on beside it', () => {
  const { operations } = new History().put(1, 2, 'a', 'x', 2).put(3, 4, 'a', 'y', 3, kv('x', 2)).get(5, 8, 'a', 2, kv('x', 2)).get(6, 7, 'a', 3, kv('y', 3, 2, 2));
  const verdict = checkLinearizable(storeModel(1), operations, options);
  assert.equal(verdict.result, 'not linearizable');
  assert.ok(verdict.result === 'not linearizable' && verdict.blocked === operations[2] && verdict.concurrent[0] === operations[3] && verdict.state.revision === 3);
});
