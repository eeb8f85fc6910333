// Sockets: gRPC and plain HTTP share the client port, as with etcd. A TLS client that offers HTTP/1.1 (curl, a browser)
// gets HTTP; gRPC clients offer HTTP/2 only. Without TLS the first bytes tell.
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Logger } from 'pino';

export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** With it a client must show a certificate of this authority. */
  readonly clientCa?: Buffer;
}

export interface ListenOptions {
  readonly urls: readonly string[];
  readonly tls: Tls | undefined;
  /** Absent where only HTTP is spoken. */
  readonly onGrpcConnection?: (connection: Socket) => void;
  readonly http: RequestListener;
  /** Looks at the certificate that a client showed; resolves with what is wrong with it. Default: what TLS finds is all. */
  readonly objection?: (socket: TLSSocket) => Promise<string | undefined>;
  readonly log: Logger;
}

export interface Listening {
  /** What was bound, with real ports. */
  readonly urls: readonly string[];
  readonly close: () => Promise<void>;
}

export class ListenError extends Error {
  override readonly name = 'ListenError';
}

const HTTP2_PREFACE = 'PRI * HTTP/2';
/** Time for a client to finish the TLS handshake, and to say what it speaks. Source: node:tls default is 120 s, too long for a port that anyone can hold open. */
const HANDSHAKE_TIMEOUT_MS = 20_000;

/** Rejects with ListenError, and closes what it has opened, when an address cannot be bound. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const http = createHttpServer(options.http);
  const connections = new Set<Socket>();
  const servers: TcpServer[] = [];
  const close = async (): Promise<void> => {
    const closing = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    http.closeAllConnections();
    for (const connection of connections) connection.destroy();
    await Promise.all(closing);
  };
  try {
    const urls: string[] = [];
    for (const text of options.urls) {
      const url = parseListenUrl(text);
      const server = url.protocol === 'https:' ? tlsServer(options, http) : tcpServer(options, http);
      server.on('connection', (socket: Socket) => {
        connections.add(socket);
        socket.once('close', () => connections.delete(socket));
      });
      await bind(server, url, text);
      servers.push(server);
      urls.push(`${url.protocol}//${url.hostname}:${(server.address() as AddressInfo).port}`);
    }
    return { urls, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function parseListenUrl(text: string): URL {
  if (!URL.canParse(text)) throw new ListenError(`invalid listen URL ${JSON.stringify(text)}`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new ListenError(`URL scheme must be http, https: ${text}`);
  return url;
}

function bind(server: TcpServer, url: URL, text: string): Promise<void> {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void =>
      reject(new ListenError(error.code === 'EADDRINUSE' ? `listen tcp ${url.hostname}:${port}: bind: address already in use` : `cannot listen on ${text}: ${error.message}`, { cause: error }));
    server.once('error', onError);
    server.listen(port, url.hostname.replace(/^\[|\]$/g, ''), () => {
      server.off('error', onError);
      resolve();
    });
  });
}

function tlsServer({ tls, onGrpcConnection, objection, log, urls }: ListenOptions, http: HttpServer): TcpServer {
  if (tls === undefined) throw new ListenError(`cannot listen on TLS for ${urls.join(',')}: --cert-file and --key-file are not provided`);
  const tlsOptions: TlsOptions = {
    cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2', noDelay: true, handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    ALPNCallback: ({ protocols }) => (protocols.includes('http/1.1') || onGrpcConnection === undefined ? 'http/1.1' : protocols.includes('h2') ? 'h2' : undefined),
    ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
  };
  const server = createTlsServer(tlsOptions, (socket) => {
    if (objection !== undefined) void admit(socket, objection, http, log);
    else if (socket.alpnProtocol === 'http/1.1' || onGrpcConnection === undefined) http.emit('connection', socket);
    else route(socket, onGrpcConnection, http);
  });
  server.on('tlsClientError', (error, socket) => {
    log.warn({ err: { message: error.message }, remote: socket.remoteAddress }, 'rejected connection on client endpoint');
    socket.destroy();
  });
  return server;
}

async function admit(socket: TLSSocket, objectionTo: NonNullable<ListenOptions['objection']>, http: HttpServer, log: Logger): Promise<void> {
  const onError = (): void => void socket.destroy();
  socket.on('error', onError);
  const objection = await objectionTo(socket);
  if (objection !== undefined) {
    log.warn({ remote: socket.remoteAddress, error: objection }, 'rejected connection on peer endpoint');
    socket.destroy();
  } else if (!socket.destroyed) {
    socket.off('error', onError);
    http.emit('connection', socket);
  }
}

function tcpServer({ onGrpcConnection }: ListenOptions, http: HttpServer): TcpServer {
  return createTcpServer({ noDelay: true }, (socket) => {
    if (onGrpcConnection === undefined) http.emit('connection', socket);
    else route(socket, onGrpcConnection, http);
  });
}

/** Waits for the client's first bytes, which say what it speaks, and hands the connection on with nothing missing. */
function route(socket: Socket, onGrpcConnection: (connection: Socket) => void, http: HttpServer): void {
  const onError = (): void => void socket.destroy(); // a connection that breaks ends; HTTP/2 tells its streams
  const onTimeout = (): void => void socket.destroy();
  socket.on('error', onError).setTimeout(HANDSHAKE_TIMEOUT_MS).once('timeout', onTimeout);
  let start: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    start = Buffer.concat([start, chunk]);
    const speaksHttp2 = start.toString('latin1', 0, HTTP2_PREFACE.length) === HTTP2_PREFACE.slice(0, start.length);
    if (speaksHttp2 && start.length < HTTP2_PREFACE.length) return;
    socket.off('data', onData).pause();
    socket.setTimeout(0).off('timeout', onTimeout);
    if (speaksHttp2) {
      socket.unshift(start);
      onGrpcConnection(socket);
    } else {
      socket.off('error', onError);
      http.emit('connection', socket);
      socket.unshift(start);
      queueMicrotask(() => socket.resume());
    }
  };
  socket.on('data', onData);
}
