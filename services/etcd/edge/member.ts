// The member: proposes what clients ask for, applies what the members agree on, and answers. A write is answered once a majority has it on
// disk and it is applied here; a linearizable read once everything acknowledged before it is applied here.
// Read core/raft/raft.ts for how members agree, raft-driver.ts for the order of persisting, sending and applying.
import type { Readable } from 'node:stream';
import { trace } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { steadily, type Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import { etcdError, EtcdError, type EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import type { RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse } from '#lib/etcd-api/messages.ts';
import { confChange, type ConfChange, type Entry, type RaftMessage, type Snapshot } from '#lib/etcd-api/raft-messages.ts';
import { WireError } from '#lib/etcd-api/wire.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { noteSpan } from '#lib/tracing/in-span.ts';
import { ClusterMembers, encodeMember } from '../core/cluster-members.ts';
import { decodeCommand, encodeCommand, isClusterCommand, type ClusterCommand, type LogCommand } from '../core/log-command.ts';
import type { ReadState, SoftState } from '../core/raft/raft.ts';
import { Store, type Command, type CommandType, type ResponseTo, type Write } from '../core/store.ts';
import { compareVersions, isTooOldFor, shortVersion } from '../core/versions.ts';
import { renderRange } from '../core/range.ts';
import { StoreError } from '../core/store-error.ts';
import { isSerializable } from '../core/txn.ts';
import type { Database, Progress } from './database.ts';
import type { PeerTls } from './peers/http-client.ts';
import { BusyCode } from './busy-code.ts';
import { CompactedRemoval } from './compacted-removal.ts';
import { MemberCounts } from './counts.ts';
import { failPoint } from './fail-points.ts';
import { encodeRange, MAX_ENTRIES_AT_ONCE, type EncodedRange } from './encoded-range.ts';
import { goDuration } from './go-text.ts';
import { Hashes } from './hashes.ts';
import { LocalProposals } from './local-proposals.ts';
import { NotedSnapshots } from './noted-snapshots.ts';
import { hexId } from './peers/identity.ts';
import { Transport } from './peers/transport.ts';
import { RaftDriver } from './raft-driver.ts';
import { MemoryLog } from './raft-log.ts';
import { ReadIndex } from './read-index.ts';
import { SnapshotTransfer } from './snapshot-transfer.ts';
import { failedApplyOf, isFailure, slowApplyOf, type AppliedCommand } from './slow-requests.ts';
import { StateWriter } from './state-writer.ts';
import { ETCD_VERSION } from './version.ts';
import { RequestIds, Waiters } from './waiters.ts';
import type { Wal, WalContents } from './wal.ts';

const tracer = trace.getTracer('go.etcd.io/etcd');

export interface MemberOptions {
  readonly database: Database;
  readonly wal: Wal;
  readonly contents: WalContents;
  readonly dataDir: string;
  readonly peerUrls: readonly string[];
  readonly peerTls: PeerTls | undefined;
  /** Members of a cluster that this one joins, until it hears of them from the log. */
  readonly remotes: readonly { readonly id: bigint; readonly urls: readonly string[] }[];
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly preVote: boolean;
  readonly snapshotCount: number;
  /** Entries kept for members that are a little behind. */
  readonly catchUpEntries: number;
  readonly maxLearners: number;
  /** Bytes of values held in memory; others are read from the disk. */
  readonly maxValueBytes: number;
  /** Changes that a compaction removes at a time, and the pause between two batches. */
  readonly compactionBatch: number;
  readonly compactionPauseMs: number;
  /** What takes longer to be carried out is warned of. */
  readonly warningApplyMs: number;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Something could not be made durable: the process cannot go on. */
  readonly onFatal: (error: Error) => void;
  /** The cluster goes on without this member. */
  readonly onRemoved: () => void;
  readonly onCommit: (seconds: number) => void;
  readonly onProposalFailed: () => void;
}

/** What others of this process want to hear of. */
export interface MemberEvents {
  /** This member leads and has applied all that former leaders committed. */
  onPromoted?: () => void;
  onDemoted?: () => void;
  onLeaseGranted?: (id: bigint) => void;
  /** What watches have not been told of yet may be gone from the history after this. */
  onCompacting?: () => void;
  /** A snapshot of another member took the place of the store. */
  onStoreReplaced?: () => void;
  /** That of the cluster, or whether it is being downgraded. */
  onVersionSet?: () => void;
}

/** Requests that wait for their entry. */
const MAX_PENDING = 16_384;
/** What a request may take, besides two elections. Source: etcd, ServerConfig.ReqTimeout. */
const REQUEST_TIMEOUT_MS = 5_000;
/** Source: etcd, maxSizePerMsg and maxInflightMsgs. */
const MAX_BYTES_PER_MESSAGE = 1024 * 1024;
const MAX_INFLIGHT_MESSAGES = 512;
/** Source: etcd, MaxUncommittedEntriesSize is unlimited there; here it bounds memory while there is no majority. */
const MAX_UNCOMMITTED_BYTES = 256 * 1024 * 1024;
/** Source: etcd, rafthttp.ConnReadTimeout. */
const HASTEN_WITHIN_MS = 5_000;
/** Beyond it no entries are kept for others. */
const MAX_LOG_BYTES = 64 * 1024 * 1024;
/** Entries are let go of this many at a time. */
const FORGET_STEP = 500;

const NO_DATA = new Uint8Array(0);
/** As Raft's log names them. */
const ROLES: Readonly<Record<SoftState['role'], string>> = { follower: 'follower', candidate: 'candidate', precandidate: 'pre-candidate', leader: 'leader' };

type Result = { readonly response: ResponseTo<CommandType> } | { readonly refused: EtcdErrorReason };

export class Member {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly cluster: ClusterMembers;
  readonly transport: Transport;
  readonly hashes: Hashes;
  readonly events: MemberEvents = {};
  readonly requestTimeoutMs: number;
  /** Of the elections seen. */
  leaderChanges = 0;
  private readonly options: MemberOptions;
  private readonly driver: RaftDriver;
  private readonly raftLog: MemoryLog;
  private readonly writer: StateWriter;
  readonly counts = new MemberCounts();
  private readonly removal: CompactedRemoval;
  private readonly snapshots: SnapshotTransfer;
  private readonly noted: NotedSnapshots;
  private readonly reads: ReadIndex;
  private readonly ids: RequestIds;
  private readonly proposals: LocalProposals<Result>;
  private readonly changeWaiters: Waiters<void>;
  private readonly listeners = new Set<() => void>();
  private readonly busyCode = new BusyCode();
  private currentStore: Store;
  private index: number;
  private indexTerm: number;
  private softState: SoftState = { lead: 0n, role: 'follower' };
  private leadSinceMs = -Infinity;
  /** Nobody else can have acknowledged a write: what is applied here is all there is. */
  private readsAlone = false;
  /** The last term of which the leader's first entry is applied. */
  private begunTerm = 0;
  private isStopping = false;

  private constructor(options: MemberOptions, store: Store, cluster: ClusterMembers, stored: { appliedIndex: number; term?: number; revision: number }) {
    const { contents, log, clock, heartbeatMs, electionMs } = options;
    this.options = options;
    this.clusterId = contents.clusterId;
    this.memberId = contents.nodeId;
    this.currentStore = store;
    this.cluster = cluster;
    this.index = stored.appliedIndex;
    this.raftLog = new MemoryLog(contents.snapshot, contents.entries, () => ({ index: this.index, term: this.indexTerm, confState: cluster.confState() }));
    this.indexTerm = stored.term ?? this.raftLog.term(this.index);
    this.noted = new NotedSnapshots({
      wal: options.wal, cluster, snapshotCount: options.snapshotCount, notedIndex: contents.snapshot.index, appliedIndex: () => this.index,
      memberId: this.memberId, log, onFatal: (error) => this.fail(error),
    });
    this.requestTimeoutMs = REQUEST_TIMEOUT_MS + 2 * electionMs;
    this.ids = new RequestIds(this.memberId, clock.nowMs());
    const waiting = { timeoutMs: this.requestTimeoutMs, timeoutError: (startedMs: number) => this.timeoutError(startedMs) };
    this.proposals = new LocalProposals({ ...waiting, onFailed: options.onProposalFailed });
    this.changeWaiters = new Waiters({ ...waiting, onTimeout: ({ id }) => this.driver.withdrawChange(id) });
    this.reads = new ReadIndex({
      ask: (context) => this.driver.readIndex(context), appliedIndex: () => this.index, nextId: () => this.ids.next(), timeoutMs: this.requestTimeoutMs,
      onSlow: () => {
        this.counts.slowReadIndexes += 1;
        log.warn('waiting for ReadIndex response took too long, retrying');
      },
      onFailed: () => { this.counts.failedReadIndexes += 1; },
    });
    this.writer = new StateWriter({
      database: options.database, written: stored, onCommit: options.onCommit, onFatal: (error) => this.fail(error), onWritten: () => this.stateWritten(),
    });
    this.removal = new CompactedRemoval({ clock, log, pauseMs: options.compactionPauseMs, counts: this.counts, store: () => this.currentStore, remove: (writes) => this.writer.add(writes, this.progress), onFatal: (error) => this.fail(error) });
    this.hashes = new Hashes({ database: options.database, store: () => this.currentStore, settled: () => this.cleared(), log, clock });
    this.transport = new Transport({
      local: { memberId: this.memberId, clusterId: this.clusterId, peerUrls: options.peerUrls }, tls: options.peerTls, log, isRemoved: (id) => cluster.isRemoved(id),
      onMessage: (message) => this.driver.step(message), onUnreachable: (id) => this.driver.reportUnreachable(id),
      onSnapshot: (message, state) => this.receiveSnapshot(message, state), onSelfRemoved: () => this.removed(),
    });
    this.snapshots = new SnapshotTransfer({ dataDir: options.dataDir, database: options.database, log, counts: this.counts });
    this.driver = new RaftDriver({
      raft: {
        id: this.memberId, electionTicks: Math.max(2, Math.round(electionMs / heartbeatMs)), heartbeatTicks: 1, hardState: contents.hardState,
        confState: cluster.confState(), applied: this.index, maxBytesPerMessage: MAX_BYTES_PER_MESSAGE, maxInflightMessages: MAX_INFLIGHT_MESSAGES,
        maxUncommittedBytes: MAX_UNCOMMITTED_BYTES, preVote: options.preVote, checkQuorum: true, random: options.random,
      },
      log: this.raftLog, wal: options.wal, heartbeatMs, logger: log,
      send: (messages) => this.send(messages), apply: (entries) => this.apply(entries), install: (snapshot) => {
        this.counts.snapshotsInApply += 1;
        return this.install(snapshot).finally(() => { this.counts.snapshotsInApply -= 1; });
      },
      isWanted: (data) => this.proposals.has(data), onHanded: (handed) => this.proposals.handed(handed, this.leaderChanges), onSoftState: (state) => this.onSoftState(state), onReadStates: (states: readonly ReadState[]) => this.reads.onReadStates(states),
      onFatal: (error) => this.fail(error),
    });
  }

  /** With what is on disk; to be started. */
  static async open(options: MemberOptions): Promise<Member> {
    const { database, contents, maxValueBytes, dataDir, log } = options;
    const { appliedIndex } = await database.readProgress();
    const snapshots = new SnapshotTransfer({ dataDir, database, log });
    await snapshots.removeParts();
    if (appliedIndex < contents.snapshot.index) await snapshots.recover(contents.snapshot.index, appliedIndex);
    const stored = await database.load(maxValueBytes);
    const cluster = new ClusterMembers(options.maxLearners);
    cluster.restore(stored.records ?? []);
    refuseToDowngrade(cluster.clusterVersion);
    return new Member(options, new Store((entry) => database.readValue(entry), stored, options.compactionBatch), cluster, stored);
  }

  /** Resolves when what this member knows to be committed is applied; a lone one leads then. */
  async start(): Promise<void> {
    this.connect();
    for (const { id, urls } of this.options.remotes) this.transport.addRemote(id, urls);
    this.driver.start();
    await this.driver.settled();
    this.removal.wake();
    this.membersChanged();
    if (!this.isLoneVoter) return;
    this.driver.campaign();
    await this.driver.settled();
  }

  /** At a start with several members: once enough of them are there to elect a leader, there is nothing left to wait for. Source: etcd, adjustTicks. */
  async hastenFirstElection(signal: AbortSignal): Promise<void> {
    const { clock, heartbeatMs, electionMs } = this.options;
    if (this.isLoneVoter) return;
    const ticks = Math.round(electionMs / heartbeatMs);
    for (let waitedMs = 0; waitedMs < HASTEN_WITHIN_MS && !signal.aborted && this.leader === 0n; waitedMs += heartbeatMs) {
      await clock.sleep(heartbeatMs, signal).catch(() => undefined);
      const majority = Math.floor(this.cluster.voters().length / 2) + 1;
      if (this.leader !== 0n || this.transport.activeCount + 1 < majority) continue;
      await clock.sleep(2 * heartbeatMs, signal).catch(() => undefined); // a leader that there is would have been heard of
      if (this.leader === 0n) this.driver.advanceTicks(ticks - 2);
      return;
    }
  }

  private connect(): void {
    this.transport.setPeers(this.cluster.list().filter(({ id }) => id !== this.memberId).map(({ id, peerUrls }) => ({ id, urls: peerUrls })));
  }

  // What it is and knows

  get store(): Store {
    return this.currentStore;
  }

  /** The newest revision that may be shown. */
  get revision(): number {
    return this.currentStore.revision;
  }

  get appliedIndex(): number {
    return this.index;
  }

  /** Of the entry applied last. */
  get term(): number {
    return this.indexTerm;
  }

  get pendingCount(): number {
    return this.proposals.size;
  }

  /** 0n: none is known. */
  get leader(): bigint {
    return this.softState.lead;
  }

  get isLeader(): boolean {
    return this.softState.lead === this.memberId;
  }

  get isLearner(): boolean {
    return this.cluster.get(this.memberId)?.isLearner ?? false;
  }

  /** For the log. */
  private get named(): { readonly 'local-member-id': string } {
    return { 'local-member-id': hexId(this.memberId) };
  }

  private get isLoneVoter(): boolean {
    const voters = this.cluster.voters();
    return voters.length === 1 && voters[0]?.id === this.memberId;
  }

  raftStatus(): ReturnType<RaftDriver['status']> {
    return this.driver.status();
  }

  /** Of what the database holds: keys and values, and who the members are. */
  get sizeInUseBytes(): number {
    return this.store.sizeBytes + this.cluster.list().reduce((sum, member) => sum + encodeMember(member).length, 0);
  }

  header(): ResponseHeader {
    return this.complete({ clusterId: 0n, memberId: 0n, revision: this.revision, raftTerm: 0 });
  }

  /** The store knows revisions only; who answered is for the member to say. */
  complete(header: ResponseHeader): ResponseHeader {
    header.clusterId = this.clusterId;
    header.memberId = this.memberId;
    header.raftTerm = this.indexTerm;
    return header;
  }

  /** `listener` is called after each advance of `revision`. */
  onAdvance(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Whether this process was not held up so long that others may have elected another leader. */
  async isSurelyLeader(): Promise<boolean> {
    if (this.isLeader && this.driver.isTickingOnTime) return true;
    await this.linearizable();
    return this.isLeader;
  }

  // Writes

  /** Resolves when the command is durable on a majority and applied here. Rejects with an EtcdError when it is refused, or when nobody knows. */
  async propose<T extends CommandType>(command: Command<T>): Promise<ResponseTo<T>> {
    const result = await this.proposeToLog(command as Command);
    if ('refused' in result) throw etcdError(result.refused);
    const { header } = result.response;
    if (header !== undefined) this.complete(header);
    return result.response as ResponseTo<T>;
  }

  async proposeClusterCommand(command: ClusterCommand): Promise<void> {
    await this.proposeToLog(command);
  }

  private proposeToLog(command: LogCommand): Promise<Result> {
    if (this.isStopping) throw etcdError('Stopped');
    if (this.proposals.size >= MAX_PENDING || this.writer.isOverloaded) throw etcdError('TooManyRequests');
    const id = this.ids.next();
    const data = encodeCommand(command, id);
    const result = this.proposals.add(id, data, command);
    this.driver.propose(data);
    return result;
  }

  /** Resolves when the change of membership is applied here. Rejects with an EtcdError. */
  async configure(change: Omit<ConfChange, 'id'>): Promise<void> {
    if (this.isStopping) throw etcdError('Stopped');
    const id = this.ids.next();
    const done = this.changeWaiters.wait(id, NO_DATA);
    this.driver.proposeChange({ id, ...change });
    await done;
    this.options.log.info({ ...this.named, 'raft-conf-change': change.type, 'raft-conf-change-node-id': hexId(change.nodeId) }, 'applied a configuration change through raft');
  }

  transferLeadership(to: bigint): void {
    this.driver.transferLeader(to);
  }

  /** Source: etcd v3.6, EtcdServer.parseProposeCtxErr. */
  private timeoutError(startedMs: number): EtcdError {
    const { electionMs } = this.options;
    if (startedMs > this.leadSinceMs - 2 * electionMs && startedMs < this.leadSinceMs) return etcdError('TimeoutDueToLeaderFail');
    if (this.leader === 0n) return etcdError('Timeout');
    const isConnected = this.isLeader ? this.connectedVoters(startedMs) >= Math.floor(this.cluster.voters().length / 2) + 1 : this.isConnectedSince(this.leader, startedMs);
    return etcdError(isConnected ? 'Timeout' : 'TimeoutDueToConnectionLost');
  }

  isConnectedSince(id: bigint, sinceMs: number): boolean {
    return (this.transport.activeSince(id) ?? Infinity) < sinceMs;
  }

  /** This one included. */
  connectedVoters(sinceMs: number): number {
    return this.cluster.voters().filter(({ id }) => id === this.memberId || this.isConnectedSince(id, sinceMs)).length;
  }

  // Reads

  /** Throws EtcdError. */
  async range(request: RangeRequest): Promise<RangeResponse> {
    if (!request.serializable && !this.mayReadAtOnce) await this.linearizable();
    return this.answer(() => this.currentStore.range(request, this.revision));
  }

  /** As `range`; a long answer is made piece by piece. Throws EtcdError. */
  async encodedRange(request: RangeRequest): Promise<RangeResponse | EncodedRange> {
    this.busyCode.add(1);
    if (!request.serializable && !this.mayReadAtOnce) await this.linearizable();
    const selection = this.answer(() => this.currentStore.select(request, this.revision));
    if (selection.entries.length > MAX_ENTRIES_AT_ONCE) return encodeRange({ selection, keysOnly: request.keysOnly, view: () => this.options.database.view() });
    return this.answer(() => renderRange(selection, request.keysOnly, (entry) => this.currentStore.keyValue(entry)));
  }

  /** Throws EtcdError. */
  async readOnlyTxn(request: TxnRequest): Promise<TxnResponse> {
    if (!this.mayReadAtOnce && !isSerializable(request)) await this.linearizable();
    return this.answer(() => this.currentStore.readOnlyTxn(request, this.revision));
  }

  /** Resolves when everything that was acknowledged before is applied here. Rejects with EtcdError. */
  async linearizable(): Promise<void> {
    if (this.mayReadAtOnce) return;
    if (this.isStopping) throw etcdError('Stopped');
    await this.reads.wait();
  }

  /** While the disk holds up what was written, reads wait behind it as with etcd, where they take the same way. */
  private get mayReadAtOnce(): boolean {
    return this.readsAlone && !this.driver.isHeldUp;
  }

  /** Resolves when the database holds all that is applied. */
  async settled(): Promise<void> {
    await this.writer.flush();
  }

  /** Resolves when the database holds all that is applied, and nothing that was compacted. */
  async cleared(): Promise<void> {
    await this.removal.settled();
    await this.writer.flush();
  }

  private answer<R extends { header: ResponseHeader | undefined }>(read: () => R): R {
    try {
      const response = read();
      if (response.header !== undefined) this.complete(response.header);
      return response;
    } catch (error) {
      throw error instanceof StoreError ? etcdError(error.reason) : error;
    }
  }

  // What Raft decides

  private onSoftState(state: SoftState): void {
    const { log } = this.options;
    const previous = this.softState;
    this.softState = state;
    const self = hexId(this.memberId);
    const { term } = this.driver;
    if (state.role !== previous.role) log.info({ logger: 'raft' }, `${self} became ${ROLES[state.role]} at term ${term}`);
    if (state.role !== 'leader') {
      this.readsAlone = false;
      this.events.onDemoted?.();
      // Nobody would tell it to lead again: it has no ticks.
      if (previous.role === 'leader' && this.isLoneVoter) setImmediate(() => this.driver.campaign());
    }
    if (state.lead === previous.lead) return;
    if (state.lead === 0n) {
      noteSpan(tracer, 'lost the leader', { attributes: { [attribute.what]: hexId(previous.lead) } });
      return log.info({ logger: 'raft' }, `raft.node: ${self} lost leader ${hexId(previous.lead)} at term ${term}`);
    }
    this.leaderChanges += 1;
    this.leadSinceMs = performance.now();
    log.info({ logger: 'raft' }, previous.lead === 0n ? `raft.node: ${self} elected leader ${hexId(state.lead)} at term ${term}` : `raft.node: ${self} changed leader from ${hexId(previous.lead)} to ${hexId(state.lead)} at term ${term}`);
    noteSpan(tracer, 'elected leader', { attributes: { [attribute.what]: `${hexId(state.lead)}${this.isLeader ? ', this member' : ''}` } });
    this.reads.askAgain();
  }

  private apply(entries: readonly Entry[]): void {
    const revision = this.currentStore.revision;
    let writes: Write[] = [];
    for (const entry of entries) {
      if (entry.index !== this.index + 1) throw new Error(`entry ${entry.index} does not follow ${this.index}, which was applied last`);
      const { compactRevision } = this.currentStore;
      const formerTerm = this.indexTerm;
      const formerWrites = writes.length;
      this.index = entry.index;
      this.indexTerm = entry.term;
      if (entry.type === 'EntryConfChange') this.applyChange(entry, writes);
      else if (entry.data.length === 0) this.emptyApplied(entry.term);
      else this.applyCommand(entry, writes);
      if (this.currentStore.compactRevision === compactRevision) continue;
      // A compaction: what it removes is to be hashed, which needs the database as it was before.
      const scope = { compactRevision, revision: this.currentStore.compactRevision };
      const at = writes.findIndex(({ type }, position) => position >= formerWrites && type === 'compacted'); // before it: what an earlier one had left
      this.writer.add(writes.slice(0, at), { ...this.progress, appliedIndex: this.index - 1, term: formerTerm });
      this.writer.add(writes.slice(at), this.progress, () => this.hashes.beforeCompaction(scope));
      writes = [];
      this.removal.compacted();
    }
    this.writer.add(writes, this.progress);
    this.busyCode.add(entries.length);
    this.reads.onApplied(this.index);
    this.forgetOldEntries();
    if (this.currentStore.revision > revision) for (const listener of this.listeners) listener();
  }

  private get progress(): Progress {
    return { appliedIndex: this.index, term: this.indexTerm, revision: this.currentStore.revision };
  }

  /**
   * A leader's first entry is empty: all that former leaders committed is applied now. Their own empty entries tell nothing, nor do
   * later ones of this term, which stand where a change of the members was refused.
   */
  private emptyApplied(term: number): void {
    if (term !== this.driver.term || term === this.begunTerm) return;
    this.begunTerm = term;
    this.reads.askAgain();
    this.proposals.giveUpLost(this.leaderChanges);
    if (this.softState.role !== 'leader') return;
    this.readsAlone = this.isLoneVoter;
    this.events.onPromoted?.();
  }

  private applyCommand(entry: Entry, writes: Write[]): void {
    const { id, command } = this.proposals.get(entry.data) ?? this.decode(entry);
    const waiter = this.proposals.take(id);
    if (command === undefined) return waiter?.reject(etcdError('Corrupt'));
    if (isClusterCommand(command)) {
      writes.push(...this.applyClusterCommand(command));
      return waiter?.resolve({ response: { header: this.header() } });
    }
    if (command.type === 'compact') this.events.onCompacting?.();
    if (command.type === 'put') this.counts.putBytes += command.request.key.length + command.request.value.length;
    const startMs = performance.now();
    const applied = this.currentStore.apply(command, entry.index);
    const tookMs = performance.now() - startMs;
    const hasFailed = isFailure(applied.result);
    this.counts.observeApply(command.type, !hasFailed, tookMs);
    if (tookMs > this.options.warningApplyMs) this.warnOfSlowApply({ id, command, result: applied.result, tookMs });
    if (hasFailed) this.options.log.warn(failedApplyOf({ id, command, result: applied.result, tookMs }), 'failed to apply request');
    for (const write of applied.writes) writes.push(write);
    if (command.type === 'leaseGrant' && 'response' in applied.result) this.events.onLeaseGranted?.(command.request.ID);
    waiter?.resolve(applied.result);
  }

  private warnOfSlowApply(applied: AppliedCommand): void {
    const { log, warningApplyMs } = this.options;
    this.counts.slowApplies += 1;
    log.warn(slowApplyOf(applied, warningApplyMs), 'apply request took too long');
  }

  private decode({ data, index }: Entry): { readonly id: bigint; readonly command: LogCommand | undefined } {
    let decoded;
    try {
      decoded = decodeCommand(data);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
    // All members see the same, and pass over it alike.
    if (decoded?.command === undefined) this.options.log.error({ index }, 'passed over an entry of unknown content');
    return decoded ?? { id: 0n, command: undefined };
  }

  private applyClusterCommand(command: ClusterCommand): Write[] {
    switch (command.type) {
      case 'clusterVersionSet': return this.setClusterVersion(command.request.ver);
      case 'clusterMemberAttrSet': {
        const { memberID, memberAttributes } = command.request;
        return this.cluster.setAttributes(memberID, memberAttributes ?? { name: '', clientUrls: [] });
      }
      case 'downgradeInfoSet': {
        const { enabled, ver } = command.request;
        this.options.log.info({ enabled, ...(enabled ? { 'target-version': ver } : {}) }, 'set the downgrade of the cluster');
        const writes = this.cluster.setDowngrade({ enabled, targetVersion: enabled ? ver : '' });
        this.events.onVersionSet?.();
        return writes;
      }
    }
  }

  private setClusterVersion(version: string): Write[] {
    const { log } = this.options;
    const former = this.cluster.clusterVersion;
    refuseToDowngrade(version);
    const of = { 'cluster-id': hexId(this.clusterId), ...this.named };
    if (former === '') log.info({ ...of, 'cluster-version': shortVersion(version) }, 'set initial cluster version');
    else log.info({ ...of, from: shortVersion(former), to: shortVersion(version) }, 'updated cluster version');
    // What an older version could not read must not be in the log that it starts from.
    if (former !== '' && compareVersions(version, former) < 0) this.noted.demand();
    const { downgrade } = this.cluster;
    if (downgrade.enabled && downgrade.targetVersion === version) log.info({ 'target-version': shortVersion(version), 'server-version': ETCD_VERSION }, 'The server is ready to downgrade');
    const writes = this.cluster.setVersion(version);
    this.events.onVersionSet?.();
    return writes;
  }

  private applyChange({ data }: Entry, writes: Write[]): void {
    const change = confChange.decode(Buffer.from(data.buffer, data.byteOffset, data.length));
    const waiter = this.changeWaiters.take(change.id);
    const objection = this.objectionTo(change);
    if (objection !== undefined) {
      this.driver.applyConfChange(undefined);
      return waiter?.reject(etcdError(objection));
    }
    this.driver.applyConfChange(change);
    writes.push(...this.cluster.apply(change));
    this.noted.membersChanged();
    this.membersChanged();
    waiter?.resolve();
    if (change.type === 'ConfChangeRemoveNode' && change.nodeId === this.memberId) this.removed();
  }

  private objectionTo(change: ConfChange): EtcdErrorReason | undefined {
    try {
      return this.cluster.objection(change);
    } catch (error) {
      if (error instanceof SyntaxError) return 'MemberBadUrls'; // of the JSON
      throw error;
    }
  }

  private membersChanged(): void {
    this.connect();
    if (!this.isLoneVoter) this.readsAlone = false;
    else if (this.softState.role === 'leader' && this.begunTerm === this.driver.term) this.readsAlone = true; // it commits by itself
    // A lone voter without learners has nobody to send heartbeats to, and nobody to hear from.
    if (this.isLoneVoter && this.cluster.list().length === 1) this.driver.stopTicking();
    else this.driver.startTicking();
  }

  private removed(): void {
    if (this.isStopping) return;
    const { log } = this.options;
    log.warn({ error: 'the member has been permanently removed from the cluster' }, 'server error');
    log.warn('data-dir used by this member must be removed');
    this.options.onRemoved();
  }

  private fail(error: Error): void {
    if (this.isStopping) return;
    this.isStopping = true;
    void this.removal.pause();
    this.rejectAll();
    this.options.onFatal(error);
  }

  private rejectAll(): void {
    this.proposals.rejectAll();
    this.changeWaiters.rejectAll();
    this.reads.rejectAll();
  }

  // Snapshots

  private send(messages: readonly RaftMessage[]): void {
    if (messages.length === 0) return;
    const rest: RaftMessage[] = [];
    for (const message of messages) {
      if (message.type === 'MsgSnap') void this.sendSnapshot(message);
      else if (!this.cluster.isRemoved(message.to)) rest.push(message);
    }
    this.transport.send(rest);
  }

  private async sendSnapshot(message: RaftMessage): Promise<void> {
    const { log } = this.options;
    try {
      await this.writer.flush();
      await this.snapshots.send(message, { confStateAt: (index) => this.noted.confStateAt(index), transport: this.transport });
      this.driver.reportSnapshot(message.to, true);
    } catch (error) {
      log.warn({ 'snapshot-index': message.snapshot?.metadata?.index, 'remote-peer-id': hexId(message.to), err: error }, 'failed to send database snapshot');
      this.driver.reportUnreachable(message.to);
      this.driver.reportSnapshot(message.to, false);
    }
  }

  private async receiveSnapshot(message: RaftMessage, state: Readable): Promise<void> {
    await this.snapshots.receive(message, state);
    this.driver.step(message);
  }

  private async install({ metadata }: Snapshot): Promise<void> {
    const { database, maxValueBytes, log } = this.options;
    if (metadata === undefined) throw new Error('a snapshot without metadata');
    const of = { 'current-snapshot-index': this.noted.index, 'current-applied-index': this.index, 'incoming-leader-snapshot-index': metadata.index, 'incoming-leader-snapshot-term': metadata.term };
    log.info(of, 'applying snapshot');
    await this.removal.pause(); // nothing of the former store goes to the database of the new one
    await failPoint('applyBeforeOpenSnapshot');
    await this.writer.reset(() => this.snapshots.install(metadata.index));
    log.info('applySnapshot: opened snapshot backend');
    await failPoint('applyAfterOpenSnapshot');
    const stored = await database.load(maxValueBytes);
    this.currentStore = new Store((entry) => database.readValue(entry), stored, this.options.compactionBatch);
    this.cluster.restore(stored.records ?? []);
    refuseToDowngrade(this.cluster.clusterVersion);
    this.index = stored.appliedIndex;
    this.indexTerm = metadata.term;
    await this.noted.installed(metadata.index);
    if (!this.isStopping) this.removal.resume();
    this.membersChanged();
    this.events.onStoreReplaced?.();
    for (const listener of this.listeners) listener();
    this.reads.onApplied(this.index);
    log.info(of, 'applied snapshot');
  }

  /** The database has caught up: values may leave memory, and the log may be cut. */
  private stateWritten(): void {
    const { written } = this.writer;
    this.currentStore.releaseValues(this.options.maxValueBytes, written.revision);
    if (!this.isStopping) this.noted.written(written);
  }

  private forgetOldEntries(): void {
    if (this.snapshots.isSending) return; // the entries after the snapshot will be needed
    const keep = this.cluster.list().length > 1 && this.raftLog.sizeBytes < MAX_LOG_BYTES ? this.options.catchUpEntries : 0;
    const upTo = this.index - keep;
    if (upTo - this.raftLog.firstIndex() < (keep === 0 ? 0 : Math.min(FORGET_STEP, keep))) return;
    this.raftLog.forgetUpTo(upTo);
    if (keep > 0) this.options.log.debug({ 'compact-index': upTo }, 'compacted Raft logs'); // alone it lets go of each entry that is applied, which is nothing to be told
  }

  // The end

  /** Hands the leadership on, refuses new commands, and brings everything to the disk. */
  async stop(lastCommand?: Command): Promise<void> {
    if (!this.isStopping && this.isLeader) await this.prepareStop(lastCommand);
    else if (!this.isStopping) this.options.log.info({ ...this.named, 'current-leader-member-id': hexId(this.leader) }, 'skipped leadership transfer; local server is not leader');
    const hasFailed = this.isStopping;
    this.isStopping = true;
    this.transport.stop();
    await this.driver.stop();
    this.rejectAll();
    await this.hashes.stop();
    await this.removal.pause();
    if (!hasFailed) {
      await this.writer.flush();
      await this.options.wal.close();
    }
    await this.options.database.close();
  }

  private async prepareStop(lastCommand: Command | undefined): Promise<void> {
    const { log, heartbeatMs } = this.options;
    const clock = steadily(this.options.clock);
    if (this.cluster.voters().length === 1) {
      log.info({ ...this.named, 'current-leader-member-id': hexId(this.leader) }, 'skipped leadership transfer for single voting member cluster');
      if (lastCommand !== undefined) await this.propose(lastCommand).catch(ignoreEtcdError);
      return;
    }
    const candidates = this.cluster.voters().flatMap(({ id }) => {
      const since = this.transport.activeSince(id);
      return since === undefined ? [] : [{ id, since }];
    }).sort((a, b) => a.since - b.since);
    const heir = candidates[0]?.id;
    if (heir === undefined) return log.warn({ ...this.named, error: 'etcdserver: unhealthy cluster' }, 'leadership transfer failed');
    log.info({ ...this.named, 'current-leader-member-id': hexId(this.memberId), 'transferee-member-id': hexId(heir) }, 'leadership transfer starting');
    const startMs = clock.nowMs();
    const deadlineMs = clock.nowMs() + this.requestTimeoutMs;
    while (this.isLeader && clock.nowMs() < deadlineMs) {
      this.transferLeadership(heir);
      await clock.sleep(heartbeatMs);
    }
    if (this.isLeader) return log.warn({ ...this.named, error: 'etcdserver: request timed out, leader transfer took too long' }, 'leadership transfer failed');
    log.info({ ...this.named, 'old-leader-member-id': hexId(this.memberId), 'new-leader-member-id': hexId(this.leader), took: goDuration(clock.nowMs() - startMs) }, 'leadership transfer finished');
  }
}

/** Source: etcd, version.MustDetectDowngrade. */
function refuseToDowngrade(clusterVersion: string): void {
  if (isTooOldFor(ETCD_VERSION, clusterVersion)) throw new Error(`invalid downgrade; server version is lower than determined cluster version (server ${ETCD_VERSION}, cluster ${clusterVersion})`);
}

function ignoreEtcdError(error: unknown): void {
  if (!(error instanceof EtcdError)) throw error;
}
