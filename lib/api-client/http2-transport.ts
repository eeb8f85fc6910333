// HTTP/2 to one server: all requests and watches share a connection, as client-go does it. Beside the handshakes it
// saves, it saves the memory of a TLS connection for each watch.
import { once } from 'node:events';
import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import { connectionHealth, type ConnectionHealth } from './connection-health.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

export interface Http2Options {
  readonly host: string;
  readonly port: number;
  readonly secureContext: SecureContext;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized: boolean;
  /** Default: what the process's variables say. */
  readonly health?: ConnectionHealth;
}

/** Milliseconds. Source: net/http DefaultTransport's dialer in client-go (30 s), less what a person waits for. */
const CONNECT_TIMEOUT_MS = 10_000;
/** How often connections are looked at; more often when they are to be asked sooner. */
const HEALTH_PERIOD_MS = 15_000;
/** A connection without a stream for so long is closed. Source: net/http DefaultTransport, IdleConnTimeout. */
const IDLE_TIMEOUT_MS = 90_000;
/** What the server may send ahead; bytes. A list comes in one go, and a slow reader of one answer does not hold up the others. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const MAX_SESSION_MEMORY_MIB = 64;
/** Until the server has said how many streams it takes at once. Source: RFC 9113 §6.5.2 recommends no less. */
const ASSUMED_MAX_STREAMS = 100;
/** How often a request is sent that the server does not look at. */
const MAX_ATTEMPTS = 3;

/** The server does not speak HTTP/2. */
export class NoHttp2Error extends Error {
  override readonly name = 'NoHttp2Error';
}

/** The server did not look at the request: it can be sent again, whatever it is. */
class StreamRefusedError extends Error {
  override readonly name = 'StreamRefusedError';
}

interface Connection {
  readonly session: ClientHttp2Session;
  readonly socket: TLSSocket;
  /** Streams that are open, or about to be. */
  streams: number;
  /** What the server takes at once. */
  maxStreams: number;
  /** Since `watchHealth` looked last. */
  wasUsed: boolean;
  /** The server takes no more streams on it, or it is gone. */
  isLeaving: boolean;
}

export class Http2Transport implements Transport {
  readonly #options: Http2Options;
  readonly #authority: string;
  readonly #connections = new Set<Connection>();
  #connecting: Promise<Connection> | undefined;
  /** For a connection on which the server has not said it yet: what it said on the one before. */
  #maxStreams = ASSUMED_MAX_STREAMS;
  readonly #closing = new AbortController();

  constructor(options: Http2Options) {
    this.#options = options;
    this.#authority = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  }

  /** Throws NoHttp2Error, the error of the connection, or what `signal` aborts with. What the server refused untouched is sent again. */
  async send(request: TransportRequest): Promise<TransportResponse> {
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#place(request.signal);
      try {
        return await exchange(connection, this.#authority, request);
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !(error instanceof StreamRefusedError)) throw error;
      }
    }
  }

  get bytesRead(): number {
    return [...this.#connections].reduce((sum, { socket }) => sum + socket.bytesRead, 0);
  }

  drop(): void {
    for (const { session } of this.#connections) session.destroy(new Error('http2: client connection force closed'));
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the client is closed'));
    await Promise.all([...this.#connections].map(async ({ session, socket }) => {
      const closed = new Promise((resolve) => session.once('close', resolve));
      session.destroy();
      socket.destroy(); // a session that is ending already would wait for the server to hang up
      await closed;
    }));
  }

  /** A place for one more stream, taken for the caller: `exchange` gives it back. */
  async #place(signal: AbortSignal): Promise<Connection> {
    for (;;) {
      signal.throwIfAborted();
      this.#closing.signal.throwIfAborted();
      for (const connection of this.#connections) {
        if (connection.isLeaving || connection.streams >= connection.maxStreams) continue;
        connection.streams += 1;
        connection.wasUsed = true;
        return connection;
      }
      this.#connecting ??= this.#connect().finally(() => {
        this.#connecting = undefined;
      });
      const { isLeaving } = await abortable(this.#connecting, signal);
      if (isLeaving) throw new Error('http2: the server closed the connection');
      // Others waited for it too: when they have filled it, another is made.
    }
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
    const connection: Connection = { session, socket, streams: 0, maxStreams: this.#maxStreams, wasUsed: true, isLeaving: false };
    const leave = (): void => {
      connection.isLeaving = true;
    };
    session.on('remoteSettings', ({ maxConcurrentStreams }) => {
      this.#maxStreams = connection.maxStreams = maxConcurrentStreams ?? ASSUMED_MAX_STREAMS;
    });
    session.on('goaway', leave);
    session.on('error', leave); // each stream hears of it by itself
    session.once('close', () => {
      leave();
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
    watchHealth(connection, this.#options.health ?? connectionHealth(process.env));
    if (this.#closing.signal.aborted) session.destroy();
    return connection;
  }

  async #dial(): Promise<TLSSocket> {
    const { host, port, secureContext, servername, rejectUnauthorized } = this.#options;
    const socket = connectTls({ host, port, secureContext, rejectUnauthorized, ALPNProtocols: ['h2', 'http/1.1'], ...(servername === undefined ? {} : { servername }) });
    socket.setNoDelay(true);
    const giveUp = (): void => void socket.destroy(this.#closing.signal.reason as Error);
    const timer = setTimeout(() => socket.destroy(new Error(`dial tcp ${this.#authority}: i/o timeout`)), CONNECT_TIMEOUT_MS);
    this.#closing.signal.addEventListener('abort', giveUp, { once: true });
    try {
      await once(socket, 'secureConnect');
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener('abort', giveUp);
    }
    return socket;
  }
}

/** Finds a peer that is gone without a word: its host lost its power, or the network between is cut. Ends what is not used. */
function watchHealth(connection: Connection, { readIdleMs, pingMs }: ConnectionHealth): void {
  const { session, socket } = connection;
  const periodMs = readIdleMs === 0 ? HEALTH_PERIOD_MS : Math.min(HEALTH_PERIOD_MS, readIdleMs / 2);
  let idleMs = 0;
  let seen = socket.bytesRead;
  let quietMs = 0;
  let pinged = false;
  const timer = setInterval(() => {
    if (session.destroyed) return void socket.destroy(); // it ended in good order, but the server does not hang up
    idleMs = connection.streams === 0 && !connection.wasUsed ? idleMs + periodMs : 0;
    connection.wasUsed = false;
    if (idleMs >= IDLE_TIMEOUT_MS) {
      connection.isLeaving = true;
      session.close();
      return;
    }
    if (socket.bytesRead !== seen) {
      seen = socket.bytesRead;
      quietMs = 0;
      return;
    }
    quietMs += periodMs;
    if (readIdleMs === 0 || quietMs < readIdleMs || pinged || session.destroyed) return;
    pinged = true;
    const late = setTimeout(() => session.destroy(new Error('http2: client connection lost')), pingMs);
    late.unref();
    session.ping(() => {
      clearTimeout(late);
      pinged = false;
    });
  }, periodMs);
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

/** Refused by the server, or its connection had gone before the stream was sent. */
function wasRefused(stream: ClientHttp2Stream | undefined, failure: unknown): boolean {
  const { code } = (failure ?? {}) as { code?: string };
  return stream?.rstCode === constants.NGHTTP2_REFUSED_STREAM || code === 'ERR_HTTP2_INVALID_SESSION' || code === 'ERR_HTTP2_GOAWAY_SESSION';
}

/** Takes over a place from `#place`. */
function exchange(connection: Connection, authority: string, { method, path, headers, body, signal }: TransportRequest): Promise<TransportResponse> {
  return new Promise((resolve, reject) => {
    let stream: ClientHttp2Stream;
    try {
      signal.throwIfAborted(); // an abort between the connection and here would go unheard
      stream = connection.session.request({ ...headers, ':method': method, ':path': path, ':authority': authority, ':scheme': 'https' }, { endStream: body === undefined });
    } catch (error) {
      connection.streams -= 1;
      const isGone = wasRefused(undefined, error);
      connection.isLeaving ||= isGone;
      throw isGone ? new StreamRefusedError((error as Error).message, { cause: error }) : error;
    }
    let failure: Error | undefined;
    const abort = (): void => {
      stream.close(constants.NGHTTP2_CANCEL); // else the server hears of an internal error
      stream.destroy(signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
    stream.on('error', (error) => {
      failure = error;
    });
    stream.once('close', () => {
      connection.streams -= 1;
      signal.removeEventListener('abort', abort);
      // Of no effect after an answer.
      if (wasRefused(stream, failure)) reject(new StreamRefusedError('the server refused the stream', { cause: failure }));
      else reject(failure ?? new Error(`stream closed with ${stream.rstCode === constants.NGHTTP2_NO_ERROR ? 'no answer' : `code ${stream.rstCode}`}`));
    });
    stream.once('response', (answer) => resolve({ statusCode: Number(answer[':status']), headers: answer, body: stream }));
    if (body !== undefined) stream.end(body);
  });
}
