// Who belongs to the cluster, as replicated through the log: members with their addresses, who was removed, the version that all speak.
// Kept in etcd's own buckets. Source: etcd v3.6, server/etcdserver/api/membership/cluster.go.
import type { EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import type { ConfChange, ConfState } from '#lib/etcd-api/raft-messages.ts';
import { deleteRecord, putRecord, type BucketRecord, type RecordWrite } from './bucket-record.ts';

export interface ClusterMember {
  readonly id: bigint;
  /** Empty until the member has started and said who it is. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface DowngradeInfo {
  readonly enabled: boolean;
  readonly targetVersion: string;
}

/** Source: etcd --max-learners. */
export const DEFAULT_MAX_LEARNERS = 1;

const NOTHING = Buffer.from('removed');

/** A number beyond 2^53 stands as such in Go's JSON. */
interface MemberJson {
  readonly id?: string;
  readonly peerURLs?: readonly string[];
  readonly isLearner?: boolean;
  readonly name?: string;
  readonly clientURLs?: readonly string[];
  readonly isPromote?: boolean;
}

export function encodeMember({ id, name, peerUrls, clientUrls, isLearner }: ClusterMember, isPromote?: boolean): Buffer {
  const rest = JSON.stringify({
    peerURLs: peerUrls, ...(isLearner ? { isLearner } : {}), ...(name === '' ? {} : { name }), ...(clientUrls.length === 0 ? {} : { clientURLs: clientUrls }),
    ...(isPromote === undefined ? {} : { isPromote }),
  });
  return Buffer.from(`{"id":${id},${rest.slice(1)}`);
}

/** Throws SyntaxError. */
export function decodeMember(text: string): { member: ClusterMember; isPromote: boolean } {
  const json = JSON.parse(text.replace(/"id":\s*(\d+)/, '"id":"$1"')) as MemberJson;
  return {
    member: { id: BigInt(json.id ?? '0'), name: json.name ?? '', peerUrls: json.peerURLs ?? [], clientUrls: json.clientURLs ?? [], isLearner: json.isLearner ?? false },
    isPromote: json.isPromote ?? false,
  };
}

export class ClusterMembers {
  readonly maxLearners: number;
  private readonly byId = new Map<bigint, ClusterMember>();
  private readonly removed = new Set<bigint>();
  private version = '';
  private downgradeInfo: DowngradeInfo = { enabled: false, targetVersion: '' };

  constructor(maxLearners = DEFAULT_MAX_LEARNERS) {
    this.maxLearners = maxLearners;
  }

  /** Takes over what the disk holds. */
  restore(records: Iterable<BucketRecord>): void {
    this.byId.clear();
    this.removed.clear();
    this.version = '';
    this.downgradeInfo = { enabled: false, targetVersion: '' };
    for (const { bucket, key, value } of records) {
      if (bucket === 'members') this.put(decodeMember(value.toString()).member);
      else if (bucket === 'members_removed') this.removed.add(BigInt(`0x${key.toString()}`));
      else if (bucket === 'cluster' && key.toString() === 'clusterVersion') this.version = value.toString();
      else if (bucket === 'cluster' && key.toString() === 'downgrade') {
        const json = JSON.parse(value.toString()) as { 'target-version'?: string; enabled?: boolean };
        this.downgradeInfo = { enabled: json.enabled ?? false, targetVersion: json['target-version'] ?? '' };
      }
    }
  }

  /** Sorted by id, as etcd's answers are. */
  list(): ClusterMember[] {
    return [...this.byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get(id: bigint): ClusterMember | undefined {
    return this.byId.get(id);
  }

  isRemoved(id: bigint): boolean {
    return this.removed.has(id);
  }

  voters(): ClusterMember[] {
    return this.list().filter(({ isLearner }) => !isLearner);
  }

  /** `3.6.0`; empty until the leader has found it out. */
  get clusterVersion(): string {
    return this.version;
  }

  get downgrade(): DowngradeInfo {
    return this.downgradeInfo;
  }

  confState(): ConfState {
    const ids = (isLearner: boolean): bigint[] => this.list().filter((member) => member.isLearner === isLearner).map(({ id }) => id);
    return { voters: ids(false), learners: ids(true), votersOutgoing: [], learnersNext: [], autoLeave: false };
  }

  /** Why a change cannot be: all members come to the same conclusion when they apply it. */
  objection({ type, nodeId, context }: ConfChange): EtcdErrorReason | undefined {
    if (this.removed.has(nodeId)) return 'MemberNotFound';
    const known = this.byId.get(nodeId);
    switch (type) {
      case 'ConfChangeAddNode': case 'ConfChangeAddLearnerNode': {
        const { member, isPromote } = decodeMember(context.toString());
        if (isPromote) return known === undefined ? 'MemberNotFound' : known.isLearner ? undefined : 'MemberNotLearner';
        if (known !== undefined) return 'MemberExists';
        if (this.hasPeerUrl(member.peerUrls)) return 'PeerUrlExists';
        const isOneLearnerTooMany = member.isLearner && type === 'ConfChangeAddLearnerNode' && this.list().filter(({ isLearner }) => isLearner).length >= this.maxLearners;
        return isOneLearnerTooMany ? 'TooManyLearners' : undefined;
      }
      case 'ConfChangeRemoveNode': return known === undefined ? 'MemberNotFound' : undefined;
      case 'ConfChangeUpdateNode':
        if (known === undefined) return 'MemberNotFound';
        return this.hasPeerUrl(decodeMember(context.toString()).member.peerUrls, nodeId) ? 'PeerUrlExists' : undefined;
      default: throw new Error(`unknown change of membership ${type}`);
    }
  }

  private hasPeerUrl(urls: readonly string[], except?: bigint): boolean {
    return this.list().some(({ id, peerUrls }) => id !== except && peerUrls.some((url) => urls.includes(url)));
  }

  /** For a change without objection. */
  apply({ type, nodeId, context }: ConfChange): RecordWrite[] {
    if (type === 'ConfChangeRemoveNode') {
      this.byId.delete(nodeId);
      this.removed.add(nodeId);
      return [deleteRecord('members', keyOf(nodeId)), putRecord('members_removed', keyOf(nodeId), NOTHING)];
    }
    const { member, isPromote } = decodeMember(context.toString());
    const known = this.byId.get(nodeId);
    if (type === 'ConfChangeUpdateNode') return this.save({ ...(known ?? member), peerUrls: member.peerUrls });
    return this.save(isPromote && known !== undefined ? { ...known, isLearner: false } : { ...member, id: nodeId });
  }

  /** A member says who it is, after each start. */
  setAttributes(id: bigint, { name, clientUrls }: { readonly name: string; readonly clientUrls: readonly string[] }): RecordWrite[] {
    const known = this.byId.get(id);
    return known === undefined ? [] : this.save({ ...known, name, clientUrls: [...clientUrls] });
  }

  setVersion(version: string): RecordWrite[] {
    this.version = version;
    return [putRecord('cluster', Buffer.from('clusterVersion'), Buffer.from(version))];
  }

  setDowngrade(info: DowngradeInfo): RecordWrite[] {
    this.downgradeInfo = info;
    return [putRecord('cluster', Buffer.from('downgrade'), Buffer.from(JSON.stringify({ 'target-version': info.targetVersion, enabled: info.enabled })))];
  }

  private put(member: ClusterMember): void {
    this.byId.set(member.id, member);
  }

  private save(member: ClusterMember): RecordWrite[] {
    this.put(member);
    return [putRecord('members', keyOf(member.id), encodeMember(member))];
  }

  // Whether after a change a majority would be members that have started. Source: etcd, RaftCluster.IsReadyTo...

  isReadyToAddVoter(): boolean {
    const voters = this.voters();
    const started = voters.filter(isStarted).length;
    return (started === 1 && voters.length === 1) || started >= quorum(voters.length + 1);
  }

  isReadyToRemoveVoter(id: bigint): boolean {
    const others = this.voters().filter((member) => member.id !== id);
    return others.filter(isStarted).length >= quorum(others.length);
  }

  /** The one to be promoted counts as started. */
  isReadyToPromote(): boolean {
    const voters = this.voters();
    return voters.filter(isStarted).length + 1 >= quorum(voters.length + 1);
  }
}

export const isStarted = ({ name }: ClusterMember): boolean => name !== '';
export const quorum = (voters: number): number => Math.floor(voters / 2) + 1;
const keyOf = (id: bigint): Buffer => Buffer.from(id.toString(16));
