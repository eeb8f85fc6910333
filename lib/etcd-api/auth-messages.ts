// Users, roles and tokens of etcd v3 (packages authpb and etcdserverpb), field by field.
// Source: etcd v3.6, api/authpb/auth.proto and api/etcdserverpb/rpc.proto.
import { responseHeader } from './messages.ts';
import { boolean, bytes, enumeration, int64, message, nested, repeated, string, strings, type Decoded } from './wire.ts';

const header = nested(1, responseHeader);
const empty = message({});
const headerOnly = message({ header });
const named = message({ name: string(1) });
const ofRole = message({ role: string(1) });

// What is stored

export const userAddOptions = message({ noPassword: boolean(1) });
export const authUser = message({ name: bytes(1), password: bytes(2), roles: strings(3), options: nested(4, userAddOptions) });
export type AuthUser = Decoded<typeof authUser>;
export const permission = message({ permType: enumeration(1, ['READ', 'WRITE', 'READWRITE']), key: bytes(2), rangeEnd: bytes(3) });
export type Permission = Decoded<typeof permission>;
export const authRole = message({ name: bytes(1), keyPermission: repeated(2, permission) });
export type AuthRole = Decoded<typeof authRole>;

// Whether it is on, and tokens

export const authEnableRequest = empty;
export const authEnableResponse = headerOnly;
export const authDisableRequest = empty;
export const authDisableResponse = headerOnly;
export const authStatusRequest = empty;
export const authStatusResponse = message({ header, enabled: boolean(2), authRevision: int64(3) });
export const authenticateRequest = message({ name: string(1), password: string(2) });
export const authenticateResponse = message({ header, token: string(2) });
/** What is replicated of an authentication: the password has been checked by then. */
export const internalAuthenticateRequest = message({ name: string(1), password: string(2), simpleToken: string(3) });

// Users

export const authUserAddRequest = message({ name: string(1), password: string(2), options: nested(3, userAddOptions), hashedPassword: string(4) });
export const authUserAddResponse = headerOnly;
export const authUserGetRequest = named;
export const authUserGetResponse = message({ header, roles: strings(2) });
export const authUserListRequest = empty;
export const authUserListResponse = message({ header, users: strings(2) });
export const authUserDeleteRequest = named;
export const authUserDeleteResponse = headerOnly;
export const authUserChangePasswordRequest = message({ name: string(1), password: string(2), hashedPassword: string(3) });
export const authUserChangePasswordResponse = headerOnly;
export const authUserGrantRoleRequest = message({ user: string(1), role: string(2) });
export const authUserGrantRoleResponse = headerOnly;
export const authUserRevokeRoleRequest = message({ name: string(1), role: string(2) });
export const authUserRevokeRoleResponse = headerOnly;

// Roles

export const authRoleAddRequest = named;
export const authRoleAddResponse = headerOnly;
export const authRoleGetRequest = ofRole;
export const authRoleGetResponse = message({ header, perm: repeated(2, permission) });
export const authRoleListRequest = empty;
export const authRoleListResponse = message({ header, roles: strings(2) });
export const authRoleDeleteRequest = ofRole;
export const authRoleDeleteResponse = headerOnly;
export const authRoleGrantPermissionRequest = message({ name: string(1), perm: nested(2, permission) });
export const authRoleGrantPermissionResponse = headerOnly;
export const authRoleRevokePermissionRequest = message({ role: string(1), key: bytes(2), rangeEnd: bytes(3) });
export const authRoleRevokePermissionResponse = headerOnly;
