// The store against a model too simple to be wrong: a copy of all pairs for every revision. Between commands the store is
// thrown away now and then and restored from what it wrote. SEED=n replays one run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom, type Random } from '#lib/environment/random.ts';
import type { RangeRequestInput, RequestOpInput } from '#lib/etcd-api/messages.ts';
import { checkTxn } from './check-request.ts';
import { Store, type Applied, type Command, type CommandType, type Lease, type Write } from './store.ts';
import { compactTo, deleteRange, EVERYTHING, put, range, restored, stored, txn, watchOf, type StoredEntry } from './testing.ts';
import { WatchStream } from './watch-stream.ts';

const STEPS = 400;
const KEYS = ['a', 'a/1', 'a/2', 'b', 'b/1', 'c', '\xfe', 'd/long/key'];

interface Pair { readonly value: string; readonly createRevision: number; readonly modRevision: number; readonly version: number; readonly lease: bigint }
type Pairs = ReadonlyMap<string, Pair>;

/** What the disk would hold. */
class Disk {
  readonly entries = new Map<string, StoredEntry>();
  readonly leases = new Map<bigint, Lease>();
  compacted = 0;
  /** All up to here is on it. */
  durableRevision = 0;
  private readonly waiting: { readonly writes: readonly Write[]; readonly revision: number }[] = [];

  /** Once it is flushed. */
  write(writes: readonly Write[], revision: number): void {
    this.waiting.push({ writes, revision });
  }

  get isFlushed(): boolean {
    return this.waiting.length === 0;
  }

  flush(): void {
    for (const { writes, revision } of this.waiting.splice(0)) {
      this.carryOut(writes);
      this.durableRevision = revision;
    }
  }

  private carryOut(writes: readonly Write[]): void {
    for (const write of writes) {
      if (write.type === 'put-entry') this.entries.set(`${write.entry.modRevision}/${write.entry.subRevision}`, stored(write.entry));
      else if (write.type === 'delete-entry') assert.ok(this.entries.delete(`${write.entry.modRevision}/${write.entry.subRevision}`));
      else if (write.type === 'put-lease') this.leases.set(write.lease.id, write.lease);
      else if (write.type === 'delete-lease') this.leases.delete(write.id);
      else if (write.type === 'compacted') this.compacted = write.revision;
    }
  }

  /** `compactedAtOnce`: how much of a compaction is done in one step. */
  restore(revision: number, compactedAtOnce?: number): Store {
    this.flush();
    return new Store((entry) => this.entries.get(`${entry.modRevision}/${entry.subRevision}`)?.value ?? assert.fail('not on disk'),
      { ...restored(this.entries.values()), leases: this.leases.values(), compactRevision: this.compacted, revision }, compactedAtOnce);
  }
}

class Model {
  readonly states: Pairs[] = [new Map(), new Map()]; // revisions 0 and 1
  readonly leases = new Set<bigint>();
  compacted = 0;

  get revision(): number {
    return this.states.length - 1;
  }

  get current(): Map<string, Pair> {
    return new Map(this.states.at(-1));
  }

  /** Runs `change` on a copy, which becomes the next revision when something was changed. */
  change(change: (pairs: Map<string, Pair>, revision: number) => boolean): void {
    const next = this.current;
    if (change(next, this.revision + 1)) this.states.push(next);
  }
}

const pick = <T>(random: Random, items: readonly T[]): T => items[integerBelow(random, items.length)] as T;
const chance = (random: Random, probability: number): boolean => random.fraction() < probability;

function randomRange(random: Random): { key: string; rangeEnd?: string } {
  const key = pick(random, KEYS);
  if (chance(random, 0.4)) return { key };
  return { key, rangeEnd: chance(random, 0.3) ? '\0' : pick(random, KEYS) };
}
const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const wire = ({ key, rangeEnd }: { key: string; rangeEnd?: string }) => ({ key: latin(key), ...(rangeEnd === undefined ? {} : { rangeEnd: latin(rangeEnd) }) });
const inRange = ({ key, rangeEnd }: { key: string; rangeEnd?: string }, candidate: string): boolean =>
  (rangeEnd === undefined ? candidate === key : candidate >= key && (rangeEnd === '\0' || candidate < rangeEnd));

type Change = (pairs: Map<string, Pair>, revision: number) => boolean;

function randomChange(random: Random, model: Model, step: number): { op: RequestOpInput; change: Change } {
  if (chance(random, 0.7)) {
    const key = pick(random, KEYS);
    const value = `v${step}-${integerBelow(random, 1000)}`;
    const lease = chance(random, 0.3) && model.leases.size > 0 ? pick(random, [...model.leases]) : 0n;
    return {
      op: { requestPut: { key: latin(key), value, lease } },
      change: (pairs, revision) => {
        const previous = pairs.get(key);
        pairs.set(key, { value, lease, modRevision: revision, createRevision: previous?.createRevision ?? revision, version: (previous?.version ?? 0) + 1 });
        return true;
      },
    };
  }
  const keys = randomRange(random);
  return {
    op: { requestDeleteRange: wire(keys) },
    change: (pairs) => [...pairs.keys()].filter((key) => inRange(keys, key)).map((key) => pairs.delete(key)).length > 0,
  };
}

interface Step { readonly command: Command; readonly expect: () => void }

function randomStep(random: Random, model: Model, step: number): Step | undefined {
  const dice = random.fraction();
  if (dice < 0.08) {
    const id = BigInt(step + 1);
    return { command: { type: 'leaseGrant', request: { ID: id, TTL: 60 } }, expect: () => void model.leases.add(id) };
  }
  if (dice < 0.12 && model.leases.size > 0) {
    const id = pick(random, [...model.leases]);
    return {
      command: { type: 'leaseRevoke', request: { ID: id } },
      expect: () => {
        model.leases.delete(id);
        model.change((pairs) => [...pairs].filter(([, { lease }]) => lease === id).map(([key]) => pairs.delete(key)).length > 0);
      },
    };
  }
  if (dice < 0.16) {
    const revision = model.compacted + 1 + integerBelow(random, 12);
    if (revision > model.revision) return undefined;
    return { command: compactTo(revision), expect: () => { model.compacted = revision; } };
  }
  if (dice < 0.45) return randomTxn(random, model, step);
  const { op, change } = randomChange(random, model, step);
  return { command: op.requestPut ? put(op.requestPut) : deleteRange(op.requestDeleteRange ?? {}), expect: () => model.change(change) };
}

function randomTxn(random: Random, model: Model, step: number): Step | undefined {
  const key = pick(random, KEYS);
  const modRevision = chance(random, 0.5) ? model.current.get(key)?.modRevision ?? 0 : 3;
  const branches = [0, 1].map(() => Array.from({ length: integerBelow(random, 4) }, () => randomChange(random, model, step)));
  const [success = [], failure = []] = branches;
  const command = txn({
    compare: [{ target: 'MOD', result: 'EQUAL', key: latin(key), modRevision }], success: success.map(({ op }) => op), failure: failure.map(({ op }) => op),
  });
  try {
    checkTxn(command.request, 128);
  } catch {
    return undefined; // an overlap of its operations, which is tested elsewhere
  }
  const chosen = (model.current.get(key)?.modRevision ?? 0) === modRevision ? success : failure;
  return { command, expect: () => model.change((pairs, revision) => chosen.map(({ change }) => change(pairs, revision)).includes(true)) };
}

function checkRanges(random: Random, store: Store, model: Model): void {
  const revision = chance(random, 0.5) ? 0 : Math.max(model.compacted, 1) + integerBelow(random, model.revision - Math.max(model.compacted, 1) + 1);
  const keys = randomRange(random);
  const limit = chance(random, 0.3) ? 1 + integerBelow(random, 3) : 0;
  const sort: Pick<RangeRequestInput, 'sortOrder'> = chance(random, 0.3) ? { sortOrder: 'DESCEND' } : {};
  const expected = [...(model.states[revision || model.revision] ?? new Map<string, Pair>())].filter(([key]) => inRange(keys, key)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (sort.sortOrder) expected.reverse();
  const response = store.range(range({ ...wire(keys), revision, limit, ...sort }), store.revision);
  assert.equal(response.count, expected.length);
  assert.equal(response.more, limit > 0 && expected.length > limit);
  assert.deepEqual(
    response.kvs.map(({ key, value, ...rest }) => ({ key: key.toString('latin1'), value: value.toString(), ...rest })),
    expected.slice(0, limit || undefined).map(([key, pair]) => ({ key, ...pair })));
}

/** The events from `start` on, replayed over the state before it, give each later state. */
function checkWatch(random: Random, store: Store, model: Model): void {
  const start = Math.max(model.compacted, 2) + integerBelow(random, 10);
  if (start > model.revision) return;
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: EVERYTHING.key, rangeEnd: EVERYTHING.rangeEnd, startRevision: start, prevKv: true }), store.revision);
  const pairs = new Map([...(model.states[start - 1] ?? [])].map(([key, { value }]) => [key, value]));
  let before = new Map(pairs); // as of the revision before: what happens within one is not told as previous
  let seen = start;
  for (const { events, canceled } of stream.takeResponses(store.revision)) {
    assert.equal(canceled, false);
    for (const { type, kv, prevKv } of events) {
      const key = kv?.key.toString('latin1') ?? '';
      assert.ok((kv?.modRevision ?? 0) >= seen);
      if ((kv?.modRevision ?? 0) > seen) before = new Map(pairs);
      seen = kv?.modRevision ?? 0;
      if (seen > model.compacted + 1) assert.equal(prevKv?.value.toString(), kv?.version === 1 ? undefined : before.get(key));
      if (type === 'PUT') pairs.set(key, kv?.value.toString() ?? '');
      else pairs.delete(key);
    }
  }
  assert.deepEqual(new Map([...pairs].sort()), new Map([...model.current].map(([key, { value }]): [string, string] => [key, value]).sort()));
}

const summary = (write: Write): string => {
  if (write.type === 'compacted') return `compacted ${write.revision}`;
  if (write.type === 'put-record' || write.type === 'delete-record') return write.type;
  if (write.type === 'delete-lease' || write.type === 'put-lease') return `${write.type} ${'id' in write ? write.id : write.lease.id}`;
  const { key, modRevision, subRevision, deleted, version, lease } = write.entry;
  return [write.type, key, modRevision, subRevision, deleted, version, lease].join(' ');
};

const seeds = process.env['SEED'] !== undefined ? [Number(process.env['SEED'])] : Array.from({ length: 60 }, (_, at) => at + 1);
for (const seed of seeds) {
  test(`the store agrees with the model through ${STEPS} commands, restarts and compactions (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const model = new Model();
    const disk = new Disk();
    const compactedAtOnce = seed % 2 === 0 ? 2 : undefined; // half of them remove step by step what a compaction made obsolete
    let store = disk.restore(0, compactedAtOnce);
    const twinDisk = new Disk();
    const twin = twinDisk.restore(0);
    for (let step = 0; step < STEPS; step += 1) {
      const next = randomStep(random, model, step);
      if (next === undefined) continue;
      const applied: Applied<CommandType> = store.apply(next.command);
      assert.ok('response' in applied.result, `step ${step}: ${'refused' in applied.result ? applied.result.refused : ''}`);
      const elsewhere = twin.apply(next.command); // the same history gives the same on a member that never restarted
      assert.deepEqual(elsewhere.result, applied.result);
      const told = (writes: readonly Write[]): string[] => writes.filter(({ type }) => compactedAtOnce === undefined || type !== 'delete-entry').map(summary);
      assert.deepEqual(told(elsewhere.writes), told(applied.writes));
      disk.write(applied.writes, store.revision);
      twinDisk.write(elsewhere.writes, twin.revision);
      if (chance(random, 0.3)) disk.write(store.removeCompacted(), store.revision);
      if (chance(random, 0.3)) disk.flush();
      twinDisk.flush();
      next.expect();
      assert.equal(store.revision, model.revision);
      if (chance(random, 0.1)) store.releaseValues(integerBelow(random, 200), disk.durableRevision);
      if (chance(random, 0.05)) store = disk.restore(store.revision, compactedAtOnce);
      checkRanges(random, store, model);
      if (chance(random, 0.2)) checkWatch(random, store, model);
      if (disk.isFlushed) assert.equal(disk.entries.size, [...store.entriesUpTo(store.revision)].length);
      if (disk.isFlushed && !store.hasObsolete) assert.deepEqual([...disk.entries.keys()].sort(), [...twinDisk.entries.keys()].sort());
    }
    disk.write(store.removeCompacted(Infinity), store.revision);
    disk.flush();
    assert.deepEqual([...disk.entries.keys()].sort(), [...twinDisk.entries.keys()].sort());
  });
}
