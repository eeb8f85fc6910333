// The server under fastify: HTTP/2 and HTTP/1.1 on one TLS port, by what the client asks for in ALPN, as upstream. Upgrades
// (WebSocket, SPDY) come over HTTP/1.1.
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse, type SecureServerOptions } from 'node:http2';
import type { TLSSocket } from 'node:tls';

/** For a client to send its headers, and the whole request. Milliseconds. */
const HEADERS_TIMEOUT_MS = 60_000;
const UPLOAD_TIMEOUT_MS = 300_000;
/** Source: Go's net.ListenConfig. */
const TCP_KEEPALIVE_MS = 15_000;
/** Selectors of many values make long URLs. Source: Go net/http, DefaultMaxHeaderBytes. */
const MAX_HEADER_BYTES = 1024 * 1024;
/** Watches and requests at once on one connection. Source: apiserver pkg/server/secure_serving.go. */
const MAX_CONCURRENT_STREAMS = 250;
/** Source: secure_serving.go, resourceBody99Percentile. */
const STREAM_WINDOW_BYTES = 256 * 1024;
/** What one connection may hold of unsent answers and headers; MiB. */
const MAX_SESSION_MEMORY = 64;

/**
 * A client that has been silent over HTTP/2 for this long is asked whether it is there, and cut off when it does not say
 * so in time: Node keeps connections that were said goodbye to for a breach of the protocol, and those of hosts that are gone.
 */
const SILENCE = { askAfterMs: 90_000, deadlineMs: 15_000 };

const secureSockets = new WeakMap<Server, ReadonlySet<TLSSocket>>();

/** Cuts the connection that a request came over, with all that goes on over it, without a word to the client. */
export function dropConnection(server: Server, request: IncomingMessage): void {
  const session = (request as unknown as Partial<Http2ServerRequest>).stream?.session;
  if (!session) return void request.socket.destroy();
  // A session of HTTP/2 shows its socket, but would say goodbye before it closed it.
  const { remoteAddress, remotePort } = session.socket;
  for (const socket of secureSockets.get(server) ?? []) if (socket.remotePort === remotePort && socket.remoteAddress === remoteAddress) socket.destroy();
}

/** Without `tls` it speaks plain HTTP/1.1 (tests). */
export function createHttpServer(tls: SecureServerOptions | undefined, handler: RequestListener, silence = SILENCE): Server {
  const options = { keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS }; // they find clients whose host is gone
  const server = tls === undefined ? createServer({ ...options, maxHeaderSize: MAX_HEADER_BYTES }, handler) : createSecure({ ...options, ...tls }, handler, silence);
  server.keepAliveTimeout = 0; // the client decides how long it keeps a connection
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = UPLOAD_TIMEOUT_MS;
  return server;
}

/** Node gives it the properties of an HTTP/1.1 server, which fastify and the HTTP/1.1 side use; its types do not say so. */
function createSecure(options: SecureServerOptions, handler: RequestListener, { askAfterMs, deadlineMs }: typeof SILENCE): Server {
  const server = createSecureServer({
    ...options, allowHTTP1: true, maxSessionMemory: MAX_SESSION_MEMORY,
    settings: { maxConcurrentStreams: MAX_CONCURRENT_STREAMS, initialWindowSize: STREAM_WINDOW_BYTES, maxHeaderListSize: MAX_HEADER_BYTES },
  }, handler as unknown as (request: Http2ServerRequest, response: Http2ServerResponse) => void);
  const asHttp1 = server as unknown as Server & { maxHeaderSize: number };
  asHttp1.maxHeaderSize = MAX_HEADER_BYTES;
  server.on('sessionError', () => undefined); // the session closes by itself; without a listener the process would end
  server.on('session', (session) => {
    session.setTimeout(askAfterMs, () => {
      if (session.destroyed) return;
      const deadline = setTimeout(() => session.destroy(), deadlineMs);
      session.once('close', () => clearTimeout(deadline));
      session.ping((error) => {
        clearTimeout(deadline);
        if (error && !session.destroyed) session.destroy();
      });
    });
  });
  const sockets = new Set<TLSSocket>();
  secureSockets.set(asHttp1, sockets);
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  asHttp1.closeAllConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  return asHttp1;
}
