// Who a token belongs to and what a user may do, as the API server says; its answers are kept for a while.
// Source: k8s.io/apiserver's delegating authenticator and authorizer (webhook).
import type { IncomingMessage } from 'node:http';
import type { Clock } from '#lib/environment/clock.ts';
import type { TokenReview } from '#lib/kinds/types/authentication-v1.ts';
import type { SubjectAccessReview, SubjectAccessReviewSpec } from '#lib/kinds/types/authorization-v1.ts';
import type { ApiClient } from './client.ts';

/** Answers kept of each kind; the oldest go first. */
const CACHE_LIMIT = 1024;
/** Milliseconds. Source: the delegating options' CacheTTL. */
const CACHE_MS = 10_000;

export interface ReviewedUser {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export const ANONYMOUS: ReviewedUser = { name: 'system:anonymous', uid: '', groups: ['system:unauthenticated'], extra: {} };

export function bearerToken({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  return /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
}

export interface AccessReviewsOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  /** How long answers are kept; milliseconds. */
  readonly tokenCacheMs?: number;
  readonly allowedCacheMs?: number;
  readonly deniedCacheMs?: number;
}

export class AccessReviews {
  readonly #options: AccessReviewsOptions;
  readonly #users = new TimedCache<ReviewedUser | undefined>();
  readonly #decisions = new TimedCache<boolean>();

  constructor(options: AccessReviewsOptions) {
    this.#options = options;
  }

  /** Undefined: nobody's. Throws StatusError or TransportError when the server cannot say. */
  async userOf(token: string): Promise<ReviewedUser | undefined> {
    const { api, clock, tokenCacheMs = CACHE_MS } = this.#options;
    const known = this.#users.get(token, clock.nowMs());
    if (known) return known.value;
    const { status } = await api.request<TokenReview>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } });
    const { username = '', uid = '', groups = [], extra = {} } = status?.user ?? {};
    const user = status?.authenticated === true ? { name: username, uid, groups, extra } : undefined;
    this.#users.set(token, user, clock.nowMs() + tokenCacheMs);
    return user;
  }

  /** Throws StatusError or TransportError when the server cannot say. */
  async allows({ name, uid, groups, extra }: ReviewedUser, attributes: Pick<SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>): Promise<boolean> {
    const { api, clock, allowedCacheMs = CACHE_MS, deniedCacheMs = CACHE_MS } = this.#options;
    const spec = { user: name, uid, groups, extra, ...attributes };
    const key = JSON.stringify(spec);
    const known = this.#decisions.get(key, clock.nowMs());
    if (known) return known.value;
    const { status } = await api.request<SubjectAccessReview>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec });
    const isAllowed = status?.allowed === true;
    this.#decisions.set(key, isAllowed, clock.nowMs() + (isAllowed ? allowedCacheMs : deniedCacheMs));
    return isAllowed;
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
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > CACHE_LIMIT && oldest !== undefined) this.#entries.delete(oldest);
  }
}
