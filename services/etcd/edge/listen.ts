// Sockets: gRPC and plain HTTP share the client port, as with etcd. A TLS client that offers HTTP/1.1 (curl, a browser)
// gets HTTP; gRPC clients offer HTTP/2 only. Without TLS the first bytes tell; they do, too, where an address is to be had with and without TLS.
import { rmSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ServerTls } from './tls/server-tls.ts';
import { inGoWords } from './tls/tls-error.ts';

export interface ListenOptions {
  /** `http`, `https`; `unix` and `unixs` with the path of a socket. */
  readonly urls: readonly string[];
  /** Absent where no URL asks for it. */
  readonly tls?: ServerTls | undefined;
  /** Absent where only HTTP is spoken. */
  readonly onGrpcConnection?: (connection: Socket) => void;
  /** Absent where only gRPC is spoken. */
  readonly http?: RequestListener;
}

export interface Listening {
  /** What was bound, with real ports. */
  readonly urls: readonly string[];
  readonly close: () => Promise<void>;
}

export class ListenError extends Error {
  override readonly name = 'ListenError';
}

type Accept = (connection: Socket) => void;

const HTTP2_PREFACE = 'PRI * HTTP/2';
/** First byte of a TLS connection. Source: RFC 8446 §5.1. */
const TLS_HANDSHAKE = 0x16;
/** Time for a client to finish the TLS handshake, and to say what it speaks. Source: node:tls default is 120 s, too long for a port that anyone can hold open. */
const HANDSHAKE_TIMEOUT_MS = 20_000;

/** Rejects with ListenError or TlsError, and closes what it has opened, when an address cannot be bound. */
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
    const plain: Accept = (socket) => dispatch(socket, options, http);
    const secure = options.tls === undefined ? undefined : acceptTls(options.tls, options, http);
    for (const sharing of byAddress(options.urls.map(parseListenUrl))) {
      const server = createTcpServer({ noDelay: true }, acceptFor(sharing, plain, secure));
      server.on('connection', (socket: Socket) => {
        connections.add(socket);
        socket.once('close', () => connections.delete(socket));
      });
      await bind(server, sharing.url);
      servers.push(server);
      urls.push(...sharing.schemes.map((scheme) => boundUrl(scheme, sharing.url, server)));
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
  if (!['http:', 'https:', 'unix:', 'unixs:'].includes(url.protocol)) throw new ListenError(`URL scheme must be http, https, unix, or unixs: ${text}`);
  return url;
}

interface Sharing {
  readonly url: URL;
  readonly schemes: string[];
}

const isUnixSocket = ({ protocol }: URL): boolean => protocol === 'unix:' || protocol === 'unixs:';
const portOf = (url: URL): number => Number(url.port || (url.protocol === 'https:' ? 443 : 80));

/** `http://localhost:2379` and `https://localhost:2379` are one address. */
function byAddress(urls: readonly URL[]): readonly Sharing[] {
  const all: Sharing[] = [];
  const hasSameAddress = (a: URL, b: URL): boolean => (isUnixSocket(a) || isUnixSocket(b) ? a.host + a.pathname === b.host + b.pathname : a.hostname === b.hostname && portOf(a) === portOf(b) && portOf(a) !== 0);
  for (const url of urls) {
    const known = all.find((one) => hasSameAddress(one.url, url) && !one.schemes.includes(url.protocol));
    if (known === undefined) all.push({ url, schemes: [url.protocol] });
    else known.schemes.push(url.protocol);
  }
  return all;
}

function acceptFor({ url, schemes }: Sharing, plain: Accept, secure: Accept | undefined): Accept {
  const isSecure = (scheme: string): boolean => scheme === 'https:' || scheme === 'unixs:';
  if (!schemes.some(isSecure)) return plain;
  if (secure === undefined) throw new ListenError(`cannot listen on TLS for ${url.host}: KeyFile and CertFile are not presented`);
  return schemes.every(isSecure) ? secure : (socket) => tellTls(socket, plain, secure);
}

function bind(server: TcpServer, url: URL): Promise<void> {
  const path = url.host + url.pathname;
  if (isUnixSocket(url)) rmSync(path, { force: true }); // of a process that was killed
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void =>
      reject(new ListenError(error.code === 'EADDRINUSE' ? `listen tcp ${url.hostname}:${portOf(url)}: bind: address already in use` : `cannot listen on ${url.href}: ${error.message}`, { cause: error }));
    const onListening = (): void => {
      server.off('error', onError);
      resolve();
    };
    server.once('error', onError);
    if (isUnixSocket(url)) server.listen(path, onListening);
    else server.listen(portOf(url), url.hostname.replace(/^\[|\]$/g, ''), onListening);
  });
}

function boundUrl(scheme: string, url: URL, server: TcpServer): string {
  return isUnixSocket(url) ? `${scheme}//${url.host}${url.pathname}` : `${scheme}//${url.hostname}:${(server.address() as AddressInfo).port}`;
}

/** Every connection shows the certificate that the files have when it comes. */
function acceptTls(tls: ServerTls, options: ListenOptions, http: HttpServer): Accept {
  const { http: hasHttp, onGrpcConnection } = options;
  let current = tls.contextOptions();
  const tlsOptions: TlsOptions = {
    ...current, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, requestCert: tls.requestCert, rejectUnauthorized: tls.requestCert,
    ALPNCallback: ({ protocols }) => (hasHttp !== undefined && protocols.includes('http/1.1') ? 'http/1.1' : onGrpcConnection !== undefined && protocols.includes('h2') ? 'h2' : undefined),
  };
  const handOn = (socket: TLSSocket): void => {
    if (socket.alpnProtocol === 'http/1.1') http.emit('connection', socket);
    else dispatch(socket, options, http);
  };
  const server = createTlsServer(tlsOptions, (socket) => {
    if (tls.requestCert) void admit(socket, tls, handOn);
    else handOn(socket);
  });
  server.on('tlsClientError', (error, socket) => {
    const { _parent: under } = socket as TLSSocket & { readonly _parent?: Socket }; // node:tls forgets who it was, and has no other name for it
    tls.onRefused(socket, remoteOf(under ?? socket), inGoWords(error, socket.authorizationError as unknown as string | null)); // a code, whatever the types say
    socket.destroy();
  });
  return (socket) => {
    const remote = remoteOf(socket); // asked for now, it is known after the end
    try {
      const now = tls.contextOptions();
      if (now !== current) server.setSecureContext((current = now));
    } catch (error) {
      tls.onRefused(undefined, remote, error instanceof Error ? error.message : String(error));
      socket.destroy();
      return;
    }
    server.emit('connection', socket);
  };
}

const remoteOf = ({ remoteAddress, remotePort }: Socket): string => (remoteAddress === undefined ? '' : remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`);

/** Looks at its certificate first. */
async function admit(socket: TLSSocket, tls: ServerTls, handOn: (socket: TLSSocket) => void): Promise<void> {
  const onError = (): void => void socket.destroy();
  socket.on('error', onError);
  const objection = await tls.objectionTo(socket);
  if (objection !== undefined) {
    tls.onRefused(socket, remoteOf(socket), objection);
    socket.destroy();
  } else if (!socket.destroyed) {
    socket.off('error', onError);
    handOn(socket);
  }
}

function dispatch(socket: Socket, { http: hasHttp, onGrpcConnection }: ListenOptions, http: HttpServer): void {
  if (onGrpcConnection === undefined) http.emit('connection', socket);
  else if (hasHttp === undefined) onGrpcConnection(socket.on('error', () => void socket.destroy()));
  else route(socket, onGrpcConnection, http);
}

/** Hands a connection on with nothing missing, in whatever way it goes on. */
function handBack(socket: Socket, start: Buffer, take: Accept): void {
  take(socket);
  socket.unshift(start);
  queueMicrotask(() => socket.resume());
}

/** Gives up on clients that break off, or say nothing for long. Returns what ends that. */
function whileUndecided(socket: Socket): () => void {
  const onEnd = (): void => void socket.destroy();
  socket.on('error', onEnd).setTimeout(HANDSHAKE_TIMEOUT_MS).once('timeout', onEnd);
  return () => void socket.setTimeout(0).off('timeout', onEnd).off('error', onEnd);
}

/** The first byte tells TLS from anything else. */
function tellTls(socket: Socket, plain: Accept, secure: Accept): void {
  const decided = whileUndecided(socket);
  socket.once('data', (start: Buffer) => {
    socket.pause();
    decided();
    if (start[0] === TLS_HANDSHAKE) {
      socket.unshift(start); // node:tls takes what was read before it
      secure(socket);
    } else handBack(socket, start, plain);
  });
}

/** Waits for the client's first bytes, which say what it speaks. */
function route(socket: Socket, onGrpcConnection: Accept, http: HttpServer): void {
  const decided = whileUndecided(socket);
  let start: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    start = Buffer.concat([start, chunk]);
    const speaksHttp2 = start.toString('latin1', 0, HTTP2_PREFACE.length) === HTTP2_PREFACE.slice(0, start.length);
    if (speaksHttp2 && start.length < HTTP2_PREFACE.length) return;
    socket.off('data', onData).pause();
    decided();
    if (speaksHttp2) {
      socket.on('error', () => void socket.destroy()); // a connection that breaks ends; HTTP/2 tells its streams
      socket.unshift(start);
      onGrpcConnection(socket);
    } else handBack(socket, start, (connection) => http.emit('connection', connection));
  };
  socket.on('data', onData);
}
