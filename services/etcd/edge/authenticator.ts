// Finds out who calls, by token or by the name in the client's certificate, and what callers may do.
// Source: etcd v3.6, server/auth/store.go (AuthInfoFromCtx, AuthInfoFromTLS) and server/etcdserver/v3_server.go.
import { steadily, type Clock } from '#lib/environment/clock.ts';
import { etcdError } from '#lib/etcd-api/errors.ts';
import { NOBODY, type Requester } from '../core/auth/commands.ts';
import { StoreError } from '../core/store-error.ts';
import type { Caller } from './caller.ts';
import type { Member } from './member.ts';
import type { TokenSigner } from './jwt.ts';

export interface AuthenticatorOptions {
  readonly member: Member;
  readonly clock: Clock;
  readonly tokenTtlMs: number;
  /** --client-cert-auth: the common name of a client's certificate is a user's name. */
  readonly clientCertAuth: boolean;
  /** --auth-token=jwt,...; undefined: simple tokens. */
  readonly signer: TokenSigner | undefined;
}

/** How long a member waits to hear of a token that another one gave. */
const TOKEN_WAIT_MS = 5_000;
const TOKEN_POLL_MS = 20;

export class Authenticator {
  private readonly options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.options = options;
  }

  get isEnabled(): boolean {
    return this.options.member.store.auth.isEnabled;
  }

  /** undefined: nobody in particular, or authentication is off. Throws EtcdError for a token that does not hold. */
  async identify(caller: Caller): Promise<Requester | undefined> {
    if (!this.isEnabled) return undefined;
    const token = caller.header('token') ?? caller.header('authorization');
    if (token !== undefined) return this.ownerOf(token.replace(/^Bearer /, ''));
    // The gateway calls on behalf of others: its own certificate says nothing about them.
    if (!this.options.clientCertAuth || caller.commonName === undefined || caller.header('grpcgateway-accept') !== undefined) return undefined;
    return { username: caller.commonName, authRevision: this.options.member.store.auth.revision };
  }

  private async ownerOf(token: string): Promise<Requester> {
    const { member, clock, tokenTtlMs, signer } = this.options;
    if (signer !== undefined) {
      const owner = signer.verify(token, clock.nowMs());
      if (owner === undefined) throw etcdError('InvalidAuthToken');
      return owner;
    }
    const index = /^[^.]+\.(\d+)$/.exec(token)?.[1];
    if (index === undefined) throw etcdError('InvalidAuthToken');
    const steady = steadily(clock);
    for (const deadlineMs = steady.nowMs() + TOKEN_WAIT_MS; member.appliedIndex < Number(index) && steady.nowMs() < deadlineMs;) await steady.sleep(TOKEN_POLL_MS);
    const username = member.store.auth.tokens.use(token, steady.nowMs(), tokenTtlMs);
    if (username === undefined) throw etcdError('InvalidAuthToken');
    return { username, authRevision: member.store.auth.revision };
  }

  /** Runs a read for who may: `check` throws StoreError. Users and roles must not change meanwhile. */
  async read<R>(caller: Caller, check: (by: Requester) => void, read: () => R | Promise<R>): Promise<R> {
    const by = (await this.identify(caller)) ?? NOBODY;
    inEtcdsWords(() => check(by));
    const response = await read();
    if (by.authRevision !== 0 && by.authRevision !== this.options.member.store.auth.revision) throw etcdError('AuthOldRevision');
    if (by.authRevision === 0) inEtcdsWords(() => check(by)); // it may have been turned on meanwhile
    return response;
  }

  /** Throws EtcdError unless authentication is off or an administrator calls. */
  async requireAdmin(caller: Caller): Promise<void> {
    const by = (await this.identify(caller)) ?? NOBODY;
    inEtcdsWords(() => this.options.member.store.auth.checkAdmin(by));
  }

  /** Throws EtcdError when authentication is on and nobody in particular calls; undefined while it is off. */
  async requireUser(caller: Caller): Promise<Requester | undefined> {
    const by = await this.identify(caller);
    if (this.isEnabled && by === undefined) throw etcdError('UserEmpty');
    return by;
  }
}

/** What the core refuses becomes the error that clients know. */
export function inEtcdsWords<R>(run: () => R): R {
  try {
    return run();
  } catch (error) {
    throw error instanceof StoreError ? etcdError(error.reason) : error;
  }
}
