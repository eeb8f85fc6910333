// Users, roles and what they may do. Deterministic, like the store: the same commands give the same state on every
// member. Passwords arrive as bcrypt hashes. Source: etcd v3.6, server/auth/store.go and server/etcdserver/apply.
import { authRole, authUser, type AuthRole, type AuthUser, type Permission } from '#lib/etcd-api/auth-messages.ts';
import type { ResponseHeader } from '#lib/etcd-api/messages.ts';
import { putRecord, deleteRecord, type BucketRecord, type RecordWrite } from '../bucket-record.ts';
import { StoreError } from '../store-error.ts';
import { NOBODY, type AuthCommand, type AuthCommandType, type AuthRequests, type AuthResponses, type Requester } from './commands.ts';
import { isPermissionRange, PermittedKeys } from './permitted-keys.ts';
import { SimpleTokens } from './simple-tokens.ts';

const ROOT = 'root';
const ENABLED_KEY = Buffer.from('authEnabled');
const REVISION_KEY = Buffer.from('authRevision');
const SINGLE_KEY = Buffer.alloc(0);
/** What the role root may do, whatever is stored. */
const ROOT_PERMISSION: Permission = { permType: 'READWRITE', key: Buffer.alloc(0), rangeEnd: Buffer.from([0]) };

type Access = 'READ' | 'WRITE';
type Permitted = Readonly<Record<Access, PermittedKeys>>;

export class AuthStore {
  readonly tokens = new SimpleTokens();
  private readonly users = new Map<string, AuthUser>();
  private readonly roles = new Map<string, AuthRole>();
  /** By user; forgotten with every change. */
  private readonly permitted = new Map<string, Permitted>();
  private on = false;
  private currentRevision = 1;
  private isStored = false;
  private writes: RecordWrite[] = [];

  constructor(records: Iterable<BucketRecord> = []) {
    for (const { bucket, key, value } of records) {
      if (bucket === 'authUsers') this.users.set(key.toString(), authUser.decode(value));
      else if (bucket === 'authRoles') this.roles.set(key.toString(), authRole.decode(value));
      else if (bucket === 'auth' && key.equals(ENABLED_KEY)) this.on = value[0] === 1;
      else if (bucket === 'auth' && key.equals(REVISION_KEY)) {
        this.currentRevision = Number(value.readBigUInt64BE());
        this.isStored = true;
      }
    }
  }

  get isEnabled(): boolean {
    return this.on;
  }

  /** Counts the changes of users and roles. */
  get revision(): number {
    return this.currentRevision;
  }

  /** What the member itself does, such as revoking leases that have expired; undefined while nobody is asked. */
  root(): Requester | undefined {
    return this.on ? { username: ROOT, authRevision: this.currentRevision } : undefined;
  }

  /** Throws StoreError, before any change. */
  apply({ type, request, by = NOBODY }: AuthCommand, { header, index, write }: ApplyContext): AuthResponses[AuthCommandType] {
    if (ADMIN_ONLY.has(type)) this.checkAdmin(by);
    this.writes = [];
    const handlers: { [T in AuthCommandType]: (request: AuthRequests[T]) => Omit<AuthResponses[T], 'header'> } = this.handlers(by, index);
    const answer = (handlers[type] as (request: unknown) => object)(request);
    this.writes.forEach(write);
    return { header, ...answer };
  }

  private handlers(by: Requester, index: number): { [T in AuthCommandType]: (request: AuthRequests[T]) => Omit<AuthResponses[T], 'header'> } {
    return {
      authEnable: () => this.enable(),
      authDisable: () => this.disable(),
      authStatus: () => ({ enabled: this.on, authRevision: this.currentRevision }),
      authenticate: ({ name, simpleToken }) => ({ token: this.authenticate(name, simpleToken, index) }),
      authUserAdd: (request) => this.addUser(request),
      authUserDelete: ({ name }) => this.deleteUser(name),
      authUserGet: ({ name }) => ({ roles: this.userFor(name, by).roles }),
      authUserChangePassword: (request) => this.changePassword(request),
      authUserGrantRole: ({ user, role }) => this.grantRole(user, role),
      authUserRevokeRole: ({ name, role }) => this.revokeRole(name, role),
      authUserList: () => ({ users: inByteOrder(this.users.keys()) }),
      authRoleList: () => ({ roles: inByteOrder(this.roles.keys()) }),
      authRoleAdd: ({ name }) => this.addRole(name),
      authRoleDelete: ({ role }) => this.deleteRole(role),
      authRoleGet: ({ role }) => ({ perm: this.permissionsFor(role, by) }),
      authRoleGrantPermission: ({ name, perm }) => this.grantPermission(name, perm),
      authRoleRevokePermission: (request) => this.revokePermission(request),
    };
  }

  // On, off, tokens

  private enable(): object {
    if (this.on) return {};
    const root = this.users.get(ROOT);
    if (root === undefined) throw new StoreError('RootUserNotExist');
    if (!root.roles.includes(ROOT)) throw new StoreError('RootRoleNotExist');
    this.on = true;
    this.writes.push(putRecord('auth', ENABLED_KEY, Buffer.from([1])));
    if (!this.isStored) this.saveRevision();
    return {};
  }

  private disable(): object {
    if (!this.on) return {};
    this.on = false;
    this.tokens.clear();
    this.writes.push(putRecord('auth', ENABLED_KEY, Buffer.from([0])));
    this.commit();
    return {};
  }

  private authenticate(name: string, simpleToken: string, index: number): string {
    if (!this.on) throw new StoreError('AuthNotEnabled');
    const user = this.users.get(name);
    if (user === undefined || user.options?.noPassword) throw new StoreError('AuthFailed');
    const token = `${simpleToken}.${index}`;
    if (simpleToken !== '') this.tokens.assign(token, name);
    return token;
  }

  /** The hash to compare the password with, before the authentication goes to the log. Throws StoreError. */
  passwordHashOf(name: string): Buffer {
    if (!this.on) throw new StoreError('AuthNotEnabled');
    const user = this.users.get(name);
    if (user === undefined) throw new StoreError('AuthFailed');
    if (user.options?.noPassword) throw new StoreError('NoPasswordUser');
    return user.password;
  }

  // Users

  private user(name: string): AuthUser {
    const user = this.users.get(name);
    if (user === undefined) throw new StoreError('UserNotFound');
    return user;
  }

  /** Users may see themselves. */
  private userFor(name: string, by: Requester): AuthUser {
    if (name !== by.username) this.checkAdmin(by);
    return this.user(name);
  }

  private addUser({ name, options, hashedPassword }: AuthRequests['authUserAdd']): object {
    if (name === '') throw new StoreError('UserEmpty');
    if (this.users.has(name)) throw new StoreError('UserAlreadyExists');
    const noPassword = options?.noPassword ?? false;
    this.saveUser({ name: Buffer.from(name), password: noPassword ? SINGLE_KEY : Buffer.from(hashedPassword, 'base64'), roles: [], options: { noPassword } });
    return this.commit();
  }

  private deleteUser(name: string): object {
    if (this.on && name === ROOT) throw new StoreError('InvalidAuthMgmt');
    this.user(name);
    this.users.delete(name);
    this.writes.push(deleteRecord('authUsers', Buffer.from(name)));
    this.tokens.invalidateUser(name);
    return this.commit();
  }

  private changePassword({ name, hashedPassword }: AuthRequests['authUserChangePassword']): object {
    const user = this.user(name);
    this.saveUser({ ...user, password: user.options?.noPassword ? SINGLE_KEY : Buffer.from(hashedPassword, 'base64') });
    this.tokens.invalidateUser(name);
    return this.commit();
  }

  private grantRole(name: string, role: string): object {
    const user = this.user(name);
    if (role !== ROOT && !this.roles.has(role)) throw new StoreError('RoleNotFound');
    if (user.roles.includes(role)) return {};
    this.saveUser({ ...user, roles: inByteOrder([...user.roles, role]) });
    return this.commit();
  }

  private revokeRole(name: string, role: string): object {
    if (this.on && name === ROOT && role === ROOT) throw new StoreError('InvalidAuthMgmt');
    const user = this.user(name);
    if (!user.roles.includes(role)) throw new StoreError('RoleNotGranted');
    this.saveUser({ ...user, roles: user.roles.filter((other) => other !== role) });
    return this.commit();
  }

  // Roles

  private role(name: string): AuthRole {
    const role = this.roles.get(name);
    if (role === undefined) throw new StoreError('RoleNotFound');
    return role;
  }

  /** Users may see the roles they have. */
  private permissionsFor(name: string, by: Requester): Permission[] {
    if (!(this.on && this.users.get(by.username)?.roles.includes(name))) this.checkAdmin(by);
    const role = this.role(name);
    return name === ROOT ? [ROOT_PERMISSION] : role.keyPermission;
  }

  private addRole(name: string): object {
    if (name === '') throw new StoreError('RoleEmpty');
    if (this.roles.has(name)) throw new StoreError('RoleAlreadyExists');
    this.saveRole({ name: Buffer.from(name), keyPermission: [] });
    return this.commit();
  }

  private deleteRole(name: string): object {
    if (this.on && name === ROOT) throw new StoreError('InvalidAuthMgmt');
    this.role(name);
    this.roles.delete(name);
    this.writes.push(deleteRecord('authRoles', Buffer.from(name)));
    for (const user of this.users.values()) {
      if (user.roles.includes(name)) this.saveUser({ ...user, roles: user.roles.filter((other) => other !== name) });
    }
    return this.commit();
  }

  private grantPermission(name: string, perm: Permission | undefined): object {
    if (perm === undefined) throw new StoreError('PermissionNotGiven');
    if (!isPermissionRange(perm.key, perm.rangeEnd)) throw new StoreError('InvalidAuthMgmt');
    const role = this.role(name);
    const own: Permission = { permType: perm.permType, key: Buffer.from(perm.key), rangeEnd: Buffer.from(perm.rangeEnd) };
    const others = role.keyPermission.filter((other) => !hasSameRange(other, own));
    this.saveRole({ ...role, keyPermission: [...others, own].sort((a, b) => a.key.compare(b.key)) });
    return this.commit();
  }

  private revokePermission({ role: name, key, rangeEnd }: AuthRequests['authRoleRevokePermission']): object {
    const role = this.role(name);
    const left = role.keyPermission.filter((other) => !hasSameRange(other, { key, rangeEnd }));
    if (left.length === role.keyPermission.length) throw new StoreError('PermissionNotGranted');
    this.saveRole({ ...role, keyPermission: left });
    return this.commit();
  }

  // Storage

  private saveUser(user: AuthUser): void {
    this.users.set(user.name.toString(), user);
    this.writes.push(putRecord('authUsers', user.name, authUser.encode(user)));
  }

  private saveRole(role: AuthRole): void {
    this.roles.set(role.name.toString(), role);
    this.writes.push(putRecord('authRoles', role.name, authRole.encode(role)));
  }

  private commit(): object {
    this.permitted.clear();
    this.currentRevision += 1;
    this.saveRevision();
    return {};
  }

  private saveRevision(): void {
    const value = Buffer.alloc(8);
    value.writeBigUInt64BE(BigInt(this.currentRevision));
    this.isStored = true;
    this.writes.push(putRecord('auth', REVISION_KEY, value));
  }

  // Who may do what. All throw StoreError.

  checkAdmin({ username }: Requester): void {
    if (!this.on) return;
    if (username === '') throw new StoreError('UserEmpty');
    if (!this.user(username).roles.includes(ROOT)) throw new StoreError('PermissionDenied');
  }

  checkRead(by: Requester, key: Uint8Array, rangeEnd: Uint8Array = SINGLE_KEY): void {
    this.check(by, 'READ', key, rangeEnd);
  }

  checkWrite(by: Requester, key: Uint8Array, rangeEnd: Uint8Array = SINGLE_KEY): void {
    this.check(by, 'WRITE', key, rangeEnd);
  }

  private check({ username, authRevision }: Requester, access: Access, key: Uint8Array, rangeEnd: Uint8Array): void {
    if (!this.on) return;
    if (authRevision === 0) throw new StoreError('UserEmpty');
    if (authRevision < this.currentRevision) throw new StoreError('AuthOldRevision');
    const user = this.users.get(username);
    if (user === undefined) throw new StoreError('PermissionDenied');
    if (user.roles.includes(ROOT) || this.permittedTo(username, user)[access].covers(key, rangeEnd)) return;
    throw new StoreError('PermissionDenied');
  }

  private permittedTo(username: string, { roles }: AuthUser): Permitted {
    const known = this.permitted.get(username);
    if (known !== undefined) return known;
    const all = roles.flatMap((name) => this.roles.get(name)?.keyPermission ?? []);
    const having = (access: Access): PermittedKeys => new PermittedKeys(all.filter(({ permType }) => permType === access || permType === 'READWRITE'));
    const permitted = { READ: having('READ'), WRITE: having('WRITE') };
    this.permitted.set(username, permitted);
    return permitted;
  }
}

/** What a command is applied with. */
export interface ApplyContext {
  readonly header: ResponseHeader;
  /** Of the command in the log: makes tokens unique. */
  readonly index: number;
  readonly write: (write: RecordWrite) => void;
}

const ADMIN_ONLY: ReadonlySet<AuthCommandType> = new Set([
  'authEnable', 'authDisable', 'authStatus', 'authUserAdd', 'authUserDelete', 'authUserChangePassword', 'authUserGrantRole', 'authUserRevokeRole',
  'authUserList', 'authRoleList', 'authRoleAdd', 'authRoleDelete', 'authRoleGrantPermission', 'authRoleRevokePermission',
]);

type KeyAndEnd = Pick<Permission, 'key' | 'rangeEnd'>;
const hasSameRange = (a: KeyAndEnd, b: KeyAndEnd): boolean => a.key.equals(b.key) && a.rangeEnd.equals(b.rangeEnd);
const inByteOrder = (names: Iterable<string>): string[] => [...names].sort((a, b) => Buffer.from(a).compare(Buffer.from(b)));
