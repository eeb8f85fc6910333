// Passes an ordinary HTTP request on to a backend and its answer back.
// Source: apimachinery pkg/util/proxy/{upgradeaware,transport}.go. Links inside HTML are not rewritten.
import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { serviceUnavailable } from '#lib/machinery/status-error.ts';
import { dial, dialErrorText, hostPort, type Backend } from './backend.ts';
import { endToEndHeaders, forwardedHeaders, hostOf } from './headers.ts';

export interface ForwardOptions {
  readonly backend: Backend;
  /** Path and query at the backend. */
  readonly target: string;
  /** What the client's path has in front of the backend's: `/api/v1/.../proxy`. */
  readonly prefix: string;
  readonly signal: AbortSignal;
}

/** Resolves when the answer has been sent. Throws StatusError 503 when the backend cannot be reached. */
export async function forward(incoming: IncomingMessage, response: ServerResponse, options: ForwardOptions): Promise<void> {
  const { backend, target, prefix, signal } = options;
  const path = target.split('?')[0] ?? '';
  const headers = {
    ...forwardedHeaders(incoming),
    'x-forwarded-uri': prefix + path, 'x-forwarded-host': hostOf(incoming), 'x-forwarded-proto': 'https',
  };
  let answer: IncomingMessage;
  try {
    const outgoing = await openRequest(backend, { method: incoming.method ?? 'GET', target, headers, signal });
    incoming.pipe(outgoing);
    answer = await answerOf(outgoing);
  } catch (error) {
    if (signal.aborted) throw error;
    throw serviceUnavailable(`error trying to reach service: ${dialErrorText(backend, error)}`);
  }
  const answerHeaders = endToEndHeaders(answer.headers);
  const { location } = answer.headers;
  response.writeHead(answer.statusCode ?? 502, {
    ...answerHeaders, ...(location === undefined ? {} : { location: rewriteLocation(location, backend, prefix) }),
  });
  response.flushHeaders();
  await moveBody(answer, response);
}

export interface OutgoingOptions {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly signal: AbortSignal;
}

/** Dials first, so that the deadline for connecting is not that of the answer. */
export async function openRequest(backend: Backend, { method, target, headers, signal }: OutgoingOptions): Promise<ClientRequest> {
  const socket: Socket = await dial(backend, signal);
  return request({
    method, path: target, headers: { host: hostPort(backend), ...headers }, signal, createConnection: () => socket,
  });
}

export function answerOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
    outgoing.once('upgrade', (_answer, socket: Socket) => {
      socket.destroy();
      reject(new Error('the backend upgraded a request that did not ask for it'));
    });
  });
}

/** Moves a body to the client; a backend that breaks off ends it, a client that goes away ends the backend's. */
export async function moveBody(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const finish = () => {
      if (!response.writableEnded) response.end();
      resolve();
    };
    answer.once('end', finish);
    answer.once('error', finish);
    answer.once('close', finish);
    response.once('close', () => {
      answer.destroy();
      resolve();
    });
    answer.pipe(response, { end: false });
  });
}

/** A redirect within the backend becomes one below the proxy's path. */
function rewriteLocation(location: string, backend: Backend, prefix: string): string {
  const base = `${backend.scheme}://${backend.host}:${backend.port}`;
  const url = URL.canParse(location, base) ? new URL(location, base) : undefined;
  if (!url) return location;
  const isOwn = location.startsWith('/') || url.host === new URL(base).host;
  return isOwn && url.origin === new URL(base).origin ? `${prefix}${url.pathname}${url.search}${url.hash}` : location;
}
