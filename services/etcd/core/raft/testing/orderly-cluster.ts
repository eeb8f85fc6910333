// Some cores joined by an orderly network, for tests of the fine points: every message arrives, in order, unless a test drops it.
import { seededRandom } from '#lib/environment/random.ts';
import { confChange, type ConfChange, type Entry, type MessageType, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { RaftOptions, ReadState } from '../driver-contract.ts';
import { Raft } from '../raft.ts';
import { MemoryLog } from './memory-log.ts';

export const ELECTION_TICKS = 10;

export class OrderlyMember {
  readonly id: bigint;
  readonly log = new MemoryLog();
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];
  raft: Raft;
  private readonly options: RaftOptions;

  constructor(id: bigint, voters: readonly bigint[], options: Partial<RaftOptions>) {
    this.id = id;
    this.options = {
      id, electionTicks: ELECTION_TICKS, heartbeatTicks: 1, log: this.log, hardState: this.log.hardState, confState: { voters: [...voters], learners: [] }, applied: 0,
      maxBytesPerMessage: 1 << 20, maxInflightMessages: 512, maxUncommittedBytes: 1 << 30, preVote: true, checkQuorum: true, random: seededRandom(Number(id)), ...options,
    };
    this.raft = new Raft(this.options);
  }

  restart(): void {
    const { voters, learners } = this.raft.applyConfChange(undefined);
    this.raft = new Raft({ ...this.options, hardState: this.log.hardState, confState: { voters, learners }, applied: this.applied.at(-1)?.index ?? 0 });
  }

  /** One Ready, carried out at once; returns what it sends. */
  work(): RaftMessage[] {
    const ready = this.raft.ready();
    this.log.persist(ready);
    for (const entry of ready.committedEntries) {
      if (entry.type === 'EntryConfChange') this.raft.applyConfChange(confChange.decode(Buffer.from(entry.data)));
      this.applied.push(entry);
    }
    this.reads.push(...ready.readStates);
    this.raft.advance();
    return [...ready.messagesBeforePersist, ...ready.messages];
  }

  ticks(count: number): void {
    for (let at = 0; at < count; at += 1) this.raft.tick();
  }

  /** What the applied entries say, but for the empty ones. */
  texts(): string[] {
    return this.applied.filter(({ type, data }) => type === 'EntryNormal' && data.length > 0).map(({ data }) => Buffer.from(data).toString());
  }
}

export class OrderlyCluster {
  readonly members = new Map<bigint, OrderlyMember>();
  /** Says which messages get lost. */
  drops: (message: RaftMessage) => boolean = () => false;
  /** All that was sent, lost or not. */
  readonly sent: RaftMessage[] = [];
  private readonly voters: readonly bigint[];
  private readonly options: Partial<RaftOptions>;

  constructor(voters: readonly bigint[], options: Partial<RaftOptions> = {}) {
    this.voters = voters;
    this.options = options;
    for (const id of voters) this.members.set(id, new OrderlyMember(id, voters, options));
  }

  member(id: bigint): OrderlyMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }

  /** A member that has only heard who was there at first. */
  join(id: bigint): OrderlyMember {
    const member = new OrderlyMember(id, this.voters, this.options);
    this.members.set(id, member);
    return member;
  }

  /** Lets everybody work until nothing is left to do. */
  settle(): void {
    for (let rounds = 0, isBusy = true; isBusy; rounds += 1) {
      if (rounds > 10_000) throw new Error('the cluster does not settle');
      isBusy = false;
      for (const member of this.members.values()) {
        while (member.raft.hasReady()) {
          isBusy = true;
          for (const message of member.work()) this.deliver(message);
        }
      }
    }
  }

  private deliver(message: RaftMessage): void {
    this.sent.push(message);
    if (!this.drops(message)) this.members.get(message.to)?.raft.step(message);
  }

  elect(id: bigint): OrderlyMember {
    const member = this.member(id);
    member.raft.campaign();
    this.settle();
    if (member.raft.status().role !== 'leader') throw new Error(`member ${id} was not elected`);
    return member;
  }

  /** Ticks of everybody's clock, with all that follows from each. */
  ticks(count: number): void {
    for (let at = 0; at < count; at += 1) {
      for (const member of this.members.values()) member.raft.tick();
      this.settle();
    }
  }

  cutOff(...ids: bigint[]): void {
    this.drops = ({ from, to }) => ids.includes(from) !== ids.includes(to);
  }

  heal(): void {
    this.drops = () => false;
  }

  leader(): OrderlyMember | undefined {
    return [...this.members.values()].find(({ raft }) => raft.status().role === 'leader');
  }

  sentOfType(type: MessageType): RaftMessage[] {
    return this.sent.filter((message) => message.type === type);
  }
}

export const text = (value: string): Uint8Array => Buffer.from(value);
export const change = (type: 'ConfChangeAddNode' | 'ConfChangeRemoveNode' | 'ConfChangeAddLearnerNode', nodeId: bigint): ConfChange => confChange.decode(confChange.encode({ id: 1n, type, nodeId }));
/** A message as a peer would send it. */
export const message = (type: MessageType, fields: Partial<Omit<RaftMessage, 'type'>>): RaftMessage => ({
  type, to: 0n, from: 0n, term: 0, logTerm: 0, index: 0, entries: [], commit: 0, snapshot: undefined, reject: false, rejectHint: 0, context: Buffer.alloc(0), vote: 0n, responses: [], ...fields,
});
