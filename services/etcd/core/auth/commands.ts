// The commands that concern users, roles and tokens, as they stand in the log.
import type * as m from '#lib/etcd-api/auth-messages.ts';
import type { ResponseHeader } from '#lib/etcd-api/messages.ts';
import type { Decoded } from '#lib/etcd-api/wire.ts';

/** Who asks, and as of which state of users and roles that was found out. */
export interface Requester {
  readonly username: string;
  readonly authRevision: number;
}
export const NOBODY: Requester = { username: '', authRevision: 0 };

export interface AuthRequests {
  authEnable: object;
  authDisable: object;
  authStatus: object;
  authenticate: { readonly name: string; readonly simpleToken: string };
  authUserAdd: Decoded<typeof m.authUserAddRequest>;
  authUserDelete: Decoded<typeof m.authUserDeleteRequest>;
  authUserGet: Decoded<typeof m.authUserGetRequest>;
  authUserChangePassword: Decoded<typeof m.authUserChangePasswordRequest>;
  authUserGrantRole: Decoded<typeof m.authUserGrantRoleRequest>;
  authUserRevokeRole: Decoded<typeof m.authUserRevokeRoleRequest>;
  authUserList: object;
  authRoleList: object;
  authRoleAdd: Decoded<typeof m.authRoleAddRequest>;
  authRoleDelete: Decoded<typeof m.authRoleDeleteRequest>;
  authRoleGet: Decoded<typeof m.authRoleGetRequest>;
  authRoleGrantPermission: Decoded<typeof m.authRoleGrantPermissionRequest>;
  authRoleRevokePermission: Decoded<typeof m.authRoleRevokePermissionRequest>;
}

interface HeaderOnly { header: ResponseHeader }

export interface AuthResponses extends Record<keyof AuthRequests, HeaderOnly> {
  authStatus: { header: ResponseHeader; enabled: boolean; authRevision: number };
  authenticate: { header: ResponseHeader; token: string };
  authUserGet: { header: ResponseHeader; roles: string[] };
  authUserList: { header: ResponseHeader; users: string[] };
  authRoleList: { header: ResponseHeader; roles: string[] };
  authRoleGet: { header: ResponseHeader; perm: m.Permission[] };
}

export type AuthCommandType = keyof AuthRequests;
export type AuthCommand<T extends AuthCommandType = AuthCommandType> =
  { [K in T]: { readonly type: K; readonly request: AuthRequests[K]; readonly by?: Requester | undefined } }[T];
