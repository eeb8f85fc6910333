// exec, attach and port-forward: the kubelet asks the runtime for the URL of a session and then passes bytes both ways.
// The protocol inside (SPDY or WebSocket) is between the client and the runtime's streaming server.
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

const CONNECT_MS = 10_000;

export interface Session {
  /** Bytes that came right behind the request. */
  readonly head: Buffer;
  /** URL at the runtime's streaming server. */
  readonly target: string;
  /** Without any byte for so long it is ended; milliseconds. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/** Resolves when either side has ended. */
export function tunnel(request: IncomingMessage, client: Duplex, { head, target, idleMs, signal }: Session): Promise<void> {
  const url = new URL(target);
  return new Promise((resolve, reject) => {
    const runtime = connect({ host: url.hostname, port: Number(url.port === '' ? '80' : url.port) });
    const connecting = setTimeout(() => runtime.destroy(new Error('the runtime\'s streaming server does not answer')), CONNECT_MS);
    let isOpen = false;
    const end = (): void => {
      clearTimeout(connecting);
      signal.removeEventListener('abort', end);
      runtime.destroy();
      client.destroy();
      resolve();
    };
    runtime.once('connect', () => {
      clearTimeout(connecting);
      isOpen = true;
      runtime.setNoDelay(true);
      runtime.setTimeout(idleMs, end);
      runtime.write(requestHead(request, url));
      if (head.length > 0) runtime.write(head);
      client.pipe(runtime);
      runtime.pipe(client);
    });
    runtime.once('error', (error) => {
      if (isOpen) return end();
      clearTimeout(connecting);
      reject(new Error(`cannot reach the runtime's streaming server at ${url.host}`, { cause: error }));
    });
    runtime.once('close', end);
    client.once('error', end);
    client.once('close', end);
    signal.addEventListener('abort', end, { once: true });
  });
}

function requestHead(request: IncomingMessage, url: URL): string {
  const lines = [`${request.method ?? 'GET'} ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? '';
    if (!['host', 'authorization'].includes(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[index + 1] ?? ''}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
