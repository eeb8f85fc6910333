// What the entries of etcd's Raft log carry (etcdserverpb.InternalRaftRequest and the messages of membershippb), field by field.
// Source: etcd v3.6, api/etcdserverpb/raft_internal.proto and api/membershippb/membership.proto.
import * as a from './auth-messages.ts';
import * as m from './messages.ts';
import { boolean, int64, int64Id, message, nested, repeated, string, strings, uint64Id, type Decoded, type Encodable } from './wire.ts';

/** Who asked, for the checks of permissions when the request is applied. */
export const requestHeader = message({ ID: uint64Id(1), username: string(2), authRevision: int64(3) });
export type RequestHeader = Decoded<typeof requestHeader>;

export const leaseCheckpointRequest = message({ checkpoints: repeated(1, message({ ID: int64Id(1), remainingTTL: int64(2) })) });
export const memberAttributes = message({ name: string(1), clientUrls: strings(2) });
export const clusterVersionSetRequest = message({ ver: string(1) });
export const clusterMemberAttrSetRequest = message({ memberID: uint64Id(1), memberAttributes: nested(2, memberAttributes) });
export const downgradeInfoSetRequest = message({ enabled: boolean(1), ver: string(2) });

export const internalRaftRequest = message({
  ID: uint64Id(1),
  range: nested(3, m.rangeRequest), put: nested(4, m.putRequest), deleteRange: nested(5, m.deleteRangeRequest), txn: nested(6, m.txnRequest),
  compaction: nested(7, m.compactionRequest), leaseGrant: nested(8, m.leaseGrantRequest), leaseRevoke: nested(9, m.leaseRevokeRequest),
  alarm: nested(10, m.alarmRequest), leaseCheckpoint: nested(11, leaseCheckpointRequest),
  header: nested(100, requestHeader),
  authEnable: nested(1000, a.authEnableRequest), authDisable: nested(1011, a.authDisableRequest), authenticate: nested(1012, a.internalAuthenticateRequest),
  authStatus: nested(1013, a.authStatusRequest),
  authUserAdd: nested(1100, a.authUserAddRequest), authUserDelete: nested(1101, a.authUserDeleteRequest), authUserGet: nested(1102, a.authUserGetRequest),
  authUserChangePassword: nested(1103, a.authUserChangePasswordRequest), authUserGrantRole: nested(1104, a.authUserGrantRoleRequest),
  authUserRevokeRole: nested(1105, a.authUserRevokeRoleRequest), authUserList: nested(1106, a.authUserListRequest), authRoleList: nested(1107, a.authRoleListRequest),
  authRoleAdd: nested(1200, a.authRoleAddRequest), authRoleDelete: nested(1201, a.authRoleDeleteRequest), authRoleGet: nested(1202, a.authRoleGetRequest),
  authRoleGrantPermission: nested(1203, a.authRoleGrantPermissionRequest), authRoleRevokePermission: nested(1204, a.authRoleRevokePermissionRequest),
  clusterVersionSet: nested(1300, clusterVersionSetRequest), clusterMemberAttrSet: nested(1301, clusterMemberAttrSetRequest),
  downgradeInfoSet: nested(1302, downgradeInfoSetRequest),
});
export type InternalRaftRequest = Decoded<typeof internalRaftRequest>;
export type InternalRaftRequestInput = Encodable<typeof internalRaftRequest>;

/** All of them but those that say who asked, and the reads that upstream once sent through the log. */
export const REQUEST_FIELDS = [
  'put', 'txn', 'deleteRange', 'compaction', 'leaseGrant', 'leaseRevoke', 'leaseCheckpoint', 'alarm', 'clusterVersionSet', 'clusterMemberAttrSet', 'downgradeInfoSet',
  'authEnable', 'authDisable', 'authenticate', 'authStatus', 'authUserAdd', 'authUserDelete', 'authUserGet', 'authUserChangePassword', 'authUserGrantRole',
  'authUserRevokeRole', 'authUserList', 'authRoleList', 'authRoleAdd', 'authRoleDelete', 'authRoleGet', 'authRoleGrantPermission', 'authRoleRevokePermission',
] as const satisfies readonly (keyof InternalRaftRequest)[];
export type RequestField = (typeof REQUEST_FIELDS)[number];
