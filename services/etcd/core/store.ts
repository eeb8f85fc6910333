// The multi-version store: applies commands one after another and answers reads at any revision not yet compacted.
// Deterministic: the same commands in the same order give the same revisions, answers and writes on every member. It
// reads no clock: when a lease has expired is for the lessor to say, in a command of its own.
import type {
  AlarmMember, DeleteRangeRequest, DeleteRangeResponse, Event, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
} from '#lib/etcd-api/messages.ts';
import { Alarms, type AlarmRequest } from './alarms.ts';
import { AuthStore } from './auth/auth-store.ts';
import { RequestGuard } from './auth/check-command.ts';
import { NOBODY, type AuthCommand, type AuthRequests, type AuthResponses, type Requester } from './auth/commands.ts';
import type { BucketRecord, RecordWrite } from './bucket-record.ts';
import { bytesOf, keyOf, keyRange } from './key-range.ts';
import { entryAt, KeyIndex, liveEntryAt, type Entry, type KeyHistory } from './key-index.ts';
import { StoreError } from './store-error.ts';
import { HeldValues } from './held-values.ts';
import { heldValue } from './value-memory.ts';
import { hasPut, runTxn, type TxnTarget } from './txn.ts';
import { answerRange, keyOnly, selectRange, type RangeSource, type Selection } from './range.ts';
import type { EtcdErrorReason } from '#lib/etcd-api/errors.ts';

export interface Lease {
  readonly id: bigint;
  /** Seconds. */
  readonly grantedTtl: number;
  /** Seconds left at the last checkpoint; 0 when there was none since it was granted or renewed. */
  readonly remainingTtl: number;
  readonly keys: Set<string>;
}

interface Requests extends AuthRequests {
  put: PutRequest;
  deleteRange: DeleteRangeRequest;
  txn: TxnRequest;
  compact: { readonly revision: number };
  leaseGrant: { readonly ID: bigint; readonly TTL: number };
  leaseRevoke: { readonly ID: bigint };
  leaseCheckpoint: { readonly checkpoints: readonly { readonly ID: bigint; readonly remainingTTL: number }[] };
  alarm: AlarmRequest;
}
interface Responses extends AuthResponses {
  put: PutResponse;
  deleteRange: DeleteRangeResponse;
  txn: TxnResponse;
  compact: { header: ResponseHeader };
  leaseGrant: { header: ResponseHeader; ID: bigint; TTL: number; error: string };
  leaseRevoke: { header: ResponseHeader };
  leaseCheckpoint: { header: ResponseHeader };
  alarm: { header: ResponseHeader; alarms: AlarmMember[] };
}
export type CommandType = keyof Requests;
/** What is replicated: everything that changes the store. `by` matters only while authentication is on. */
export type Command<T extends CommandType = CommandType> = 
  { [K in T]: { readonly type: K; readonly request: Requests[K]; readonly by?: Requester | undefined } }[T];
export type ResponseTo<T extends CommandType> = Responses[T];

/** What has to reach the disk for a command, in one atomic batch. */
export type Write =
  | { readonly type: 'put-entry'; readonly entry: Entry }
  | { readonly type: 'delete-entry'; readonly entry: Entry }
  | { readonly type: 'put-lease'; readonly lease: Lease }
  | { readonly type: 'delete-lease'; readonly id: bigint }
  | { readonly type: 'compacted'; readonly revision: number }
  | RecordWrite;

export type Applied<T extends CommandType> = {
  /** A refused command leaves the store as it was. */
  readonly result: { readonly response: ResponseTo<T> } | { readonly refused: EtcdErrorReason };
  /** The changes of keys, for watchers; all of one revision. */
  readonly events: readonly Entry[];
  readonly writes: readonly Write[];
};

/** What the disk holds at start. */
export interface StoredState {
  /** In order of revision. */
  readonly entries: readonly Entry[];
  /** Those of the last of `entries`, as many as there is room for in memory. */
  readonly newestValues?: readonly Uint8Array[];
  readonly leases: Iterable<{ readonly id: bigint; readonly grantedTtl: number; readonly remainingTtl: number }>;
  /** 0 or less: never compacted. */
  readonly compactRevision: number;
  /** At least this is the revision, even when compaction removed the last deletions. */
  readonly revision: number;
  /** Alarms, users and roles. */
  readonly records?: readonly BucketRecord[];
}

/** Reads a value back that is not in memory. */
export type ReadValue = (entry: Entry) => Uint8Array;

/** The revision of an empty store. Source: etcd, mvcc.NewStore. */
const FIRST_REVISION = 1;
/** Source: etcd, mvcc.NewStore compactMainRev. */
const NOT_COMPACTED = -1;
/** Changes that a compaction looks at in one step; the others are for `removeCompacted`. Source: etcd, --compaction-batch-limit. */
export const COMPACTED_AT_ONCE = 1000;
/** Seconds; about three lost heartbeats of the default election timeout. Source: etcd 3.6, etcdserver.NewServer minTTL. */
const MIN_LEASE_TTL = 2;
/** Seconds. Source: etcd, lease.MaxLeaseTTL. */
const MAX_LEASE_TTL = 9_000_000_000;

export const newHeader = (revision: number): ResponseHeader => ({ clusterId: 0n, memberId: 0n, revision, raftTerm: 0 });

export class Store {
  readonly auth: AuthStore;
  readonly alarms: Alarms;
  /** What requests may do; asked for commands here, for reads by who answers them. */
  readonly guard: RequestGuard;
  private readonly index = new KeyIndex();
  /** Every change at or after the compaction, in order: what watchers that lag behind read. */
  private changes: Entry[] = [];
  /** Revisions that change a key twice: a transaction may put one and then delete it. */
  private readonly repeating = new Set<number>();
  private readonly leasesById = new Map<bigint, Lease>();
  private readonly readValue: ReadValue;
  private readonly compactedAtOnce: number;
  /** Changes up to the compaction whose keys may still have entries that it made obsolete, from a position on. Nobody can see those any more. */
  private obsolete: { readonly changes: readonly Entry[]; from: number } = { changes: [], from: 0 };
  private current = FIRST_REVISION;
  private compacted = NOT_COMPACTED;
  private totalBytes = 0;
  private readonly values = new HeldValues();
  private liveKeys = 0;

  constructor(readValue: ReadValue, stored?: StoredState, compactedAtOnce = COMPACTED_AT_ONCE) {
    this.readValue = readValue;
    this.compactedAtOnce = compactedAtOnce;
    this.auth = new AuthStore(stored?.records);
    this.alarms = new Alarms(stored?.records);
    this.guard = new RequestGuard(this.auth, this.leasesById);
    if (stored !== undefined) this.restore(stored);
  }

  get revision(): number {
    return this.current;
  }

  /** Reads and watches below this revision are refused; -1 before the first compaction. */
  get compactRevision(): number {
    return this.compacted;
  }

  get leases(): ReadonlyMap<bigint, Lease> {
    return this.leasesById;
  }

  /** Keys including those whose deletion is not compacted yet. */
  get keyCount(): number {
    return this.index.size;
  }

  /** Keys that are there now. */
  get liveKeyCount(): number {
    return this.liveKeys;
  }

  /** Bytes of all keys and values not yet compacted. */
  get sizeBytes(): number {
    return this.totalBytes;
  }

  /** `index`: of the command in the log, for the tokens of authentications. */
  apply<T extends CommandType>(command: Command<T>, index = 0): Applied<T> {
    const change = new Change(this.current);
    try {
      this.admit(command as Command);
      const response = this.execute(command as Command, change, index) as ResponseTo<T>;
      return { result: { response }, events: change.entries, writes: change.writes };
    } catch (error) {
      // Refusals come before the first change, so there is nothing to undo.
      if (!(error instanceof StoreError) || change.writes.length > 0) throw error;
      return { result: { refused: error.reason }, events: [], writes: [] };
    }
  }

  /** Alarms and permissions. Source: etcd v3.6, server/etcdserver/apply. */
  private admit(command: Command): void {
    if (this.alarms.isCorrupt && REFUSED_WHEN_CORRUPT.has(command.type)) throw new StoreError('Corrupt');
    if (this.alarms.isCapped && needsSpace(command)) throw new StoreError('NoSpace');
    if (!this.auth.isEnabled) return;
    const { by = NOBODY } = command;
    switch (command.type) {
      case 'put': return this.guard.put(by, command.request);
      case 'deleteRange': return this.guard.deleteRange(by, command.request);
      case 'txn': return this.guard.txn(by, command.request);
      case 'leaseRevoke': return this.guard.leaseRevoke(by, command.request.ID);
      default: // for the others their services see to it
    }
  }

  private execute(command: Command, change: Change, index: number): Responses[CommandType] {
    switch (command.type) {
      case 'put':
        this.checkLease(command.request); // in a transaction this comes second: as etcd
        this.checkPrevious(command.request, this.current);
        return this.put(command.request, change);
      case 'deleteRange': return this.deleteRange(command.request, change);
      case 'txn': return runTxn(this.txnTarget(change), command.request, this.current);
      case 'compact': return this.compact(command.request.revision, change);
      case 'leaseGrant': return this.grantLease(command.request, change);
      case 'leaseRevoke': return this.revokeLease(command.request.ID, change);
      case 'leaseCheckpoint': return this.checkpointLeases(command.request.checkpoints, change);
      case 'alarm': return { header: newHeader(this.current), alarms: this.alarms.apply(command.request, (write) => change.writes.push(write)) };
      default: return this.auth.apply(command satisfies AuthCommand, { header: newHeader(this.current), index, write: (write) => change.writes.push(write) });
    }
  }

  // Reads

  /** Throws StoreError. `at`: the revision that counts as newest. */
  range(request: RangeRequest, at: number): RangeResponse {
    return answerRange(request, this.rangeSource(request, at));
  }

  /** As `range`, but it is left to the caller to make an answer of it. Throws StoreError. */
  select(request: RangeRequest, at: number): Selection {
    return selectRange(request, this.rangeSource(request, at));
  }

  private rangeSource(request: RangeRequest, at: number): RangeSource {
    this.checkRevision(request.revision, at);
    const revision = request.revision > 0 ? request.revision : at;
    return {
      header: newHeader(at),
      forEachLive: (visit) => this.index.forEach(keyRange(request), (history) => {
        const entry = liveEntryAt(history, revision);
        if (entry !== undefined) visit(entry);
      }),
      keyValue: (entry) => this.keyValue(entry),
    };
  }

  /** A transaction without writes. Throws StoreError. */
  readOnlyTxn(request: TxnRequest, at: number): TxnResponse {
    return runTxn(this.txnTarget(new Change(at)), request, at);
  }

  private checkRevision(revision: number, at: number): void {
    if (revision > at) throw new StoreError('FutureRevision');
    if ((revision > 0 ? revision : at) < this.compacted) throw new StoreError('Compacted');
  }

  /** With its value, which may have to be read from the disk. */
  keyValue(entry: Entry): KeyValue {
    return { ...keyOnly(entry), value: this.valueOf(entry), lease: entry.lease };
  }

  private valueOf(entry: Entry): Buffer {
    const held = heldValue(entry);
    if (held !== undefined) return held;
    const value = this.readValue(entry);
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }

  /** The changes with `from` <= revision <= `to`, for which `wanted` holds. `visit` may end the walk between revisions. */
  forEachChange(from: number, to: number, visit: (entry: Entry) => void, isEnough: () => boolean = () => false): number {
    let previous = from;
    for (let at = firstAtOrAfter(this.changes, from); at < this.changes.length; at += 1) {
      const entry = this.changes[at] as Entry;
      if (entry.modRevision > to) break;
      if (entry.modRevision !== previous && isEnough()) return entry.modRevision;
      previous = entry.modRevision;
      visit(entry);
    }
    return to + 1;
  }

  /** What a watcher is told about a change. */
  eventOf(entry: Entry, withPrevious: boolean): Event {
    const previous = withPrevious && entry.modRevision > this.compacted ? this.previousOf(entry) : undefined;
    const prevKv = previous === undefined ? undefined : this.keyValue(previous);
    if (!entry.deleted) return { type: 'PUT', kv: this.keyValue(entry), prevKv };
    return { type: 'DELETE', kv: { key: bytesOf(entry.key), createRevision: 0, modRevision: entry.modRevision, version: 0, value: NO_VALUE, lease: 0n }, prevKv };
  }

  private previousOf(entry: Entry): Entry | undefined {
    const history = this.index.get(entry.key);
    return history === undefined || entry.version === 1 ? undefined : liveEntryAt(history, entry.modRevision - 1);
  }

  /** Whether a change is what its key holds at revision `at`, which must not be below the compaction. */
  holdsChange(key: string, { revision, subRevision, at }: { readonly revision: number; readonly subRevision: number; readonly at: number }): boolean {
    const entry = this.live(key, at);
    return entry?.modRevision === revision && entry.subRevision === subRevision;
  }

  holdsAnything(at: number): boolean {
    return this.index.some((history) => liveEntryAt(history, at) !== undefined);
  }

  /** The entries that make up the state at `revision`, with their history since the compaction, in order. */
  *entriesUpTo(revision: number): Generator<Entry> {
    const entries: Entry[] = [];
    this.index.forEach({ start: '', end: '' }, (history) => {
      for (const entry of history.entries) if (entry.modRevision <= revision) entries.push(entry);
    });
    yield* entries.sort((a, b) => a.modRevision - b.modRevision || a.subRevision - b.subRevision);
  }

  /** The record of an entry as it is stored. */
  storedValueOf(entry: Entry): Uint8Array {
    return entry.deleted ? NO_VALUE : this.valueOf(entry);
  }

  // Writes

  private txnTarget(change: Change): TxnTarget {
    return {
      range: (request) => this.range(request, change.readRevision),
      put: (request) => this.put(request, change),
      deleteRange: (request) => this.deleteRange(request, change),
      checkPut: (request, at) => {
        this.checkPrevious(request, at);
        this.checkLease(request);
      },
      checkRevision: (revision, at) => {
        // A negative revision stands for the newest one, but here only until the first compaction. As etcd's checkRange.
        if (revision < 0 && revision < this.compacted) throw new StoreError('Compacted');
        this.checkRevision(revision, at);
      },
      liveEntries: (range, at) => {
        const entries: Entry[] = [];
        this.index.forEach(range, (history) => {
          const entry = liveEntryAt(history, at);
          if (entry !== undefined) entries.push(entry);
        });
        return entries;
      },
      valueOf: (entry) => this.valueOf(entry),
      revision: () => change.readRevision,
    };
  }

  private live(key: string, at: number): Entry | undefined {
    const history = this.index.get(key);
    return history === undefined ? undefined : liveEntryAt(history, at);
  }

  private checkLease({ lease }: PutRequest): void {
    if (lease !== 0n && !this.leasesById.has(lease)) throw new StoreError('LeaseNotFound');
  }

  private checkPrevious({ key, ignoreLease, ignoreValue }: PutRequest, at: number): void {
    if ((ignoreLease || ignoreValue) && this.live(keyOf(key), at) === undefined) throw new StoreError('KeyNotFound');
  }

  private put(request: PutRequest, change: Change): PutResponse {
    const key = keyOf(request.key);
    const history = this.index.get(key);
    const previous = history && liveEntryAt(history, change.writeRevision);
    const value = request.ignoreValue && previous !== undefined ? this.valueOf(previous) : request.value;
    const lease = request.ignoreLease ? previous?.lease ?? 0n : request.lease;
    const prevKv = request.prevKv && previous !== undefined ? this.keyValue(previous) : undefined;
    const entry: Entry = {
      key, modRevision: change.writeRevision, subRevision: change.entries.length, deleted: false,
      createRevision: previous?.createRevision ?? change.writeRevision, version: (previous?.version ?? 0) + 1, lease,
      sizeBytes: key.length + value.length, block: undefined, offset: 0,
    };
    this.values.hold(entry, value);
    this.record(entry, history, change);
    if (previous !== undefined && previous.lease !== lease) this.leasesById.get(previous.lease)?.keys.delete(key);
    if (lease !== 0n) this.leasesById.get(lease)?.keys.add(key);
    return { header: newHeader(change.writeRevision), prevKv };
  }

  private deleteRange(request: DeleteRangeRequest, change: Change): DeleteRangeResponse {
    const found: Entry[] = [];
    this.index.forEach(keyRange(request), (history) => {
      const entry = liveEntryAt(history, change.readRevision);
      if (entry !== undefined) found.push(entry);
    });
    const prevKvs = request.prevKv ? found.map((entry) => this.keyValue(entry)) : [];
    for (const entry of found) this.delete(entry, change);
    return { header: newHeader(change.readRevision), deleted: found.length, prevKvs };
  }

  private delete({ key, lease }: Entry, change: Change): void {
    this.record({
      key, modRevision: change.writeRevision, subRevision: change.entries.length, deleted: true,
      createRevision: 0, version: 0, lease: 0n, sizeBytes: key.length, block: undefined, offset: 0,
    }, this.index.get(key), change);
    this.leasesById.get(lease)?.keys.delete(key);
  }

  private record(entry: Entry, history: KeyHistory | undefined, change: Change): void {
    this.add(entry, history);
    this.changes.push(entry);
    this.current = change.writeRevision;
    change.entries.push(entry);
    change.writes.push({ type: 'put-entry', entry });
  }

  private add(entry: Entry, history: KeyHistory | undefined): void {
    if (history?.entries.at(-1)?.modRevision === entry.modRevision) this.repeating.add(entry.modRevision);
    if (entry.deleted) this.liveKeys -= Number(history !== undefined); // else all before it was compacted
    else if (entry.version === 1 || history === undefined) this.liveKeys += 1;
    this.index.append(entry, history);
    this.totalBytes += entry.sizeBytes;
  }

  private forget(entry: Entry): void {
    this.totalBytes -= entry.sizeBytes;
    this.values.remove(entry);
  }

  // Compaction

  /**
   * Keeps, of each key, the last change at or before `revision` unless that is a deletion, and all later ones. What is left of the compaction
   * before is removed first; of this one only a part, so that a large one holds nobody up.
   */
  private compact(revision: number, change: Change): Responses['compact'] {
    if (revision <= this.compacted) throw new StoreError('Compacted');
    if (revision > this.current) throw new StoreError('FutureRevision');
    for (const write of this.removeCompacted(Infinity)) change.writes.push(write);
    change.writes.push({ type: 'compacted', revision });
    this.obsolete = { changes: this.changes.slice(0, firstAtOrAfter(this.changes, revision + 1)), from: 0 };
    this.compacted = revision;
    for (const write of this.removeCompacted(this.compactedAtOnce)) change.writes.push(write);
    const former = this.changes.length;
    const start = firstAtOrAfter(this.changes, revision);
    this.changes = this.withoutTaken(this.changes.slice(start), revision);
    this.values.compacted({ start, dropped: former - this.changes.length });
    return { header: newHeader(this.current) };
  }

  /** `changes` without those of the compaction's own revision that it takes. */
  private withoutTaken(changes: Entry[], compacted: number): Entry[] {
    const isRepeating = this.repeating.has(compacted);
    for (const revision of this.repeating) if (revision <= compacted) this.repeating.delete(revision);
    if (!isRepeating) return changes;
    return changes.filter((entry) => {
      if (entry.modRevision !== compacted) return true;
      const history = this.index.get(entry.key);
      return history !== undefined && entryAt(history, compacted) === entry;
    });
  }

  /** Whether there is something that the last compaction made obsolete. */
  get hasObsolete(): boolean {
    return this.obsolete.from < this.obsolete.changes.length;
  }

  /** Goes on with the last compaction, for so many of its changes. What it removes may go from the disk at any time after the compaction itself is there. */
  removeCompacted(count = this.compactedAtOnce): Write[] {
    const writes: Write[] = [];
    const { changes, from } = this.obsolete;
    const to = Math.min(changes.length, from + count);
    for (let at = from; at < to; at += 1) {
      const history = this.index.get((changes[at] as Entry).key);
      if (history !== undefined) for (const entry of this.trimHistory(history, this.compacted)) writes.push({ type: 'delete-entry', entry });
    }
    if (to < changes.length) this.obsolete.from = to;
    else if (changes.length > 0) {
      this.obsolete = { changes: [], from: 0 };
      this.values.compactionFinished();
    }
    return writes;
  }

  private trimHistory(history: KeyHistory, revision: number): Entry[] {
    const kept = entryAt(history, revision);
    if (kept === undefined) return [];
    // A deletion at exactly this revision stays, as a watch may still start here.
    const isObsolete = kept.deleted && kept.modRevision < revision;
    const count = history.entries.indexOf(kept) + (isObsolete ? 1 : 0);
    if (count === 0) return [];
    const removed = history.entries.splice(0, count);
    removed.forEach((entry) => this.forget(entry));
    if (history.entries.length === 0) this.index.remove(history.key);
    return removed;
  }

  /** Lets go of values in memory when they exceed `maxBytes`. Only what is on disk may go: nothing after `durableRevision`. */
  releaseValues(maxBytes: number, durableRevision: number): void {
    this.values.release({ changes: this.changes, index: this.index, compactRevision: this.compacted }, maxBytes, durableRevision);
  }

  // Leases

  private grantLease({ ID, TTL }: Requests['leaseGrant'], change: Change): Responses['leaseGrant'] {
    if (ID === 0n) throw new StoreError('LeaseNotFound');
    if (TTL > MAX_LEASE_TTL) throw new StoreError('LeaseTTLTooLarge');
    if (this.leasesById.has(ID)) throw new StoreError('LeaseExists');
    const grantedTtl = Math.max(TTL, MIN_LEASE_TTL);
    this.saveLease({ id: ID, grantedTtl, remainingTtl: 0, keys: new Set() }, change);
    return { header: newHeader(this.current), ID, TTL: grantedTtl, error: '' };
  }

  /** Deletes the lease's keys in one revision. */
  private revokeLease(id: bigint, change: Change): Responses['leaseRevoke'] {
    const lease = this.leasesById.get(id);
    if (lease === undefined) throw new StoreError('LeaseNotFound');
    for (const key of [...lease.keys].sort()) {
      const entry = this.live(key, this.current);
      if (entry !== undefined) this.delete(entry, change);
    }
    this.leasesById.delete(id);
    change.writes.push({ type: 'delete-lease', id });
    return { header: newHeader(this.current) };
  }

  private checkpointLeases(checkpoints: Requests['leaseCheckpoint']['checkpoints'], change: Change): Responses['leaseCheckpoint'] {
    for (const { ID, remainingTTL } of checkpoints) {
      const lease = this.leasesById.get(ID);
      if (lease !== undefined) this.saveLease({ ...lease, remainingTtl: remainingTTL }, change);
    }
    return { header: newHeader(this.current) };
  }

  private saveLease(lease: Lease, change: Change): void {
    this.leasesById.set(lease.id, lease);
    change.writes.push({ type: 'put-lease', lease });
  }

  private restore({ entries, newestValues = [], leases, compactRevision, revision }: StoredState): void {
    for (const lease of leases) this.leasesById.set(lease.id, { ...lease, keys: new Set() });
    for (const [at, value] of newestValues.entries()) this.values.hold(entries[entries.length - newestValues.length + at] as Entry, value);
    for (const entry of entries) {
      this.add(entry, this.index.get(entry.key));
      if (entry.modRevision >= compactRevision) this.changes.push(entry);
      this.current = Math.max(this.current, entry.modRevision);
    }
    this.compacted = compactRevision > 0 ? compactRevision : NOT_COMPACTED;
    this.changes = this.withoutTaken(this.changes, this.compacted);
    this.current = Math.max(this.current, revision, compactRevision);
    this.index.forEach({ start: '', end: '' }, (history) => {
      const entry = liveEntryAt(history, this.current);
      if (entry !== undefined && entry.lease !== 0n) this.leasesById.get(entry.lease)?.keys.add(history.key);
    });
    this.obsolete = { changes: this.leftByCompaction(), from: 0 };
  }

  /** What a compaction had not removed yet when the process ended: a change of each key that has such. */
  private leftByCompaction(): Entry[] {
    const left: Entry[] = [];
    if (this.compacted === NOT_COMPACTED) return left;
    this.index.forEach({ start: '', end: '' }, ({ entries: [first, second] }) => {
      if (first === undefined || first.modRevision > this.compacted) return;
      if ((first.deleted && first.modRevision < this.compacted) || (second !== undefined && second.modRevision <= this.compacted)) left.push(first);
    });
    return left;
  }
}

const REFUSED_WHEN_CORRUPT: ReadonlySet<CommandType> = new Set(['put', 'deleteRange', 'txn', 'compact', 'leaseGrant', 'leaseRevoke']);

const needsSpace = (command: Command): boolean =>
  command.type === 'put' || command.type === 'leaseGrant' || (command.type === 'txn' && hasPut(command.request));

/** What one command changes. All its changes of keys share one revision; reads after the first one see it. */
class Change {
  readonly entries: Entry[] = [];
  readonly writes: Write[] = [];
  readonly writeRevision: number;

  constructor(current: number) {
    this.writeRevision = current + 1;
  }

  get readRevision(): number {
    return this.entries.length > 0 ? this.writeRevision : this.writeRevision - 1;
  }
}

const NO_VALUE = Buffer.alloc(0);

/** Index of the first change at or after `revision`. */
function firstAtOrAfter(changes: readonly Entry[], revision: number): number {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((changes[middle] as Entry).modRevision < revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
