// Changes a simulated cluster's membership while things go wrong: adds learners and voters, promotes, removes, one at a time as etcd's members allow.
import { confChange } from '#lib/etcd-api/raft-messages.ts';
import { ProposalDropped } from '../raft.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

const MAX_MEMBERS = 6;
const MAX_QUIET = 80;

export class Operator {
  private readonly cluster: SimulatedCluster;
  private next = 0;
  private lastId = 100n;
  /** Changes that were proposed; some came to nothing. */
  proposed = 0;

  constructor(cluster: SimulatedCluster) {
    this.cluster = cluster;
  }

  run(): void {
    this.startNewMembers();
    const { cluster } = this;
    if (cluster.now < this.next) return;
    this.next = cluster.now + 1 + cluster.below(MAX_QUIET);
    const dice = cluster.below(10);
    if (dice < 4) this.add();
    else if (dice < 7) this.promote();
    else this.remove();
  }

  /** Whoever is a member runs, from an empty disk at first. */
  startNewMembers(): void {
    const { voters, learners } = this.cluster.membership();
    for (const id of [...voters, ...learners]) if (!this.cluster.members.some((member) => member.id === id)) this.cluster.start(id);
  }

  private add(): void {
    const { voters, learners } = this.cluster.membership();
    if (voters.length + learners.length >= MAX_MEMBERS) return;
    this.propose(this.cluster.below(3) === 0 ? 'ConfChangeAddNode' : 'ConfChangeAddLearnerNode', (this.lastId += 1n));
  }

  private promote(): void {
    const { learners } = this.cluster.membership();
    const leader = this.cluster.leader();
    if (learners.length === 0 || leader === undefined) return;
    const id = this.cluster.pick(learners);
    const match = leader.raft.status().progress.get(id)?.match ?? 0;
    if (match >= 0.9 * leader.applied) this.propose('ConfChangeAddNode', id);
  }

  /** Not from two voters: if the other does not hear of it in time, it waits for the one that is gone. */
  private remove(): void {
    const { voters, learners } = this.cluster.membership();
    const id = this.cluster.pick([...voters, ...learners]);
    if (voters.length > 2 || learners.includes(id)) this.propose('ConfChangeRemoveNode', id);
  }

  private propose(type: 'ConfChangeAddNode' | 'ConfChangeAddLearnerNode' | 'ConfChangeRemoveNode', nodeId: bigint): void {
    const { running } = this.cluster;
    if (running.length === 0) return;
    try {
      (this.cluster.leader() ?? this.cluster.pick(running)).raft.proposeConfChange(confChange.decode(confChange.encode({ id: nodeId, type, nodeId })));
      this.proposed += 1;
    } catch (error) {
      if (!(error instanceof ProposalDropped)) throw error;
    }
  }
}
