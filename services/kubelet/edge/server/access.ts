// Who asks and whether they may: client certificates, tokens reviewed by the API server, and its word on permissions.
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { ApiClient } from '#lib/api-client/client.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { TokenReview } from '#lib/kinds/types/authentication-v1.ts';
import type { SubjectAccessReview } from '#lib/kinds/types/authorization-v1.ts';
import { neededAccess } from '../../core/server-access.ts';
import type { KubeletConfiguration } from '../configuration.ts';

/** Entries kept of each cache; the oldest go first. */
const CACHE_LIMIT = 1024;

export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, string[]>>;
}

/** What the client gets to hear when it may not go on. */
export class AccessRefused extends Error {
  override readonly name = 'AccessRefused';
  readonly status: 401 | 403 | 500;

  constructor(status: 401 | 403 | 500, message: string) {
    super(message);
    this.status = status;
  }
}

export interface AccessOptions {
  readonly config: KubeletConfiguration;
  readonly api: ApiClient | undefined;
  readonly nodeName: string;
  readonly clock: Clock;
}

export class Access {
  readonly #options: AccessOptions;
  readonly #tokens = new TimedCache<User | undefined>();
  readonly #decisions = new TimedCache<boolean>();

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** Throws AccessRefused. */
  async check(request: IncomingMessage, path: string): Promise<void> {
    const user = await this.#authenticate(request);
    if (!user) throw new AccessRefused(401, 'Unauthorized');
    if (this.#options.config.authorizationMode === 'AlwaysAllow') return;
    const { verb, subresources } = neededAccess(request.method ?? 'GET', path);
    for (const subresource of subresources) if (await this.#allows(user, verb, subresource)) return;
    throw new AccessRefused(403, `Forbidden (user=${user.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(' ')}])\n`);
  }

  async #authenticate(request: IncomingMessage): Promise<User | undefined> {
    const socket = request.socket as TLSSocket;
    if (socket.authorized) {
      const { subject } = socket.getPeerCertificate();
      const organizations = (subject as { O?: string | string[] } | undefined)?.O;
      const name = (subject as { CN?: string } | undefined)?.CN ?? '';
      if (name !== '') return { name, uid: '', groups: [...(organizations === undefined ? [] : [organizations].flat()), 'system:authenticated'], extra: {} };
    }
    const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined) return this.#reviewToken(token);
    return this.#options.config.anonymousAuth ? { name: 'system:anonymous', uid: '', groups: ['system:unauthenticated'], extra: {} } : undefined;
  }

  async #reviewToken(token: string): Promise<User | undefined> {
    const { api, clock, config } = this.#options;
    if (!api || !config.webhookAuth) return undefined;
    const known = this.#tokens.get(token, clock.nowMs());
    if (known) return known.value;
    const { status } = await asked('token', api.request<TokenReview>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }));
    const user = status?.authenticated === true
      ? { name: status.user?.username ?? '', uid: status.user?.uid ?? '', groups: status.user?.groups ?? [], extra: status.user?.extra ?? {} } : undefined;
    this.#tokens.set(token, user, clock.nowMs() + config.tokenCacheMs);
    return user;
  }

  async #allows(user: User, verb: string, subresource: string): Promise<boolean> {
    const { api, clock, config, nodeName } = this.#options;
    if (!api) return false;
    const key = JSON.stringify([user, verb, subresource]);
    const known = this.#decisions.get(key, clock.nowMs());
    if (known) return known.value;
    const { status } = await asked('access', api.request<SubjectAccessReview>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview',
      spec: { user: user.name, uid: user.uid, groups: user.groups, extra: user.extra, resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName } },
    }));
    const allowed = status?.allowed === true;
    this.#decisions.set(key, allowed, clock.nowMs() + (allowed ? config.allowedCacheMs : config.deniedCacheMs));
    return allowed;
  }
}

async function asked<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new AccessRefused(what === 'token' ? 401 : 500, what === 'token' ? 'Unauthorized' : `Authorization error: ${error instanceof Error ? error.message : String(error)}`);
  }
}

class TimedCache<V> {
  readonly #entries = new Map<string, { readonly value: V; readonly untilMs: number }>();

  get(key: string, nowMs: number): { readonly value: V } | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.untilMs > nowMs ? entry : undefined;
  }

  set(key: string, value: V, untilMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, untilMs });
    if (this.#entries.size > CACHE_LIMIT) for (const oldest of this.#entries.keys()) return void this.#entries.delete(oldest);
  }
}
