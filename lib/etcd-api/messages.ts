// The etcd v3 messages (packages etcdserverpb and mvccpb), field by field. Names are etcd's in camelCase.
// Source: etcd v3.6, api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto.
import {
  boolean, bytes, bytesList, enumeration, enumerations, int64, int64Id, message, nested, repeated, string, strings, uint32, uint64Id,
  type Decoded, type Encodable, type Message,
} from './wire.ts';

export const keyValue = message({
  key: bytes(1), createRevision: int64(2), modRevision: int64(3), version: int64(4), value: bytes(5), lease: int64Id(6),
});
export type KeyValue = Decoded<typeof keyValue>;

export const event = message({ type: enumeration(1, ['PUT', 'DELETE']), kv: nested(2, keyValue), prevKv: nested(3, keyValue) });
export type Event = Decoded<typeof event>;

export const responseHeader = message({ clusterId: uint64Id(1), memberId: uint64Id(2), revision: int64(3), raftTerm: int64(4) });
export type ResponseHeader = Decoded<typeof responseHeader>;
const header = nested(1, responseHeader);
const empty = message({});
const headerOnly = message({ header });

// KV

export const rangeRequest = message({
  key: bytes(1), rangeEnd: bytes(2), limit: int64(3), revision: int64(4),
  sortOrder: enumeration(5, ['NONE', 'ASCEND', 'DESCEND']),
  sortTarget: enumeration(6, ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']),
  serializable: boolean(7), keysOnly: boolean(8), countOnly: boolean(9),
  minModRevision: int64(10), maxModRevision: int64(11), minCreateRevision: int64(12), maxCreateRevision: int64(13),
});
export type RangeRequest = Decoded<typeof rangeRequest>;
export type RangeRequestInput = Encodable<typeof rangeRequest>;
export const rangeResponse = message({ header, kvs: repeated(2, keyValue), more: boolean(3), count: int64(4) });
export type RangeResponse = Decoded<typeof rangeResponse>;

export const putRequest = message({
  key: bytes(1), value: bytes(2), lease: int64Id(3), prevKv: boolean(4), ignoreValue: boolean(5), ignoreLease: boolean(6),
});
export type PutRequest = Decoded<typeof putRequest>;
export type PutRequestInput = Encodable<typeof putRequest>;
export const putResponse = message({ header, prevKv: nested(2, keyValue) });
export type PutResponse = Decoded<typeof putResponse>;

export const deleteRangeRequest = message({ key: bytes(1), rangeEnd: bytes(2), prevKv: boolean(3) });
export type DeleteRangeRequest = Decoded<typeof deleteRangeRequest>;
export type DeleteRangeRequestInput = Encodable<typeof deleteRangeRequest>;
export const deleteRangeResponse = message({ header, deleted: int64(2), prevKvs: repeated(3, keyValue) });
export type DeleteRangeResponse = Decoded<typeof deleteRangeResponse>;

export const compare = message({
  result: enumeration(1, ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']),
  target: enumeration(2, ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE']),
  key: bytes(3), version: int64(4), createRevision: int64(5), modRevision: int64(6), value: bytes(7), lease: int64Id(8), rangeEnd: bytes(64),
});
export type Compare = Decoded<typeof compare>;
export type CompareInput = Encodable<typeof compare>;

/** A oneof: exactly one member is there. */
export interface RequestOp {
  requestRange?: RangeRequest | undefined;
  requestPut?: PutRequest | undefined;
  requestDeleteRange?: DeleteRangeRequest | undefined;
  requestTxn?: TxnRequest | undefined;
}
export interface RequestOpInput {
  readonly requestRange?: RangeRequestInput | undefined;
  readonly requestPut?: PutRequestInput | undefined;
  readonly requestDeleteRange?: DeleteRangeRequestInput | undefined;
  readonly requestTxn?: TxnRequestInput | undefined;
}
export interface TxnRequest { compare: Compare[]; success: RequestOp[]; failure: RequestOp[] }
export interface TxnRequestInput {
  readonly compare?: readonly CompareInput[] | undefined;
  readonly success?: readonly RequestOpInput[] | undefined;
  readonly failure?: readonly RequestOpInput[] | undefined;
}
/** A oneof: exactly one member is there. */
export interface ResponseOp {
  responseRange?: RangeResponse | undefined;
  responsePut?: PutResponse | undefined;
  responseDeleteRange?: DeleteRangeResponse | undefined;
  responseTxn?: TxnResponse | undefined;
}
export interface TxnResponse { header: ResponseHeader | undefined; succeeded: boolean; responses: ResponseOp[] }
export interface ResponseOpInput {
  readonly responseRange?: Encodable<typeof rangeResponse> | undefined;
  readonly responsePut?: Encodable<typeof putResponse> | undefined;
  readonly responseDeleteRange?: Encodable<typeof deleteRangeResponse> | undefined;
  readonly responseTxn?: TxnResponseInput | undefined;
}
export interface TxnResponseInput {
  readonly header?: Encodable<typeof responseHeader> | undefined;
  readonly succeeded?: boolean | undefined;
  readonly responses?: readonly ResponseOpInput[] | undefined;
}
export const requestOp: Message<RequestOp, RequestOpInput> = message({
  requestRange: nested(1, rangeRequest), requestPut: nested(2, putRequest), requestDeleteRange: nested(3, deleteRangeRequest),
  requestTxn: nested<TxnRequest, TxnRequestInput>(4, () => txnRequest),
});
export const txnRequest: Message<TxnRequest, TxnRequestInput> = message({ compare: repeated(1, compare), success: repeated(2, requestOp), failure: repeated(3, requestOp) });
export const responseOp: Message<ResponseOp, ResponseOpInput> = message({
  responseRange: nested(1, rangeResponse), responsePut: nested(2, putResponse), responseDeleteRange: nested(3, deleteRangeResponse),
  responseTxn: nested<TxnResponse, TxnResponseInput>(4, () => txnResponse),
});
export const txnResponse: Message<TxnResponse, TxnResponseInput> = message({ header, succeeded: boolean(2), responses: repeated(3, responseOp) });

export const compactionRequest = message({ revision: int64(1), physical: boolean(2) });
export const compactionResponse = headerOnly;

// Watch

export const watchCreateRequest = message({
  key: bytes(1), rangeEnd: bytes(2), startRevision: int64(3), progressNotify: boolean(4),
  filters: enumerations(5, ['NOPUT', 'NODELETE']), prevKv: boolean(6), watchId: int64(7), fragment: boolean(8),
});
export type WatchCreateRequest = Decoded<typeof watchCreateRequest>;
export type WatchCreateRequestInput = Encodable<typeof watchCreateRequest>;
export const watchRequest = message({
  createRequest: nested(1, watchCreateRequest), cancelRequest: nested(2, message({ watchId: int64(1) })), progressRequest: nested(3, empty),
});
export type WatchRequest = Decoded<typeof watchRequest>;
export const watchResponse = message({
  header, watchId: int64(2), created: boolean(3), canceled: boolean(4), compactRevision: int64(5), cancelReason: string(6), fragment: boolean(7),
  events: repeated(11, event),
});
export type WatchResponse = Decoded<typeof watchResponse>;

// Lease

export const leaseGrantRequest = message({ TTL: int64(1), ID: int64Id(2) });
export const leaseGrantResponse = message({ header, ID: int64Id(2), TTL: int64(3), error: string(4) });
export type LeaseGrantResponse = Decoded<typeof leaseGrantResponse>;
export const leaseRevokeRequest = message({ ID: int64Id(1) });
export const leaseRevokeResponse = headerOnly;
export const leaseKeepAliveRequest = message({ ID: int64Id(1) });
export const leaseKeepAliveResponse = message({ header, ID: int64Id(2), TTL: int64(3) });
export const leaseTimeToLiveRequest = message({ ID: int64Id(1), keys: boolean(2) });
export const leaseTimeToLiveResponse = message({ header, ID: int64Id(2), TTL: int64(3), grantedTTL: int64(4), keys: bytesList(5) });
export type LeaseTimeToLiveResponse = Decoded<typeof leaseTimeToLiveResponse>;
export const leaseLeasesRequest = empty;
export const leaseLeasesResponse = message({ header, leases: repeated(2, message({ ID: int64Id(1) })) });
export type LeaseLeasesResponse = Decoded<typeof leaseLeasesResponse>;

// Cluster

export const member = message({ ID: uint64Id(1), name: string(2), peerURLs: strings(3), clientURLs: strings(4), isLearner: boolean(5) });
export type Member = Decoded<typeof member>;
export const memberListRequest = message({ linearizable: boolean(1) });
export const memberListResponse = message({ header, members: repeated(2, member) });
export type MemberListResponse = Decoded<typeof memberListResponse>;
export const memberAddRequest = message({ peerURLs: strings(1), isLearner: boolean(2) });
export const memberAddResponse = message({ header, member: nested(2, member), members: repeated(3, member) });
export const memberRemoveRequest = message({ ID: uint64Id(1) });
export const memberRemoveResponse = memberListResponse;
export const memberUpdateRequest = message({ ID: uint64Id(1), peerURLs: strings(2) });
export const memberUpdateResponse = memberListResponse;
export const memberPromoteRequest = message({ ID: uint64Id(1) });
export const memberPromoteResponse = memberListResponse;

// Maintenance

const ALARM_TYPES = ['NONE', 'NOSPACE', 'CORRUPT'] as const;
export const alarmRequest = message({ action: enumeration(1, ['GET', 'ACTIVATE', 'DEACTIVATE']), memberID: uint64Id(2), alarm: enumeration(3, ALARM_TYPES) });
export const alarmMember = message({ memberID: uint64Id(1), alarm: enumeration(2, ALARM_TYPES) });
export type AlarmMember = Decoded<typeof alarmMember>;
export const alarmResponse = message({ header, alarms: repeated(2, alarmMember) });
export const statusRequest = empty;
export const statusResponse = message({
  header, version: string(2), dbSize: int64(3), leader: uint64Id(4), raftIndex: int64(5), raftTerm: int64(6), raftAppliedIndex: int64(7),
  errors: strings(8), dbSizeInUse: int64(9), isLearner: boolean(10), storageVersion: string(11), dbSizeQuota: int64(12),
  downgradeInfo: nested(13, message({ enabled: boolean(1), targetVersion: string(2) })),
});
export type StatusResponse = Decoded<typeof statusResponse>;
export const moveLeaderRequest = message({ targetID: uint64Id(1) });
export const moveLeaderResponse = headerOnly;
export const downgradeRequest = message({ action: enumeration(1, ['VALIDATE', 'ENABLE', 'CANCEL']), version: string(2) });
export const downgradeResponse = message({ header, version: string(2) });
export const defragmentRequest = empty;
export const defragmentResponse = headerOnly;
export const hashRequest = empty;
export const hashResponse = message({ header, hash: uint32(2) });
export const snapshotRequest = empty;
export const snapshotResponse = message({ header, remainingBytes: int64(2), blob: bytes(3), version: string(4) });
export const hashKVRequest = message({ revision: int64(1) });
export const hashKVResponse = message({ header, hash: uint32(2), compactRevision: int64(3), hashRevision: int64(4) });

// grpc.health.v1

export const healthCheckRequest = message({ service: string(1) });
export const healthCheckResponse = message({ status: enumeration(1, ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']) });
