// gRPC service Auth: users, roles, permissions and tokens. Passwords are hashed, and checked, before anything goes to the
// log, which never holds one. Source: etcd v3.6, server/etcdserver/v3_server.go.
import { randomInt } from 'node:crypto';
import { etcdError } from '#lib/etcd-api/errors.ts';
import { authService } from '#lib/etcd-api/services.ts';
import type { AuthCommandType, AuthRequests } from '../core/auth/commands.ts';
import type { ResponseTo } from '../core/store.ts';
import { inEtcdsWords, type Authenticator } from './authenticator.ts';
import type { Caller } from './caller.ts';
import { unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import type { TokenSigner } from './jwt.ts';
import type { Member } from './member.ts';
import { Passwords } from './passwords.ts';
import { steadily, type Clock } from '#lib/environment/clock.ts';

export interface AuthServiceOptions extends CallContext {
  readonly member: Member;
  readonly clock: Clock;
  readonly authenticator: Authenticator;
  readonly bcryptCost: number;
  readonly tokenTtlMs: number;
  readonly signer: TokenSigner | undefined;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
/** Source: etcd, defaultSimpleTokenLength. */
const TOKEN_LETTERS = 16;
/** The users may change while a password is checked; it is checked again then. */
const MAX_CHECKS = 10;

const newTokenPrefix = (): string => Array.from({ length: TOKEN_LETTERS }, () => LETTERS[randomInt(LETTERS.length)]).join('');

export function newAuthService(options: AuthServiceOptions): GrpcService {
  const { member, authenticator, bcryptCost } = options;
  const passwords = new Passwords(bcryptCost);
  /** The log carries the hash, in base64. */
  const hashed = async <R extends { password: string; hashedPassword: string }>(request: R): Promise<R> =>
    ({ ...request, password: '', hashedPassword: Buffer.from(await passwords.hash(request.password)).toString('base64') });
  const propose = async <T extends AuthCommandType>(type: T, request: AuthRequests[T], caller: Caller): Promise<ResponseTo<T>> =>
    member.propose<T>({ type, request, by: await authenticator.identify(caller) } as Parameters<typeof member.propose<T>>[0]);

  return unaryService(authService, {
    AuthEnable: (_, __, caller) => propose('authEnable', {}, caller),
    AuthDisable: (_, __, caller) => propose('authDisable', {}, caller),
    AuthStatus: (_, __, caller) => propose('authStatus', {}, caller),
    Authenticate: ({ name, password }) => authenticate(options, passwords, name, password),
    UserAdd: async (request, _, caller) => propose('authUserAdd', request.options?.noPassword ? { ...request, password: '', hashedPassword: '' } : await hashed(request), caller),
    UserGet: (request, _, caller) => propose('authUserGet', request, caller),
    UserList: (_, __, caller) => propose('authUserList', {}, caller),
    UserDelete: (request, _, caller) => propose('authUserDelete', request, caller),
    UserChangePassword: async (request, _, caller) => propose('authUserChangePassword', request.password === '' ? request : await hashed(request), caller),
    UserGrantRole: (request, _, caller) => propose('authUserGrantRole', request, caller),
    UserRevokeRole: (request, _, caller) => propose('authUserRevokeRole', request, caller),
    RoleAdd: (request, _, caller) => propose('authRoleAdd', request, caller),
    RoleGet: (request, _, caller) => propose('authRoleGet', request, caller),
    RoleList: (_, __, caller) => propose('authRoleList', {}, caller),
    RoleDelete: (request, _, caller) => propose('authRoleDelete', request, caller),
    RoleGrantPermission: (request, _, caller) => propose('authRoleGrantPermission', request, caller),
    RoleRevokePermission: (request, _, caller) => propose('authRoleRevokePermission', request, caller),
  }, options);
}

async function authenticate({ member, clock, tokenTtlMs, signer, log }: AuthServiceOptions, passwords: Passwords, name: string, password: string): Promise<ResponseTo<'authenticate'>> {
  for (let check = 0; check < MAX_CHECKS; check += 1) {
    const { auth } = member.store;
    const { revision } = auth;
    const hash = inEtcdsWords(() => auth.passwordHashOf(name));
    if (!(await passwords.isRight(password, hash))) {
      log.info({ 'user-name': name }, 'invalid password');
      throw etcdError('AuthFailed');
    }
    auth.tokens.dropExpired(steadily(clock).nowMs(), tokenTtlMs);
    const response = await member.propose({ type: 'authenticate', request: { name, simpleToken: signer === undefined ? newTokenPrefix() : '' } });
    if (revision !== member.store.auth.revision) continue;
    return signer === undefined ? response : { ...response, token: signer.sign({ username: name, authRevision: revision }, clock.nowMs()) };
  }
  throw etcdError('AuthOldRevision');
}
