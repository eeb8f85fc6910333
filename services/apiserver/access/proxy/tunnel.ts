// Hands an upgraded connection (SPDY, WebSocket) on to a backend and then only moves bytes: what is spoken inside is between
// the client and the backend.
// Source: apimachinery pkg/util/proxy/upgradeaware.go.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { failure } from '#lib/machinery/status-error.ts';
import { dial, DialError, hostPort, type Backend } from './backend.ts';
import { upgradeHeaderLines } from './headers.ts';

/** Longest time for a backend to answer the request to upgrade. Milliseconds. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Longest time to pass on an answer that refuses. Milliseconds. Source: upgradeaware.go. */
const REFUSAL_TIMEOUT_MS = 10_000;
const MAX_HEAD_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 15_000;

export interface TunnelOptions {
  readonly backend: Backend;
  /** Path and query at the backend. */
  readonly target: string;
  readonly signal: AbortSignal;
  /** Headers besides; of the client's own those named X-Remote-* stay behind then. */
  readonly headerLines?: readonly string[];
  /** Host header; default: that of the backend. */
  readonly host?: string;
}

/** Resolves when the tunnel has ended. Throws StatusError as long as nothing has been written to the client. */
export async function tunnel(request: IncomingMessage, client: Duplex, head: Buffer, options: TunnelOptions): Promise<void> {
  const backend = await dialOrStatus(options.backend, options.signal);
  const giveUp = () => backend.destroy();
  client.once('close', giveUp);
  options.signal.addEventListener('abort', giveUp, { once: true });
  client.on('error', giveUp);
  backend.on('error', () => client.destroy());
  try {
    const lines = [`${request.method ?? 'GET'} ${options.target} HTTP/1.1`, `Host: ${options.host ?? hostPort(options.backend)}`, ...ownHeaderLines(request, options.headerLines)];
    backend.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) backend.write(head);
    const answer = await readHead(backend);
    if (answer.status !== 101 && answer.status < 400) throw failure(500, undefined, `invalid upgrade response: status code ${answer.status}`);
    client.write(answer.bytes);
    if (answer.status === 101) await moveBothWays(client, backend);
    else await passOnRefusal(client, backend, answer);
  } finally {
    options.signal.removeEventListener('abort', giveUp);
    client.removeListener('close', giveUp);
    backend.destroy();
  }
}

function ownHeaderLines(request: IncomingMessage, more: readonly string[] | undefined): readonly string[] {
  const lines = upgradeHeaderLines(request);
  return more === undefined ? lines : [...lines.filter((line) => !/^x-remote-/i.test(line)), ...more];
}

async function dialOrStatus(backend: Backend, signal: AbortSignal): Promise<Socket> {
  try {
    return await dial(backend, signal);
  } catch (error) {
    if (error instanceof DialError) throw failure(500, undefined, `error dialing backend: ${error.message}`);
    throw error;
  }
}

interface AnswerHead {
  readonly status: number;
  /** Everything read so far, body included. */
  readonly bytes: Buffer;
  /** Bytes of body still to come; undefined when the end of the connection ends it. */
  readonly remaining: number | undefined;
}

/** Reads up to the empty line; what follows it stays with it. */
async function readHead(backend: Socket): Promise<AnswerHead> {
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    let read: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => finish(() => reject(noAnswer('i/o timeout'))), ANSWER_TIMEOUT_MS);
    const onData = (chunk: Buffer) => {
      read = Buffer.concat([read, chunk]);
      if (read.includes('\r\n\r\n')) finish(() => resolve(read));
      else if (read.length > MAX_HEAD_BYTES) finish(() => reject(noAnswer('header too large')));
    };
    const onClose = () => finish(() => reject(noAnswer('EOF')));
    const finish = (then: () => void) => {
      clearTimeout(timer);
      backend.pause();
      backend.off('data', onData).off('close', onClose).off('end', onClose);
      then();
    };
    backend.on('data', onData).once('close', onClose).once('end', onClose);
  });
  const end = bytes.indexOf('\r\n\r\n') + 4;
  const text = bytes.subarray(0, end).toString('latin1');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
  const length = /^content-length:\s*(\d+)\s*$/im.exec(text)?.[1];
  return { status, bytes, remaining: length === undefined ? undefined : Number(length) - (bytes.length - end) };
}

const noAnswer = (text: string) => failure(500, undefined, `error dialing backend: ${text}`);

async function moveBothWays(client: Duplex, backend: Socket): Promise<void> {
  if ('setNoDelay' in client) {
    const socket = client as Socket;
    socket.setNoDelay(true);
    socket.setTimeout(0);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }
  const ended = new Promise<void>((resolve) => {
    backend.once('close', () => {
      // What the backend said last is still on its way to the client.
      client.end();
      resolve();
    });
    client.once('close', () => {
      backend.destroy();
      resolve();
    });
  });
  client.pipe(backend);
  backend.pipe(client);
  await ended;
}

async function passOnRefusal(client: Duplex, backend: Socket, { remaining }: AnswerHead): Promise<void> {
  let left = remaining ?? Infinity;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, REFUSAL_TIMEOUT_MS);
    const finish = () => {
      clearTimeout(timer);
      resolve();
    };
    if (left <= 0) return finish();
    backend.on('data', (chunk: Buffer) => {
      client.write(chunk);
      left -= chunk.length;
      if (left <= 0) finish();
    });
    backend.once('close', finish);
    client.once('close', finish);
    backend.resume();
  });
  client.end();
}
