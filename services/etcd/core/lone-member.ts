// A member that goes on without the others of its cluster (--force-new-cluster): what its log must end with, so that it is alone once that is applied.
// Source: etcd v3.6, server/etcdserver/bootstrap.go and server/storage/util.go (CreateConfigChangeEnts).
import { confChange, type ConfState, type Entry } from '#lib/etcd-api/raft-messages.ts';
import { encodeMember } from './cluster-members.ts';

export interface LogOfMember {
  readonly self: bigint;
  readonly term: number;
  /** What is known to be committed, or applied already: all that comes later is given up. */
  readonly commit: number;
  /** At the snapshot that the log starts from. */
  readonly confState: ConfState | undefined;
  /** Since that snapshot. */
  readonly entries: readonly Entry[];
}

/** Where a member's address is not known. Source: etcd, CreateConfigChangeEnts. */
const DEFAULT_PEER_URL = 'http://localhost:2380';
const NO_CONTEXT = Buffer.alloc(0);

/** `kept`: of the log; `added`: to be persisted after it, and committed. */
export function leaveAlone({ self, term, commit, confState, entries }: LogOfMember): { readonly kept: Entry[]; readonly added: Entry[] } {
  const kept = entries.filter(({ index }) => index <= commit);
  const ids = membersAfter(confState, kept);
  const added: Entry[] = [];
  const add = (data: Buffer): void => { added.push({ type: 'EntryConfChange', term, index: commit + added.length + 1, data }); };
  // First, as there must be a voter at any time.
  if (!ids.has(self)) add(confChange.encode({ type: 'ConfChangeAddNode', nodeId: self, context: encodeMember({ id: self, name: '', peerUrls: [DEFAULT_PEER_URL], clientUrls: [], isLearner: false }) }));
  for (const id of [...ids].sort((a, b) => (a < b ? -1 : 1))) if (id !== self) add(confChange.encode({ type: 'ConfChangeRemoveNode', nodeId: id, context: NO_CONTEXT }));
  return { kept, added };
}

function membersAfter(confState: ConfState | undefined, entries: readonly Entry[]): Set<bigint> {
  const ids = new Set([...confState?.voters ?? [], ...confState?.learners ?? []]);
  for (const { type, data } of entries) {
    if (type !== 'EntryConfChange') continue;
    const change = confChange.decode(Buffer.from(data.buffer, data.byteOffset, data.length));
    if (change.type === 'ConfChangeRemoveNode') ids.delete(change.nodeId);
    else if (change.type !== 'ConfChangeUpdateNode') ids.add(change.nodeId);
  }
  return ids;
}
