// A whole cluster in one seed: members, network, clients, and whatever goes wrong. The same seed gives the same run.
import { integerBelow, seededRandom, type Random } from '#lib/environment/random.ts';
import { confChange, type ConfChangeInput, type ConfState, type Entry } from '#lib/etcd-api/raft-messages.ts';
import { Oracle } from './oracle.ts';
import { SimulatedClients } from './simulated-clients.ts';
import { SimulatedDisk, type DiskLies, type StoreImage } from './simulated-disk.ts';
import { SimulatedMember, type CoreOptions, type DriverFaults } from './simulated-member.ts';
import { GOOD_NETWORK, SimulatedNetwork, type NetworkQuality } from './simulated-network.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly members: number;
  readonly core?: Partial<CoreOptions>;
  readonly lies?: DiskLies;
  readonly faults?: DriverFaults;
}

const TICK = 4;
/** Elections that a healed cluster may take until everybody has everything. */
const ELECTIONS_TO_RECOVER = 40;

export class SimulatedCluster {
  readonly oracle = new Oracle();
  readonly random: Random;
  readonly core: CoreOptions;
  readonly members: SimulatedMember[] = [];
  readonly network: SimulatedNetwork;
  readonly clients: SimulatedClients;
  now = 0;
  private readonly images: StoreImage[] = [];
  private readonly options: SimulationOptions;
  private readonly isEager: boolean;
  private readonly keptEntries: number;
  /** Actions of the future: restarts, mostly. */
  private readonly planned = new Map<number, (() => void)[]>();

  constructor(options: SimulationOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    const { random } = this;
    this.isEager = random.fraction() < 0.7;
    this.keptEntries = this.below(2) === 0 ? this.below(6) : 40;
    this.core = {
      electionTicks: 5 + this.below(5), heartbeatTicks: 1, maxBytesPerMessage: this.pick([1, 100, 1000, 1 << 20]), maxInflightMessages: this.pick([1, 2, 5, 256]),
      maxUncommittedBytes: this.pick([100, 1 << 20]), preVote: random.fraction() < 0.85, checkQuorum: random.fraction() < 0.85,
      ...options.core,
    };
    this.clients = new SimulatedClients(random, this.oracle, 2 + this.below(5));
    this.network = new SimulatedNetwork(random, options.seed % 8 === 0, {
      deliver: (message) => {
        const member = this.byId(message.to);
        if (member === undefined || !member.isUp || member.isRemoved) return this.reported(message.from, message.to, message.type, false);
        if (this.now < member.pausedUntil) this.plan(member.pausedUntil + 1, () => { if (member.isRunning(this.now)) member.step(message); });
        else member.step(message);
      },
      report: ({ from, to, type }, isDelivered) => this.reported(from, to, type, isDelivered),
    });
    const ids = Array.from({ length: options.members }, (_, at) => BigInt(at + 1));
    const entries = ids.map((nodeId, at) => configurationEntry(at + 1, { id: nodeId, type: 'ConfChangeAddNode', nodeId }));
    for (const id of ids) this.start(id, entries);
  }

  below(limit: number): number {
    return integerBelow(this.random, limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  plan(at: number, action: () => void): void {
    const actions = this.planned.get(at);
    if (actions === undefined) this.planned.set(at, [action]);
    else actions.push(action);
  }

  /** Starts a member, with the first entries of a new cluster or with nothing. */
  start(id: bigint, entries: readonly Entry[] = []): SimulatedMember {
    const disk = new SimulatedDisk(this.random, this.images, this.options.lies);
    if (entries.length > 0) disk.bootstrap(entries, { term: 1, vote: 0n, commit: entries.length });
    const member = new SimulatedMember({
      id, random: this.random, disk, oracle: this.oracle, core: this.core, commands: this.clients.commands, isEager: this.isEager, send: (message) => this.network.send(message),
    }, this.options.faults);
    this.members.push(member);
    return member;
  }

  private byId(id: bigint): SimulatedMember | undefined {
    return this.members.find((member) => member.id === id);
  }

  private reported(from: bigint, to: bigint, type: string, isDelivered: boolean): void {
    const sender = this.byId(from);
    if (sender === undefined || !sender.isUp || sender.isRemoved) return;
    if (type === 'MsgSnap') sender.raft.reportSnapshot(to, isDelivered);
    else if (!isDelivered && this.random.fraction() < 0.3) sender.raft.reportUnreachable(to);
  }

  /** The membership as far as anybody knows. */
  membership(): ConfState {
    return this.members.reduce((latest, member) => (member.applied > latest.applied ? member : latest)).confState;
  }

  get present(): SimulatedMember[] {
    return this.members.filter(({ isRemoved }) => !isRemoved);
  }

  get running(): SimulatedMember[] {
    return this.members.filter((member) => member.isRunning(this.now));
  }

  /** Of the latest term: one cut off may take itself for a leader still. */
  leader(): SimulatedMember | undefined {
    const leaders = this.running.filter(({ raft }) => raft.role === 'leader');
    return leaders.reduce<SimulatedMember | undefined>((latest, member) => (latest === undefined || member.raft.term > latest.raft.term ? member : latest), undefined);
  }

  /** One unit of time for everybody. */
  step(): void {
    this.now += 1;
    this.network.advance();
    const actions = this.planned.get(this.now);
    this.planned.delete(this.now);
    for (const action of actions ?? []) action();
    for (const member of this.members) {
      if (!member.isRunning(this.now)) continue;
      member.run(this.now);
      if (this.now % 16 === 0) this.housekeep(member);
    }
    this.clients.run(this.now, this.running);
  }

  /** The database is written now and then, and the log cut off behind it. */
  private housekeep(member: SimulatedMember): void {
    if (this.random.fraction() < 0.4) member.disk.flush();
    if (this.random.fraction() < 0.3) member.disk.compact(this.keptEntries);
  }

  crash(member: SimulatedMember, downFor: number): void {
    if (!member.isUp || member.isRemoved) return;
    member.crash();
    this.plan(this.now + downFor, () => { if (!member.isUp) member.restart(this.now); });
  }

  /** Ends all faults. */
  heal(): void {
    this.network.heal();
    this.network.quality = GOOD_NETWORK;
    for (const member of this.present) {
      member.pausedUntil = 0;
      member.tickEvery = TICK;
      member.diskDelay = 1;
      if (!member.isUp) member.restart(this.now);
    }
  }

  /** After healing, every member must have everything, and take new commands, within a bounded time. */
  recover(eachStep: () => void = () => {}): void {
    this.heal();
    const limit = this.now + ELECTIONS_TO_RECOVER * this.core.electionTicks * TICK;
    const awaited = new Set<SimulatedMember>(this.members);
    while (!this.hasRecovered(awaited)) {
      if (this.now > limit) this.oracle.fail(`no progress after healing:\n${this.describe()}`);
      this.step();
      eachStep();
      this.clients.areQuiet = !this.participants().some((member) => awaited.has(member)); // a narrow window may never catch up with busy clients
      if (this.now % 16 === 0) for (const member of awaited) if (!member.isRemoved) this.clients.write(member, () => void awaited.delete(member));
    }
    for (const { id, store, applied } of this.participants()) this.oracle.compareContent(id, store, applied);
  }

  /** Those that the leader counts as members; others were removed, whether or not they know. */
  private participants(): SimulatedMember[] {
    const leader = this.leader();
    const ids = leader?.raft.status().progress;
    return ids === undefined ? [] : this.present.filter(({ id }) => ids.has(id));
  }

  private hasRecovered(awaited: ReadonlySet<SimulatedMember>): boolean {
    const participants = this.participants();
    return participants.length > 0 && participants.every((member) => !awaited.has(member) && member.applied >= this.oracle.chosenIndex);
  }

  describe(): string {
    return this.members.map(({ id, raft, applied, isUp, isRemoved }) => {
      const { term, role, lead, commit, progress } = raft.status();
      const peers = [...progress].map(([peer, { match, next, state }]) => `${peer}:${match}/${next} ${state}`).join(', ');
      return `member ${id}${isUp ? '' : ' down'}${isRemoved ? ' removed' : ''}: ${role} term ${term} lead ${lead} commit ${commit} applied ${applied} ${peers}`;
    }).join('\n');
  }
}

export const configurationEntry = (index: number, change: ConfChangeInput): Entry => ({ type: 'EntryConfChange', term: 1, index, data: confChange.encode(change) });

/** From healthy to hardly usable. */
export function randomQuality({ random, below, pick }: { random: Random; below: (limit: number) => number; pick: <T>(items: readonly T[]) => T }): NetworkQuality {
  return {
    lossProbability: pick([0, 0.02, 0.1, 0.3]), duplicateProbability: pick([0, 0.05, 0.3]), maxDelay: 1 + below(8), lateProbability: random.fraction() < 0.5 ? 0.05 : 0,
  };
}
