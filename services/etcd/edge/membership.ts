// Changes of the membership on behalf of operators: what etcd checks before it proposes one, and what only the leader can do.
// Source: etcd v3.6, server/etcdserver/server.go (AddMember, RemoveMember, PromoteMember, MoveLeader) and cluster_util.go.
import { createHash } from 'node:crypto';
import { steadily, type Clock } from '#lib/environment/clock.ts';
import { etcdError, type EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import { encodeMember, quorum, type ClusterMember } from '../core/cluster-members.ts';
import type { Member } from './member.ts';
import { under } from './peers/http-client.ts';

export interface MembershipOptions {
  readonly member: Member;
  /** New members get ids by its time; waiting goes by steady time. */
  readonly clock: Clock;
  readonly strictReconfigCheck: boolean;
  readonly heartbeatMs: number;
  readonly electionMs: number;
}

/** For how long members must have been connected to count as healthy. Source: etcd, HealthInterval. */
const HEALTH_INTERVAL_MS = 5_000;
/** Of the leader's log, what a learner must have to be promoted. Source: etcd, readyPercentThreshold. */
const READY_SHARE = 0.9;
const RETRY_MS = 50;

/** Ids as etcd computes them; with a time for members that are added later. Source: etcd v3.6, membership.computeMemberID. */
export function memberIdOf(peerUrls: readonly string[], clusterName: string, seconds?: number): bigint {
  const hash = createHash('sha1').update([...peerUrls].sort().join('')).update(clusterName).update(seconds === undefined ? '' : String(seconds)).digest();
  return hash.readBigUInt64BE();
}

/** Source: etcd v3.6, RaftCluster.genID. */
export function clusterIdOf(memberIds: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(8 * memberIds.length);
  [...memberIds].sort((a, b) => (a < b ? -1 : 1)).forEach((id, at) => bytes.writeBigUInt64BE(id, at * 8));
  return createHash('sha1').update(bytes).digest().readBigUInt64BE();
}

/** Source: etcd, types.NewURLs. */
export function arePeerUrls(urls: readonly string[]): boolean {
  return urls.length > 0 && urls.every((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:') && /^https?:\/\/[^/]+:\d+\/?$/.test(text);
  });
}

export const memberInfo = ({ id, name, peerUrls, clientUrls, isLearner }: ClusterMember): { ID: bigint; name: string; peerURLs: string[]; clientURLs: string[]; isLearner: boolean } =>
  ({ ID: id, name, peerURLs: [...peerUrls], clientURLs: [...clientUrls], isLearner });

const NO_CONTEXT = Buffer.alloc(0);

/** All reject with EtcdError. */
export class Membership {
  private readonly options: MembershipOptions;

  constructor(options: MembershipOptions) {
    this.options = options;
  }

  async add(peerUrls: readonly string[], isLearner: boolean): Promise<ClusterMember> {
    const { member, clock, strictReconfigCheck } = this.options;
    const { cluster } = member;
    if (!arePeerUrls(peerUrls)) throw etcdError('MemberBadUrls');
    const added: ClusterMember = { id: memberIdOf(peerUrls, '', Math.floor(clock.nowMs() / 1000)), name: '', peerUrls: [...peerUrls].sort(), clientUrls: [], isLearner };
    if (strictReconfigCheck) {
      if (!isLearner && !cluster.isReadyToAddVoter()) throw etcdError('MemberNotEnoughStarted');
      const voters = cluster.voters().length;
      if (voters > 1 && member.connectedVoters(performance.now() - HEALTH_INTERVAL_MS) < quorum(voters + 1)) throw etcdError('Unhealthy');
    }
    await member.configure({ type: isLearner ? 'ConfChangeAddLearnerNode' : 'ConfChangeAddNode', nodeId: added.id, context: encodeMember(added) });
    return added;
  }

  async remove(id: bigint): Promise<void> {
    const { member, strictReconfigCheck } = this.options;
    if (strictReconfigCheck && member.cluster.get(id)?.isLearner !== true) this.checkRemoval(id);
    await member.configure({ type: 'ConfChangeRemoveNode', nodeId: id, context: NO_CONTEXT });
  }

  private checkRemoval(id: bigint): void {
    const { member } = this.options;
    if (!member.cluster.isReadyToRemoveVoter(id)) throw etcdError('MemberNotEnoughStarted');
    if (id !== member.memberId && member.transport.activeSince(id) === undefined) return; // it is no part of the majority at work
    const active = member.connectedVoters(performance.now() - HEALTH_INTERVAL_MS);
    if (active - 1 < 1 + Math.floor((member.cluster.voters().length - 1) / 2)) throw etcdError('Unhealthy');
  }

  async update(id: bigint, peerUrls: readonly string[]): Promise<void> {
    if (!arePeerUrls(peerUrls)) throw etcdError('MemberBadUrls');
    const { member } = this.options;
    await member.configure({ type: 'ConfChangeUpdateNode', nodeId: id, context: encodeMember({ id, name: '', peerUrls, clientUrls: [], isLearner: false }) });
  }

  /** Only the leader knows whether a learner has caught up, so it is asked. */
  async promote(id: bigint): Promise<void> {
    const { member } = this.options;
    if (member.isLeader) return this.promoteHere(id);
    await this.askLeader(async (url) => {
      const response = await member.transport.client.send(under(url, `/members/promote/${id}`), { method: 'POST', timeoutMs: member.requestTimeoutMs });
      if (response.status === 200) return true;
      const reason = PROMOTION_REFUSALS.find(([, text]) => response.body.toString('latin1').trim() === text)?.[0];
      if (reason !== undefined) throw etcdError(reason);
      return false;
    });
  }

  async promoteHere(id: bigint): Promise<void> {
    const { member, strictReconfigCheck } = this.options;
    const { progress, role } = member.raftStatus();
    if (role !== 'leader') throw etcdError('NotLeader');
    const learner = progress.get(id);
    if (learner === undefined) throw etcdError('MemberNotFound');
    if (learner.match / (progress.get(member.memberId)?.match ?? 1) < READY_SHARE) throw etcdError('LearnerNotReady');
    if (strictReconfigCheck && !member.cluster.isReadyToPromote()) throw etcdError('MemberNotEnoughStarted');
    const promoted: ClusterMember = { id, name: '', peerUrls: [], clientUrls: [], isLearner: false };
    await member.configure({ type: 'ConfChangeAddNode', nodeId: id, context: encodeMember(promoted, true) });
    member.counts.learnerPromotions += 1;
  }

  /** `ask` is called with the leader's addresses in turn until one answers; it throws what the leader refuses. */
  async askLeader(ask: (url: string) => Promise<boolean>): Promise<void> {
    const { member, electionMs } = this.options;
    const clock = steadily(this.options.clock);
    const deadlineMs = clock.nowMs() + member.requestTimeoutMs;
    while (clock.nowMs() < deadlineMs) {
      const urls = member.cluster.get(member.leader)?.peerUrls ?? [];
      if (urls.length === 0) await clock.sleep(electionMs);
      for (const url of urls) if (await ask(url).catch(falseWhenUnreachable)) return;
      await clock.sleep(RETRY_MS);
    }
    throw etcdError(member.leader === 0n ? 'NoLeader' : 'Timeout');
  }

  async moveLeader(to: bigint): Promise<void> {
    const { member, heartbeatMs } = this.options;
    const clock = steadily(this.options.clock);
    if (!member.isLeader) throw etcdError('NotLeader');
    const target = member.cluster.get(to);
    if (target === undefined || target.isLearner) throw etcdError('BadLeaderTransferee');
    const deadlineMs = clock.nowMs() + member.requestTimeoutMs;
    member.transferLeadership(to);
    while (member.leader !== to) {
      if (clock.nowMs() > deadlineMs) throw etcdError('Timeout');
      await clock.sleep(heartbeatMs);
    }
  }
}

const PROMOTION_REFUSALS: readonly (readonly [EtcdErrorReason, string])[] = [
  ['MemberNotFound', 'membership: ID not found'], ['MemberNotLearner', 'membership: can only promote a learner member'],
  ['LearnerNotReady', 'etcdserver: can only promote a learner member which is in sync with leader'],
];
/** As the leader words it to other members. */
export const promotionRefusal = (reason: EtcdErrorReason | undefined): string | undefined => PROMOTION_REFUSALS.find(([known]) => known === reason)?.[1];

function falseWhenUnreachable(error: unknown): false {
  if (error instanceof Error && 'reason' in error) throw error; // an answer of the leader
  return false;
}
