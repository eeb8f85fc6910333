// Raft's messages (package raftpb), field by field: what members send each other and what stands in the write-ahead log.
// Terms and indexes are numbers, ids of members are bigints. Source: etcd-io/raft v3.6, raftpb/raft.proto.
import { boolean, bytes, enumeration, int64, message, nested, repeated, uint64Id, uint64Ids, type Decoded, type Encodable, type Message } from './wire.ts';

export const entry = message({
  type: enumeration(1, ['EntryNormal', 'EntryConfChange', 'EntryConfChangeV2']), term: int64(2), index: int64(3), data: bytes(4),
});
/** `data` of a normal entry is an etcdserverpb.InternalRaftRequest, or empty (a new leader's first entry); of an EntryConfChange a ConfChange. */
export interface Entry { readonly type: EntryType | 'UNRECOGNIZED'; readonly term: number; readonly index: number; readonly data: Uint8Array }
export type EntryType = 'EntryNormal' | 'EntryConfChange' | 'EntryConfChangeV2';

/** The outgoing voters, the next learners and autoLeave belong to joint consensus, which etcd does not use. */
export const confState = message({ voters: uint64Ids(1), learners: uint64Ids(2), votersOutgoing: uint64Ids(3), learnersNext: uint64Ids(4), autoLeave: boolean(5) });
export type ConfState = Decoded<typeof confState>;

export const snapshotMetadata = message({ confState: nested(1, confState), index: int64(2), term: int64(3) });
export type SnapshotMetadata = Decoded<typeof snapshotMetadata>;
export const snapshot = message({ data: bytes(1), metadata: nested(2, snapshotMetadata) });
export interface Snapshot { readonly data: Uint8Array; readonly metadata: SnapshotMetadata | undefined }

/** Numbered from 0. Those from MsgStorageAppend to MsgStorageApplyResp, and MsgHup, MsgBeat and the like, stay inside one member. */
export const MESSAGE_TYPES = [
  'MsgHup', 'MsgBeat', 'MsgProp', 'MsgApp', 'MsgAppResp', 'MsgVote', 'MsgVoteResp', 'MsgSnap', 'MsgHeartbeat', 'MsgHeartbeatResp', 'MsgUnreachable', 'MsgSnapStatus',
  'MsgCheckQuorum', 'MsgTransferLeader', 'MsgTimeoutNow', 'MsgReadIndex', 'MsgReadIndexResp', 'MsgPreVote', 'MsgPreVoteResp', 'MsgStorageAppend', 'MsgStorageAppendResp',
  'MsgStorageApply', 'MsgStorageApplyResp', 'MsgForgetLeader',
] as const;
export type MessageType = (typeof MESSAGE_TYPES)[number];

export interface RaftMessage {
  readonly type: MessageType | 'UNRECOGNIZED';
  readonly to: bigint;
  readonly from: bigint;
  /** 0 in what is forwarded: MsgProp, MsgReadIndex. */
  readonly term: number;
  readonly logTerm: number;
  readonly index: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  readonly rejectHint: number;
  readonly context: Uint8Array;
  readonly vote: bigint;
  readonly responses: readonly RaftMessage[];
}
type RaftMessageInput = Partial<Omit<RaftMessage, 'type'>> & { readonly type: MessageType };
export const raftMessage: Message<RaftMessage, RaftMessageInput> = message({
  type: enumeration(1, MESSAGE_TYPES), to: uint64Id(2), from: uint64Id(3), term: int64(4), logTerm: int64(5), index: int64(6),
  entries: repeated(7, entry), commit: int64(8), snapshot: nested(9, snapshot), reject: boolean(10), rejectHint: int64(11), context: bytes(12), vote: uint64Id(13),
  responses: repeated<RaftMessage, RaftMessageInput>(14, () => raftMessage),
}) as Message<RaftMessage, RaftMessageInput>;

export const hardState = message({ term: int64(1), vote: uint64Id(2), commit: int64(3) });
export type HardState = Readonly<Decoded<typeof hardState>>;

export const confChange = message({
  id: uint64Id(1), type: enumeration(2, ['ConfChangeAddNode', 'ConfChangeRemoveNode', 'ConfChangeUpdateNode', 'ConfChangeAddLearnerNode']), nodeId: uint64Id(3), context: bytes(4),
});
export type ConfChange = Decoded<typeof confChange>;
export type ConfChangeInput = Encodable<typeof confChange>;
