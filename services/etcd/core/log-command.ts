// Commands as they stand in the log, and back: etcdserverpb.InternalRaftRequest, as etcd has it.
import { internalRaftRequest, REQUEST_FIELDS, type InternalRaftRequest, type InternalRaftRequestInput, type RequestField } from '#lib/etcd-api/internal-raft-request.ts';
import { WireWriter } from '#lib/etcd-api/wire.ts';
import type { Command, CommandType } from './store.ts';

/** What concerns the cluster instead of what it stores. */
export type ClusterCommand =
  | { readonly type: 'clusterVersionSet'; readonly request: NonNullable<InternalRaftRequest['clusterVersionSet']> }
  | { readonly type: 'clusterMemberAttrSet'; readonly request: NonNullable<InternalRaftRequest['clusterMemberAttrSet']> }
  | { readonly type: 'downgradeInfoSet'; readonly request: NonNullable<InternalRaftRequest['downgradeInfoSet']> };
export type LogCommand = Command | ClusterCommand;

export const isClusterCommand = (command: LogCommand): command is ClusterCommand => CLUSTER_TYPES.has(command.type);
const CLUSTER_TYPES: ReadonlySet<string> = new Set<ClusterCommand['type']>(['clusterVersionSet', 'clusterMemberAttrSet', 'downgradeInfoSet']);

/** The store's word for etcd's field. */
const fieldOf = (type: LogCommand['type']): RequestField => (type === 'compact' ? 'compaction' : type);
const typeOf = (field: RequestField): LogCommand['type'] => (field === 'compaction' ? 'compact' : field);

/** `id`: by which the proposer knows its request again. */
export function encodeCommand(command: LogCommand, id: bigint): Buffer {
  const by = 'by' in command ? command.by : undefined;
  const writer = new WireWriter(HEADER_BYTES + expectedBytes(command));
  internalRaftRequest.write(writer, { header: { ID: id, username: by?.username, authRevision: by?.authRevision }, [fieldOf(command.type)]: command.request } as InternalRaftRequestInput);
  return writer.finish();
}

/** Tags, lengths, and the id of the request. */
const HEADER_BYTES = 64;

/** What most of the traffic takes; others make the writer grow. */
function expectedBytes(command: LogCommand): number {
  if (command.type === 'put') return command.request.key.length + command.request.value.length;
  if (command.type !== 'txn') return 128;
  const put = command.request.success[0]?.requestPut;
  return 256 + (put === undefined ? 0 : put.key.length * 3 + put.value.length);
}

/** undefined when it is of no kind known here, which then is so on every member. Throws WireError. */
export function decodeCommand(data: Uint8Array): { readonly id: bigint; readonly command: LogCommand | undefined } {
  const request = internalRaftRequest.decode(Buffer.from(data.buffer, data.byteOffset, data.length));
  const id = request.ID === 0n ? request.header?.ID ?? 0n : request.ID;
  const field = REQUEST_FIELDS.find((name) => request[name] !== undefined);
  if (field === undefined) return { id, command: undefined };
  const { username = '', authRevision = 0 } = request.header ?? {};
  return { id, command: { type: typeOf(field), request: request[field], ...(username === '' ? {} : { by: { username, authRevision } }) } as Command<CommandType> };
}
