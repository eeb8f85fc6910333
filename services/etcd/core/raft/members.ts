// Who belongs to the cluster: voters and learners, what a majority of the voters agrees on, and changes of one member at a time.
import { confChange, type ConfChange, type ConfState, type Entry } from '#lib/etcd-api/raft-messages.ts';
import { WireError } from '#lib/etcd-api/wire.ts';
import { Progress } from './progress.ts';

type VoteResult = 'won' | 'lost' | 'pending';

export class Members {
  readonly self: bigint;
  private readonly maxInflightMessages: number;
  private readonly byId = new Map<bigint, Progress>();
  /** Sorted by id, so that every run of a simulation visits them in the same order. */
  private sorted: readonly Progress[] = [];
  private voters: readonly Progress[] = [];
  /** All but this member. */
  others: readonly Progress[] = [];
  private readonly votes = new Map<bigint, boolean>();
  private scratch: number[] = [];

  constructor(self: bigint, maxInflightMessages: number) {
    this.self = self;
    this.maxInflightMessages = maxInflightMessages;
  }

  get(id: bigint): Progress | undefined {
    return this.byId.get(id);
  }

  get all(): readonly Progress[] {
    return this.sorted;
  }

  isVoter(id: bigint): boolean {
    return this.byId.get(id)?.isLearner === false;
  }

  /** The only voter is this member. */
  isAlone(): boolean {
    return this.voters.length === 1 && this.voters[0]?.id === this.self;
  }

  voterIds(): bigint[] {
    return this.voters.map(({ id }) => id);
  }

  confState(): ConfState {
    const ids = (isLearner: boolean): bigint[] => this.sorted.filter((member) => member.isLearner === isLearner).map(({ id }) => id);
    return { voters: ids(false), learners: ids(true), votersOutgoing: [], learnersNext: [], autoLeave: false };
  }

  /** Takes over a membership, at the start or from a snapshot. */
  restore(state: Pick<ConfState, 'voters' | 'learners'> & Partial<ConfState>, lastIndex: number): void {
    if ((state.votersOutgoing?.length ?? 0) > 0 || (state.learnersNext?.length ?? 0) > 0) throw new Error('the membership is in joint consensus, which is not supported');
    this.byId.clear();
    for (const id of state.voters) this.put(id, false, lastIndex);
    for (const id of state.learners) this.put(id, true, lastIndex);
    this.rebuild();
  }

  /** Applies a change; one about the member 0 changes nothing (etcd's way to void a change). */
  apply(change: ConfChange, lastIndex: number): void {
    const { nodeId } = change;
    if (nodeId === 0n) return;
    const known = this.byId.get(nodeId);
    switch (change.type) {
      case 'ConfChangeAddNode':
        if (known === undefined) this.put(nodeId, false, lastIndex);
        else known.isLearner = false;
        break;
      case 'ConfChangeAddLearnerNode':
        if (known === undefined) this.put(nodeId, true, lastIndex);
        else if (!known.isLearner && this.voters.length === 1) throw new Error('the last voter cannot become a learner');
        else known.isLearner = true;
        break;
      case 'ConfChangeRemoveNode':
        if (known !== undefined && !known.isLearner && this.voters.length === 1) throw new Error('the last voter cannot be removed');
        this.byId.delete(nodeId);
        break;
      case 'ConfChangeUpdateNode':
        return;
      default:
        throw new Error(`unknown change of membership ${change.type}`);
    }
    this.rebuild();
  }

  private put(id: bigint, isLearner: boolean, lastIndex: number): void {
    this.byId.set(id, new Progress({ id, isLearner, next: Math.max(lastIndex, 1), recentActive: true, maxInflightMessages: this.maxInflightMessages }));
  }

  private rebuild(): void {
    this.sorted = [...this.byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.voters = this.sorted.filter(({ isLearner }) => !isLearner);
    this.others = this.sorted.filter(({ id }) => id !== this.self);
  }

  /** The highest number that a majority of the voters has reached. */
  agreedBy(reached: (id: bigint) => number): number {
    const numbers = this.scratch;
    numbers.length = 0;
    for (const { id } of this.voters) insertDescending(numbers, reached(id));
    return numbers[numbers.length >> 1] ?? 0;
  }

  /** The highest index that a majority of the voters holds. */
  agreedIndex(): number {
    const numbers = this.scratch;
    numbers.length = 0;
    for (const { match } of this.voters) insertDescending(numbers, match);
    return numbers[numbers.length >> 1] ?? 0;
  }

  clearVotes(): void {
    this.votes.clear();
  }

  /** The first vote of a member counts. */
  recordVote(id: bigint, isGranted: boolean): VoteResult {
    if (!this.votes.has(id)) this.votes.set(id, isGranted);
    let granted = 0;
    let refused = 0;
    for (const voter of this.voters) {
      const vote = this.votes.get(voter.id);
      if (vote === true) granted += 1;
      else if (vote === false) refused += 1;
    }
    const majority = (this.voters.length >> 1) + 1;
    if (granted >= majority) return 'won';
    return refused > this.voters.length - majority ? 'lost' : 'pending';
  }

  /** Whether a majority was heard from since the last call; the count starts again. */
  takeQuorumActive(): boolean {
    let active = 0;
    for (const voter of this.voters) if (voter.id === this.self || voter.recentActive) active += 1;
    for (const other of this.others) other.recentActive = false;
    return active >= (this.voters.length >> 1) + 1;
  }
}

function insertDescending(numbers: number[], value: number): void {
  let at = numbers.length;
  numbers.push(value);
  for (; at > 0 && (numbers[at - 1] as number) < value; at -= 1) numbers[at] = numbers[at - 1] as number;
  numbers[at] = value;
}

/** What is in the log gets applied everywhere: a change that nobody understands must not get there. Joint consensus (V2) is not supported. */
export function isApplicable(type: Entry['type'], data: Uint8Array): boolean {
  if (type !== 'EntryConfChange') return type === 'EntryNormal';
  try {
    return confChange.decode(Buffer.from(data.buffer, data.byteOffset, data.byteLength)).type !== 'UNRECOGNIZED';
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}
