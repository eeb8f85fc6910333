// What etcd publishes under /debug/vars, but for the memory statistics of Go. Source: etcd v3.6, server/etcdserver/api/etcdhttp/debug.go, and raft/v3, status.go.
import type { RaftStatus } from '../core/raft/driver-contract.ts';
import { fileDescriptorLimit } from './file-descriptors.ts';
import { hexId } from './peers/identity.ts';

const STATES = { probe: 'StateProbe', replicate: 'StateReplicate', snapshot: 'StateSnapshot' } as const;
const ROLES = { follower: 'StateFollower', candidate: 'StateCandidate', precandidate: 'StatePreCandidate', leader: 'StateLeader' } as const;

const hex = (id: bigint | undefined): string => hexId(id ?? 0n);

/** As a JSON object. */
export function debugVars(status: RaftStatus): string {
  const { id, term, vote, commit, lead, role, applied, progress, leadTransferee } = status;
  const members = Object.fromEntries([...progress].map(([peer, { match, next, state }]) => [hex(peer), { match, next, state: STATES[state] }]));
  const variables = {
    cmdline: process.argv,
    file_descriptor_limit: fileDescriptorLimit(),
    'raft.status': { id: hex(id), term, vote: hex(vote), commit, lead: hex(lead), raftState: ROLES[role], applied, progress: members, leadtransferee: hex(leadTransferee) },
  };
  return `{\n${Object.entries(variables).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(',\n')}\n}\n`;
}
