// Who asks and whether they may: client certificates, tokens reviewed by the API server, and its word on permissions.
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { AccessReviews, ANONYMOUS, bearerToken, type ReviewedUser } from '#lib/api-client/access-reviews.ts';
import type { ApiClient } from '#lib/api-client/client.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { neededAccess } from '../../core/server-access.ts';
import type { KubeletConfiguration } from '../configuration.ts';

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
  readonly #reviews: AccessReviews | undefined;

  constructor(options: AccessOptions) {
    const { api, clock, config: { tokenCacheMs, allowedCacheMs, deniedCacheMs } } = options;
    this.#options = options;
    this.#reviews = api && new AccessReviews({ api, clock, tokenCacheMs, allowedCacheMs, deniedCacheMs });
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

  async #authenticate(request: IncomingMessage): Promise<ReviewedUser | undefined> {
    const socket = request.socket as TLSSocket;
    if (socket.authorized) {
      const { subject } = socket.getPeerCertificate();
      const organizations = (subject as { O?: string | string[] } | undefined)?.O;
      const name = (subject as { CN?: string } | undefined)?.CN ?? '';
      if (name !== '') return { name, uid: '', groups: [...(organizations === undefined ? [] : [organizations].flat()), 'system:authenticated'], extra: {} };
    }
    const token = bearerToken(request);
    if (token !== undefined) return this.#reviewToken(token);
    return this.#options.config.anonymousAuth ? ANONYMOUS : undefined;
  }

  async #reviewToken(token: string): Promise<ReviewedUser | undefined> {
    if (!this.#reviews || !this.#options.config.webhookAuth) return undefined;
    return orRefuse(this.#reviews.userOf(token), () => new AccessRefused(401, 'Unauthorized'));
  }

  async #allows(user: ReviewedUser, verb: string, subresource: string): Promise<boolean> {
    if (!this.#reviews) return false;
    const resourceAttributes = { verb, version: 'v1', resource: 'nodes', subresource, name: this.#options.nodeName };
    return orRefuse(this.#reviews.allows(user, { resourceAttributes }), (error) => new AccessRefused(500, `Authorization error: ${error instanceof Error ? error.message : String(error)}`));
  }
}

async function orRefuse<T>(answer: Promise<T>, refusal: (error: unknown) => AccessRefused): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw refusal(error);
  }
}
