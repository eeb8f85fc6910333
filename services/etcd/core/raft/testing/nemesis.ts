// What goes wrong in a simulated cluster: one mishap every now and then, as the seed says.
import { randomQuality, type SimulatedCluster } from './simulated-cluster.ts';
import type { SimulatedMember } from './simulated-member.ts';

type Mishap = (cluster: SimulatedCluster, victim: SimulatedMember) => void;

const MAX_QUIET = 60;

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

const MISHAPS: readonly Mishap[] = [
  isolate, isolate, cutOneWay, split, split, cutSomeLinks, mend, mend, mend, mend, crash, crash, crash, crash, crashAll, pause, pause, slowDisk, slowDisk, skewClock, changeNetwork,
  changeNetwork, transfer, transfer, campaign, forget, doubt,
];

export class Nemesis {
  private readonly cluster: SimulatedCluster;
  private next = 0;

  constructor(cluster: SimulatedCluster) {
    this.cluster = cluster;
  }

  run(): void {
    const { cluster } = this;
    if (cluster.now < this.next || cluster.running.length === 0) return;
    this.next = cluster.now + 1 + cluster.below(MAX_QUIET);
    // Leaders get more than their share.
    const leader = cluster.leader();
    const victim = leader !== undefined && cluster.below(3) === 0 ? leader : cluster.pick(cluster.running);
    cluster.pick(MISHAPS)(cluster, victim);
  }
}
