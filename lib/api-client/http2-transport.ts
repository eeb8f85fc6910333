// HTTP/2 to one server: all requests and watches share a connection, as client-go does it. Beside the handshakes it
// saves, it saves the memory of a TLS connection for each watch.
import { once } from 'node:events';
import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

export interface Http2Options {
  readonly host: string;
  readonly port: number;
  readonly secureContext: SecureContext;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized: boolean;
}

/** Milliseconds. Source: net/http DefaultTransport's dialer in client-go (30 s), less what a person waits for. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection without a byte from the server for this long is asked whether it lives; how long the answer may take. Source: apimachinery util/net/http.go. */
const READ_IDLE_TIMEOUT_MS = 30_000;
const PING_TIMEOUT_MS = 15_000;
const HEALTH_PERIOD_MS = 15_000;
/** What the server may send ahead; bytes. A list comes in one go, and a slow reader of one answer does not hold up the others. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const MAX_SESSION_MEMORY_MIB = 64;
/** Until the server has said how many streams it takes at once. Source: RFC 9113 §6.5.2 recommends no less. */
const ASSUMED_MAX_STREAMS = 100;

/** The server does not speak HTTP/2. */
export class NoHttp2Error extends Error {
  override readonly name = 'NoHttp2Error';
}

interface Connection {
  readonly session: ClientHttp2Session;
  open: number;
  /** The server takes no more streams on it, or it is gone. */
  isLeaving: boolean;
}

export class Http2Transport implements Transport {
  readonly #options: Http2Options;
  readonly #authority: string;
  readonly #connections = new Set<Connection>();
  #connecting: Promise<Connection> | undefined;
  #isClosed = false;

  constructor(options: Http2Options) {
    this.#options = options;
    this.#authority = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  }

  /** Throws NoHttp2Error, the error of the connection, or what `signal` aborts with. A stream that the server refused untouched is sent once more. */
  async send(request: TransportRequest): Promise<TransportResponse> {
    for (let attempt = 0; ; attempt++) {
      const connection = await this.#connection(request.signal);
      try {
        return await exchange(connection, this.#authority, request);
      } catch (error) {
        if (attempt > 0 || !wasRefused(error)) throw error;
        connection.isLeaving = true;
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const sessions = [...this.#connections].map(({ session }) => session);
    await Promise.all(sessions.map(async (session) => {
      if (session.closed && session.destroyed) return;
      const closed = once(session, 'close');
      session.destroy();
      await closed;
    }));
  }

  async #connection(signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    if (this.#isClosed) throw new Error('the client is closed');
    for (const connection of this.#connections) {
      const limit = connection.session.remoteSettings?.maxConcurrentStreams ?? ASSUMED_MAX_STREAMS;
      if (!connection.isLeaving && connection.open < limit) return connection;
    }
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    const connection = await abortable(this.#connecting, signal);
    // Others waited for it too: when they have filled it, look again.
    return connection.isLeaving ? this.#connection(signal) : connection;
  }

  async #connect(): Promise<Connection> {
    const socket = await this.#dial();
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      throw new NoHttp2Error(`${this.#authority} does not speak HTTP/2`);
    }
    const session = connectHttp2(`https://${this.#authority}`, {
      createConnection: () => socket, settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES }, maxSessionMemory: MAX_SESSION_MEMORY_MIB,
    });
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    const connection: Connection = { session, open: 0, isLeaving: false };
    const leave = (): void => {
      connection.isLeaving = true;
    };
    session.on('goaway', leave);
    session.on('error', leave); // each stream hears of it by itself
    session.once('close', () => {
      leave();
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
    watchHealth(session, socket);
    if (this.#isClosed) session.destroy();
    return connection;
  }

  async #dial(): Promise<TLSSocket> {
    const { host, port, secureContext, servername, rejectUnauthorized } = this.#options;
    const socket = connectTls({ host, port, secureContext, rejectUnauthorized, ALPNProtocols: ['h2', 'http/1.1'], ...(servername === undefined ? {} : { servername }) });
    socket.setNoDelay(true);
    const timer = setTimeout(() => socket.destroy(new Error(`dial tcp ${this.#authority}: i/o timeout`)), CONNECT_TIMEOUT_MS);
    try {
      await once(socket, 'secureConnect');
    } finally {
      clearTimeout(timer);
    }
    return socket;
  }
}

/** Finds a peer that is gone without a word: its host lost its power, or the network between is cut. */
function watchHealth(session: ClientHttp2Session, socket: TLSSocket): void {
  let seen = socket.bytesRead;
  let quietMs = 0;
  let pinged = false;
  const timer = setInterval(() => {
    if (socket.bytesRead !== seen) {
      seen = socket.bytesRead;
      quietMs = 0;
      return;
    }
    quietMs += HEALTH_PERIOD_MS;
    if (quietMs < READ_IDLE_TIMEOUT_MS || pinged || session.destroyed) return;
    pinged = true;
    const late = setTimeout(() => session.destroy(new Error('http2: client connection lost')), PING_TIMEOUT_MS);
    late.unref();
    session.ping(() => {
      clearTimeout(late);
      pinged = false;
    });
  }, HEALTH_PERIOD_MS);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}

async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** The stream was never looked at: the server refused it, or the connection had gone before it was sent. */
function wasRefused(error: unknown): boolean {
  const { code, rstCode } = error as { code?: string; rstCode?: number };
  return rstCode === constants.NGHTTP2_REFUSED_STREAM || code === 'ERR_HTTP2_INVALID_SESSION' || code === 'ERR_HTTP2_GOAWAY_SESSION';
}

function exchange(connection: Connection, authority: string, { method, path, headers, body, signal }: TransportRequest): Promise<TransportResponse> {
  return new Promise((resolve, reject) => {
    const stream: ClientHttp2Stream = connection.session.request({ ...headers, ':method': method, ':path': path, ':authority': authority, ':scheme': 'https' }, { endStream: body === undefined });
    connection.open += 1;
    let failure: Error | undefined;
    const abort = (): void => void stream.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    stream.on('error', (error) => {
      failure = error;
    });
    stream.once('close', () => {
      connection.open -= 1;
      signal.removeEventListener('abort', abort);
      const why = failure ?? new Error(`stream closed with ${stream.rstCode === constants.NGHTTP2_NO_ERROR ? 'no answer' : `code ${stream.rstCode}`}`);
      reject(Object.assign(why, { rstCode: stream.rstCode })); // of no effect after an answer
    });
    stream.once('response', (answer) => resolve({ statusCode: Number(answer[':status']), headers: answer, body: stream }));
    if (body !== undefined) stream.end(body);
  });
}
