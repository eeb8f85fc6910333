// The streaming server: CRI's Exec, Attach and PortForward answer with a URL here, good for one connection, which the
// kubelet connects the client's bytes to. It speaks WebSocket and SPDY/3.1, whichever the client asks for.
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws';
import type { AttachRequest, ExecRequest, PortForwardRequest } from '#lib/cri/messages.ts';
import type { Execs } from '../exec.ts';
import type { Runtime } from '../runtime.ts';
import { PORT_FORWARD_PROTOCOL, PORT_FORWARD_WEBSOCKET_PROTOCOLS, portForwardPairs, servePortForwardWebSocket, TUNNEL_PROTOCOL } from './port-forward.ts';
import type { RemoteStreams, StreamRequest } from './remote-command.ts';
import { serveAttach, serveExec } from './sessions.ts';
import { SPDY_REMOTE_COMMAND_PROTOCOLS, remoteStreamsOfSpdy } from './spdy-remote-command.ts';
import { SpdyConnection, type SpdyStream } from './spdy.ts';
import { REMOTE_COMMAND_PROTOCOLS, remoteStreamsOfWebSocket } from './websocket.ts';

/** How long a URL may wait for its connection. Milliseconds. Source: kubelet's streaming server, cacheTTL. */
const TOKEN_LIFE_MS = 60_000;
/** URLs waiting at once. Source: kubelet's streaming server, maxInFlight. */
const MAX_TOKENS = 1_000;
/** Largest WebSocket message taken from a client. Bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

type Session =
  | { readonly kind: 'exec'; readonly request: ExecRequest }
  | { readonly kind: 'attach'; readonly request: AttachRequest }
  | { readonly kind: 'portforward'; readonly request: PortForwardRequest };

export interface StreamingServer {
  readonly address: string;
  exec(request: ExecRequest): string;
  attach(request: AttachRequest): string;
  portForward(request: PortForwardRequest): string;
  close(): Promise<void>;
}

export interface StreamingOptions {
  readonly host: string;
  readonly runtime: Runtime;
  readonly execs: Execs;
  readonly log: Logger;
}

const protocolsOf = (header: string | string[] | undefined): string[] => String(header ?? '').split(',').map((name) => name.trim()).filter((name) => name !== '');

export async function startStreamingServer({ host, runtime, execs, log }: StreamingOptions): Promise<StreamingServer> {
  const waiting = new Map<string, { session: Session; timer: NodeJS.Timeout }>();
  const open = new Set<Duplex>();
  const server = createServer((_, response) => response.writeHead(400, { 'content-type': 'text/plain' }).end('unable to upgrade: missing upgrade headers in request\n'));

  const webSockets = new WebSocketServer({
    noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false,
    handleProtocols: (offered, request) => {
      const accepted = peek(request)?.kind === 'portforward' ? [TUNNEL_PROTOCOL, ...PORT_FORWARD_WEBSOCKET_PROTOCOLS] : REMOTE_COMMAND_PROTOCOLS;
      return [...offered].find((name) => accepted.includes(name)) ?? false;
    },
  });

  const tokenOf = (request: IncomingMessage): string => /^\/(?:exec|attach|portforward)\/([\w-]+)/.exec(request.url ?? '')?.[1] ?? '';
  const peek = (request: IncomingMessage): Session | undefined => waiting.get(tokenOf(request))?.session;

  function take(request: IncomingMessage): Session | undefined {
    const token = tokenOf(request);
    const found = waiting.get(token);
    clearTimeout(found?.timer);
    waiting.delete(token);
    return found?.session;
  }

  function urlFor(session: Session): string {
    if (waiting.size >= MAX_TOKENS) throw new Error('too many streaming requests are waiting for their connections');
    const token = randomBytes(18).toString('base64url');
    waiting.set(token, { session, timer: setTimeout(() => waiting.delete(token), TOKEN_LIFE_MS).unref() });
    return `http://${host}:${(server.address() as AddressInfo).port}/${session.kind}/${token}`;
  }

  const refuse = (socket: Duplex, status: string, text: string, headers = ''): void => {
    socket.end(`HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\n${headers}content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`);
  };

  const runRemoteCommand = (session: Exclude<Session, { kind: 'portforward' }>, streams: RemoteStreams): Promise<void> =>
    session.kind === 'exec' ? serveExec({ runtime, execs }, session.request, streams) : serveAttach(runtime, session.request.containerId, streams);

  async function serveWebSocket(socket: WebSocket, session: Session): Promise<void> {
    if (session.kind !== 'portforward') return runRemoteCommand(session, remoteStreamsOfWebSocket(socket, shapeOf(session.request)));
    const sandbox = runtime.sandbox(session.request.podSandboxId);
    if (socket.protocol !== TUNNEL_PROTOCOL) return servePortForwardWebSocket(sandbox, session.request.port, socket);
    const transport = createWebSocketStream(socket);
    transport.on('error', () => transport.destroy());
    await new SpdyConnection({ transport, head: Buffer.alloc(0), onStream: portForwardPairs(sandbox) }).closed;
  }

  async function serveSpdy(transport: Duplex, head: Buffer, { session, protocol }: { session: Session; protocol: string }): Promise<void> {
    if (session.kind === 'portforward') {
      await new SpdyConnection({ transport, head, onStream: portForwardPairs(runtime.sandbox(session.request.podSandboxId)) }).closed;
      return;
    }
    const arrivals = new Arrivals<SpdyStream>();
    const connection = new SpdyConnection({ transport, head, onStream: (stream) => arrivals.push(stream) });
    void connection.closed.then(() => arrivals.end());
    await runRemoteCommand(session, await remoteStreamsOfSpdy({ connection, streams: arrivals, protocol }, shapeOf(session.request)));
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const report = (error: unknown): void => {
      log.info({ url: request.url?.replace(/\/[^/]*$/, ''), err: error }, 'a streaming session failed');
      socket.destroy();
    };
    if (!peek(request)) return refuse(socket, '404 Not Found', '404 page not found\n');
    if (String(request.headers.upgrade).toLowerCase() === 'websocket') {
      const session = peek(request);
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        take(request);
        if (webSocket.protocol === '') return webSocket.close(1002, 'no subprotocol in common');
        if (session) serveWebSocket(webSocket, session).catch(report);
      });
      return;
    }
    const session = take(request);
    if (!session) return;
    const accepted = session.kind === 'portforward' ? [PORT_FORWARD_PROTOCOL] : SPDY_REMOTE_COMMAND_PROTOCOLS;
    const offered = protocolsOf(request.headers['x-stream-protocol-version']);
    const protocol = offered.length === 0 ? accepted.at(-1) : offered.find((name) => accepted.includes(name));
    if (protocol === undefined) {
      refuse(socket, '403 Forbidden', `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${accepted.join(' ')}]\n`,
        accepted.map((name) => `x-accepted-stream-protocol-versions: ${name}\r\n`).join(''));
      return;
    }
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`);
    serveSpdy(socket, head, { session, protocol }).catch(report);
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => resolve());
  });
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    exec: (request) => urlFor({ kind: 'exec', request }),
    attach: (request) => urlFor({ kind: 'attach', request }),
    portForward: (request) => urlFor({ kind: 'portforward', request }),
    close: () => new Promise((resolve) => {
      for (const socket of open) socket.destroy();
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

const shapeOf = ({ stdin, stdout, stderr, tty }: StreamRequest): StreamRequest => ({ stdin, stdout, stderr, tty });

/** Values that arrive on their own time, read one after the other. */
class Arrivals<T> implements AsyncIterator<T> {
  readonly #values: T[] = [];
  #waiter: ((result: IteratorResult<T>) => void) | undefined;
  #hasEnded = false;

  push(value: T): void {
    if (this.#waiter) this.#waiter({ done: false, value });
    else this.#values.push(value);
    this.#waiter = undefined;
  }

  end(): void {
    this.#hasEnded = true;
    this.#waiter?.({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<T>> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#hasEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => { this.#waiter = resolve; });
  }
}
