// gRPC service definitions of etcd v3, for servers and clients of @grpc/grpc-js alike.
import * as a from './auth-messages.ts';
import * as c from './concurrency-messages.ts';
import * as m from './messages.ts';
import type { Message } from './wire.ts';

type Kind = 'unary' | 'bidi' | 'serverStream';

function method<Request, RequestInput, Response, ResponseInput>(
  path: string, request: Message<Request, RequestInput>, response: Message<Response, ResponseInput>, kind: Kind = 'unary',
): EtcdMethod<Request, RequestInput, Response, ResponseInput> {
  return {
    path, requestStream: kind === 'bidi', responseStream: kind !== 'unary',
    requestSerialize: request.encode, requestDeserialize: request.decode,
    responseSerialize: response.encode, responseDeserialize: response.decode,
    messages: { request: request as Message<unknown, never>, response: response as Message<unknown, never> },
  };
}

/** As grpc-js's MethodDefinition, but what is sent may leave fields out while what is received has them all. */
export interface EtcdMethod<Request, RequestInput, Response, ResponseInput> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: RequestInput) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: ResponseInput) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
  /** For translations to JSON. */
  readonly messages: { readonly request: Message<unknown, never>; readonly response: Message<unknown, never> };
}

export const kvService = {
  Range: method('/etcdserverpb.KV/Range', m.rangeRequest, m.rangeResponse),
  Put: method('/etcdserverpb.KV/Put', m.putRequest, m.putResponse),
  DeleteRange: method('/etcdserverpb.KV/DeleteRange', m.deleteRangeRequest, m.deleteRangeResponse),
  Txn: method('/etcdserverpb.KV/Txn', m.txnRequest, m.txnResponse),
  Compact: method('/etcdserverpb.KV/Compact', m.compactionRequest, m.compactionResponse),
} as const;

export const watchService = { Watch: method('/etcdserverpb.Watch/Watch', m.watchRequest, m.watchResponse, 'bidi') } as const;

export const leaseService = {
  LeaseGrant: method('/etcdserverpb.Lease/LeaseGrant', m.leaseGrantRequest, m.leaseGrantResponse),
  LeaseRevoke: method('/etcdserverpb.Lease/LeaseRevoke', m.leaseRevokeRequest, m.leaseRevokeResponse),
  LeaseKeepAlive: method('/etcdserverpb.Lease/LeaseKeepAlive', m.leaseKeepAliveRequest, m.leaseKeepAliveResponse, 'bidi'),
  LeaseTimeToLive: method('/etcdserverpb.Lease/LeaseTimeToLive', m.leaseTimeToLiveRequest, m.leaseTimeToLiveResponse),
  LeaseLeases: method('/etcdserverpb.Lease/LeaseLeases', m.leaseLeasesRequest, m.leaseLeasesResponse),
} as const;

export const clusterService = {
  MemberAdd: method('/etcdserverpb.Cluster/MemberAdd', m.memberAddRequest, m.memberAddResponse),
  MemberRemove: method('/etcdserverpb.Cluster/MemberRemove', m.memberRemoveRequest, m.memberRemoveResponse),
  MemberUpdate: method('/etcdserverpb.Cluster/MemberUpdate', m.memberUpdateRequest, m.memberUpdateResponse),
  MemberList: method('/etcdserverpb.Cluster/MemberList', m.memberListRequest, m.memberListResponse),
  MemberPromote: method('/etcdserverpb.Cluster/MemberPromote', m.memberPromoteRequest, m.memberPromoteResponse),
} as const;

export const maintenanceService = {
  Alarm: method('/etcdserverpb.Maintenance/Alarm', m.alarmRequest, m.alarmResponse),
  Status: method('/etcdserverpb.Maintenance/Status', m.statusRequest, m.statusResponse),
  Defragment: method('/etcdserverpb.Maintenance/Defragment', m.defragmentRequest, m.defragmentResponse),
  Hash: method('/etcdserverpb.Maintenance/Hash', m.hashRequest, m.hashResponse),
  MoveLeader: method('/etcdserverpb.Maintenance/MoveLeader', m.moveLeaderRequest, m.moveLeaderResponse),
  HashKV: method('/etcdserverpb.Maintenance/HashKV', m.hashKVRequest, m.hashKVResponse),
  Downgrade: method('/etcdserverpb.Maintenance/Downgrade', m.downgradeRequest, m.downgradeResponse),
  Snapshot: method('/etcdserverpb.Maintenance/Snapshot', m.snapshotRequest, m.snapshotResponse, 'serverStream'),
} as const;

export const authService = {
  AuthEnable: method('/etcdserverpb.Auth/AuthEnable', a.authEnableRequest, a.authEnableResponse),
  AuthDisable: method('/etcdserverpb.Auth/AuthDisable', a.authDisableRequest, a.authDisableResponse),
  AuthStatus: method('/etcdserverpb.Auth/AuthStatus', a.authStatusRequest, a.authStatusResponse),
  Authenticate: method('/etcdserverpb.Auth/Authenticate', a.authenticateRequest, a.authenticateResponse),
  UserAdd: method('/etcdserverpb.Auth/UserAdd', a.authUserAddRequest, a.authUserAddResponse),
  UserGet: method('/etcdserverpb.Auth/UserGet', a.authUserGetRequest, a.authUserGetResponse),
  UserList: method('/etcdserverpb.Auth/UserList', a.authUserListRequest, a.authUserListResponse),
  UserDelete: method('/etcdserverpb.Auth/UserDelete', a.authUserDeleteRequest, a.authUserDeleteResponse),
  UserChangePassword: method('/etcdserverpb.Auth/UserChangePassword', a.authUserChangePasswordRequest, a.authUserChangePasswordResponse),
  UserGrantRole: method('/etcdserverpb.Auth/UserGrantRole', a.authUserGrantRoleRequest, a.authUserGrantRoleResponse),
  UserRevokeRole: method('/etcdserverpb.Auth/UserRevokeRole', a.authUserRevokeRoleRequest, a.authUserRevokeRoleResponse),
  RoleAdd: method('/etcdserverpb.Auth/RoleAdd', a.authRoleAddRequest, a.authRoleAddResponse),
  RoleGet: method('/etcdserverpb.Auth/RoleGet', a.authRoleGetRequest, a.authRoleGetResponse),
  RoleList: method('/etcdserverpb.Auth/RoleList', a.authRoleListRequest, a.authRoleListResponse),
  RoleDelete: method('/etcdserverpb.Auth/RoleDelete', a.authRoleDeleteRequest, a.authRoleDeleteResponse),
  RoleGrantPermission: method('/etcdserverpb.Auth/RoleGrantPermission', a.authRoleGrantPermissionRequest, a.authRoleGrantPermissionResponse),
  RoleRevokePermission: method('/etcdserverpb.Auth/RoleRevokePermission', a.authRoleRevokePermissionRequest, a.authRoleRevokePermissionResponse),
} as const;

export const lockService = {
  Lock: method('/v3lockpb.Lock/Lock', c.lockRequest, c.lockResponse),
  Unlock: method('/v3lockpb.Lock/Unlock', c.unlockRequest, c.unlockResponse),
} as const;

export const electionService = {
  Campaign: method('/v3electionpb.Election/Campaign', c.campaignRequest, c.campaignResponse),
  Proclaim: method('/v3electionpb.Election/Proclaim', c.proclaimRequest, c.proclaimResponse),
  Leader: method('/v3electionpb.Election/Leader', c.leaderRequest, c.leaderResponse),
  Observe: method('/v3electionpb.Election/Observe', c.leaderRequest, c.leaderResponse, 'serverStream'),
  Resign: method('/v3electionpb.Election/Resign', c.resignRequest, c.resignResponse),
} as const;

export const healthService = {
  Check: method('/grpc.health.v1.Health/Check', m.healthCheckRequest, m.healthCheckResponse),
  Watch: method('/grpc.health.v1.Health/Watch', m.healthCheckRequest, m.healthCheckResponse, 'serverStream'),
} as const;
