// Which headers of a request go on to a backend.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isCredentialProtocol, webSocketProtocols } from '../authentication.ts';
import { isCredentialHeader } from '../impersonation.ts';

/** These concern one connection only (RFC 9110 §7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection', 'proxy-connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade',
]);

/** Without what concerns the connection alone (of HTTP/2 the pseudo-headers); for answers too. */
export function endToEndHeaders(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const named = String(headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  return Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string | string[]] =>
    entry[1] !== undefined && !entry[0].startsWith(':') && !HOP_BY_HOP.has(entry[0]) && !named.includes(entry[0])));
}

/** Of an ordinary request: without credentials, with where it came from. */
export function forwardedHeaders(request: IncomingMessage): Record<string, string | string[]> {
  const headers = Object.fromEntries(Object.entries(endToEndHeaders(request.headers)).filter(([name]) => !isCredentialHeader(name)));
  return { ...headers, 'x-forwarded-for': forwardedFor(request) };
}

/** The host that the client asked for. */
export const hostOf = ({ headers }: IncomingMessage): string => headers.host ?? String(headers[':authority'] ?? '');

function forwardedFor(request: IncomingMessage): string {
  const earlier = request.headers['x-forwarded-for'];
  const address = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  return [...(earlier === undefined ? [] : [earlier].flat()), address].join(', ');
}

/** Of a request to upgrade: as the client wrote them, line by line, without credentials. */
export function upgradeHeaderLines(request: IncomingMessage): string[] {
  const lines: string[] = [];
  const { rawHeaders } = request;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'host' || lower === 'x-forwarded-for' || lower === 'sec-websocket-protocol' || isCredentialHeader(lower)) continue;
    lines.push(`${name}: ${rawHeaders[at + 1] ?? ''}`);
  }
  const protocols = webSocketProtocols(request.headers).filter((protocol) => !isCredentialProtocol(protocol));
  if (protocols.length > 0) lines.push(`Sec-WebSocket-Protocol: ${protocols.join(', ')}`);
  return [...lines, `X-Forwarded-For: ${forwardedFor(request)}`];
}
