// Who may use HTTP on the client port: --host-whitelist against DNS rebinding, --cors for pages of other origins.
// Source: etcd v3.6, server/embed/serve.go (accessController).
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';

export interface AccessOptions {
  /** Origins; '*' or none: all. */
  readonly cors: readonly string[];
  /** Host names that requests without TLS may ask for; '*' or none: all. */
  readonly hostWhitelist: readonly string[];
  /** Whether the common name of a certificate would be taken for a user. The gateway does not do that. */
  readonly takesUsersFromCertificates: () => boolean;
  readonly log: Logger;
}

const V3_BETA = '/v3beta/';

export function withAccessControl({ cors, hostWhitelist, takesUsersFromCertificates, log }: AccessOptions, handler: RequestListener): RequestListener {
  const allowsAll = (names: readonly string[]): boolean => names.length === 0 || names.includes('*');
  const allowedOrigin = ({ headers: { origin } }: IncomingMessage): string | undefined => (allowsAll(cors) ? '*' : origin !== undefined && cors.includes(origin) ? origin : undefined);

  return (request, response) => {
    if (request.url?.startsWith(V3_BETA)) request.url = `/v3/${request.url.slice(V3_BETA.length)}`;
    const socket = request.socket as TLSSocket;
    if (!socket.encrypted) {
      const host = hostOf(request.headers.host ?? '');
      if (!allowsAll(hostWhitelist) && !hostWhitelist.includes(host)) {
        log.warn({ host }, 'rejecting HTTP request to prevent DNS rebinding attacks');
        return refuse(response, 421, unrecognizedHost(host));
      }
    } else if (request.url?.startsWith('/v3/') && takesUsersFromCertificates() && commonNameOf(socket) !== '') {
      return refuse(response, 400, 'CommonName of client sending a request against gateway will be ignored and not used as expected');
    }
    const origin = allowedOrigin(request);
    if (origin !== undefined) {
      response.setHeader('Access-Control-Allow-Methods', 'POST, GET, OPTIONS, PUT, DELETE');
      response.setHeader('Access-Control-Allow-Origin', origin);
      response.setHeader('Access-Control-Allow-Headers', 'accept, content-type, authorization');
    }
    if (request.method === 'OPTIONS') return void response.writeHead(200, { 'content-length': 0 }).end();
    return handler(request, response);
  };
}

/** As net.SplitHostPort: brackets of IPv6 are not part of it. */
const hostOf = (header: string): string => /^\[([^\]]*)\](?::\d*)?$/.exec(header)?.[1] ?? header.replace(/:\d*$/, '');

function commonNameOf(socket: TLSSocket): string {
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string } };
  return subject?.CN ?? '';
}

const refuse = (response: ServerResponse, status: number, text: string): void =>
  void response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }).end(`${text}\n`);

/** As etcd says it, so that a search for it finds the cause. */
const unrecognizedHost = (host: string): string => `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist, e.g.:
    $ etcd --host-whitelist ${host}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`;
