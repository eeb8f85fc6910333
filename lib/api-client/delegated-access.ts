// Who may read /metrics and /configz: whom the API server knows by a bearer token, and lets.
import type { IncomingMessage } from 'node:http';
import type { Clock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { requestUrl } from '#lib/service/request-url.ts';
import { AccessReviews, ANONYMOUS, bearerToken } from './access-reviews.ts';
import { TransportError, type ApiClient } from './client.ts';

/** A check for the health server: 200, 401, 403, or 500 when the API server cannot be asked. */
export function delegatedAccess(api: ApiClient, clock: Clock): (request: IncomingMessage) => Promise<number> {
  const reviews = new AccessReviews({ api, clock });
  return async (request) => {
    const { url, method = 'GET' } = request;
    try {
      const token = bearerToken(request);
      const user = token === undefined ? ANONYMOUS : await reviews.userOf(token);
      if (!user) return 401;
      return (await reviews.allows(user, { nonResourceAttributes: { path: requestUrl(url).pathname, verb: method.toLowerCase() } })) ? 200 : 403;
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      return 500;
    }
  };
}
