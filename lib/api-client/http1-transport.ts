// HTTP/1.1 for servers that speak nothing else: plain HTTP, proxies. Of undici only the connection pool: the rest of it
// (fetch, WebSocket, mocks, caches) would cost 5 MB. Loaded when a server turns out to need it.
import request from 'undici/lib/api/api-request.js';
import Pool from 'undici/lib/dispatcher/pool.js';
import type { SecureContext } from 'node:tls';
import type { Transport } from './transport.ts';

export interface Http1Options {
  /** `https://192.168.1.10:6443` */
  readonly origin: string;
  readonly secureContext: SecureContext;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized: boolean;
}

const CONNECT_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 32_000;
/** HTTP/1.1 has no pings: a watch without any byte for this long is given up; the server sends a bookmark about every 60 s. */
const WATCH_SILENCE_MS = 90_000;

export function http1Transport({ origin, secureContext, servername, rejectUnauthorized }: Http1Options): Transport {
  const pool = new Pool(origin, {
    connect: { secureContext, rejectUnauthorized, timeout: CONNECT_TIMEOUT_MS, ...(servername === undefined ? {} : { servername }) },
    keepAliveTimeout: 30_000, headersTimeout: HEADERS_TIMEOUT_MS, bodyTimeout: WATCH_SILENCE_MS,
  });
  return {
    send: ({ body, ...rest }) => request.call(pool, {
      ...rest, ...(body === undefined ? {} : { body }), reset: false, // else undici closes the connection after every DELETE that has a body
    }),
    bytesRead: 0,
    drop: () => undefined, // a request that hangs ends with its connection here
    close: () => pool.destroy(),
  };
}
