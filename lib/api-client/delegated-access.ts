// Who may read /metrics and /configz: the API server is asked, first who the caller is (TokenReview), then whether it may
// (SubjectAccessReview). Source: k8s.io/apiserver's delegating authenticator and authorizer. Bearer tokens only.
import type { IncomingMessage } from 'node:http';
import type { Clock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { TransportError, type ApiClient } from './client.ts';

/** Verdicts are kept so long. Source: the delegating options' CacheTTL. */
const CACHE_MS = 10_000;
const CACHE_LIMIT = 256;

interface UserInfo {
  readonly username?: string;
  readonly groups?: readonly string[];
  readonly uid?: string;
}
const ANONYMOUS: UserInfo = { username: 'system:anonymous', groups: ['system:unauthenticated'] };

/** A check for the health server: 200, 401, 403, or 500 when the API server cannot be asked. */
export function delegatedAccess(api: ApiClient, clock: Clock): (request: IncomingMessage) => Promise<number> {
  const verdicts = new Map<string, { readonly status: number; readonly endMs: number }>();

  const userOf = async (authorization: string | undefined): Promise<UserInfo | undefined> => {
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) return ANONYMOUS;
    const { status } = await api.request<{ status?: { authenticated?: boolean; user?: UserInfo } }>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token },
    });
    return status?.authenticated === true ? status.user : undefined;
  };
  const mayRead = async ({ username, groups, uid }: UserInfo, path: string, verb: string): Promise<boolean> => {
    const { status } = await api.request<{ status?: { allowed?: boolean } }>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: username, groups, uid, nonResourceAttributes: { path, verb } },
    });
    return status?.allowed === true;
  };

  return async ({ headers, url = '/', method = 'GET' }) => {
    const path = url.split('?')[0] ?? '/';
    const key = `${headers.authorization ?? ''} ${method} ${path}`;
    const known = verdicts.get(key);
    if (known && known.endMs > clock.nowMs()) return known.status;
    let status: number;
    try {
      const user = await userOf(headers.authorization);
      status = user === undefined ? 401 : (await mayRead(user, path, method.toLowerCase())) ? 200 : 403;
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      return 500;
    }
    verdicts.delete(key);
    verdicts.set(key, { status, endMs: clock.nowMs() + CACHE_MS });
    if (verdicts.size > CACHE_LIMIT) for (const oldest of verdicts.keys()) return verdicts.delete(oldest), status;
    return status;
  };
}
