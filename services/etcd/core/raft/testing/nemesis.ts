// What goes wrong in a simulated cluster: one mishap every now and then, as the seed says.
import { randomQuality, type SimulatedCluster } from './simulated-cluster.ts';
import type { SimulatedMember } from './simulated-member.ts';

type Mishap = (cluster: SimulatedCluster, victim: SimulatedMember) => void;

const isolate: Mishap = (cluster, victim) => {
  for (const { id } of cluster.members) {
    if (id === victim.id) continue;
    cluster.network.cutOff(id, victim.id);
    cluster.network.cutOff(victim.id, id);
  }
};
const cutOneWay: Mishap = (cluster, victim) => {
  const isDeaf = cluster.below(2) === 0;
  for (const { id } of cluster.members) if (id !== victim.id) cluster.network.cutOff(isDeaf ? id : victim.id, isDeaf ? victim.id : id);
};
const split: Mishap = (cluster) => {
  const side = new Set(cluster.members.filter(() => cluster.below(2) === 0).map(({ id }) => id));
  for (const a of cluster.members) for (const b of cluster.members) if (side.has(a.id) !== side.has(b.id)) cluster.network.cutOff(a.id, b.id);
};
const cutSomeLinks: Mishap = (cluster) => {
  for (const a of cluster.members) for (const b of cluster.members) if (a !== b && cluster.below(3) === 0) cluster.network.cutOff(a.id, b.id);
};
const mend: Mishap = (cluster) => cluster.network.heal();
const crash: Mishap = (cluster, victim) => cluster.crash(victim, 1 + cluster.below(120));
const crashAll: Mishap = (cluster) => {
  for (const member of cluster.present) cluster.crash(member, 1 + cluster.below(40));
};
const pause: Mishap = (cluster, victim) => { victim.pausedUntil = cluster.now + 10 + cluster.below(150); };
const slowDisk: Mishap = (cluster, victim) => { victim.diskDelay = cluster.pick([0, 1, 10, 60]); };
const skewClock: Mishap = (cluster, victim) => { victim.tickEvery = cluster.pick([2, 3, 4, 4, 5, 8]); };
const changeNetwork: Mishap = (cluster) => {
  cluster.network.quality = randomQuality({ random: cluster.random, below: (limit) => cluster.below(limit), pick: (items) => cluster.pick(items) });
};
const transfer: Mishap = (cluster, victim) => cluster.pick(cluster.members).raft.transferLeader(victim.id);
const campaign: Mishap = (_cluster, victim) => victim.raft.campaign();
const forget: Mishap = (_cluster, victim) => victim.raft.forgetLeader();
const doubt: Mishap = (cluster, victim) => victim.raft.reportUnreachable(cluster.pick(cluster.members).id);

/** Leaves the victim with a few others at most, so that what it appends reaches too few. */
const strand: Mishap = (cluster, victim) => {
  cluster.network.heal();
  const others = cluster.members.filter((member) => member !== victim);
  const company = new Set(others.slice(cluster.below(others.length)).slice(0, cluster.below(2)));
  for (const other of others) {
    if (company.has(other)) continue;
    for (const { id } of [victim, ...company]) {
      cluster.network.cutOff(id, other.id);
      cluster.network.cutOff(other.id, id);
    }
  }
};
/** Power fails in the middle of a write. */
const crashWriter: Mishap = (cluster) => {
  const writers = cluster.running.filter(({ isWriting }) => isWriting);
  if (writers.length > 0) cluster.crash(cluster.pick(writers), 1 + cluster.below(60));
};
const slowEverything: Mishap = (cluster) => {
  for (const member of cluster.members) member.diskDelay = cluster.pick([1, 5, 20]);
};

interface Temperament {
  readonly mishaps: readonly Mishap[];
  readonly maxQuiet: number;
  /** One victim in so many is the leader, if there is one. */
  readonly leaderOneIn: number;
}

const ANYTHING: Temperament = {
  mishaps: [
    isolate, isolate, cutOneWay, split, split, cutSomeLinks, mend, mend, mend, mend, crash, crash, crash, crash, crashAll, pause, pause, slowDisk, slowDisk, skewClock, changeNetwork,
    changeNetwork, transfer, transfer, campaign, forget, doubt,
  ],
  maxQuiet: 60, leaderOneIn: 3,
};
const AGAINST_LEADERS: Temperament = { mishaps: [strand, strand, strand, isolate, crash, crash, crash, mend, pause, transfer], maxQuiet: 40, leaderOneIn: 1 };
const POWER_CUTS: Temperament = { mishaps: [crashWriter, crashWriter, crashWriter, crashWriter, crashAll, slowEverything, slowDisk, split, mend, mend, changeNetwork], maxQuiet: 30, leaderOneIn: 3 };

export class Nemesis {
  private readonly cluster: SimulatedCluster;
  private readonly temperament: Temperament;
  private next = 0;

  constructor(cluster: SimulatedCluster) {
    this.cluster = cluster;
    this.temperament = cluster.pick([ANYTHING, ANYTHING, AGAINST_LEADERS, POWER_CUTS]);
    if (this.temperament === POWER_CUTS) for (const member of cluster.members) member.diskDelay = cluster.pick([1, 5, 20]);
  }

  run(): void {
    const { cluster, temperament } = this;
    if (cluster.now < this.next || cluster.running.length === 0) return;
    this.next = cluster.now + 1 + cluster.below(temperament.maxQuiet);
    const leader = cluster.leader();
    const victim = leader !== undefined && cluster.below(temperament.leaderOneIn) === 0 ? leader : cluster.pick(cluster.running);
    cluster.pick(temperament.mishaps)(cluster, victim);
  }
}
