// Port forwarding: connections from the client to localhost inside a pod's network namespace.
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { WebSocket } from 'ws';
import { netnsPath } from '../network.ts';
import type { Sandbox } from '../records.ts';
import { channelWriter, readChannel } from './websocket.ts';
import type { SpdyStream } from './spdy.ts';

export const PORT_FORWARD_PROTOCOL = 'portforward.k8s.io';
/** SPDY inside a WebSocket: what kubectl 1.31 and later ask for. */
export const TUNNEL_PROTOCOL = 'SPDY/3.1+portforward.k8s.io';
export const PORT_FORWARD_WEBSOCKET_PROTOCOLS: readonly string[] = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'];

/** How long the second stream of a connection may take to follow the first. Milliseconds. Source: kubelet. */
const PAIR_TIMEOUT_MS = 30_000;

interface Client {
  readonly input: Readable;
  readonly output: Writable;
}

/** One connection, to its end. Throws with the reason when the port cannot be reached. */
async function forward(sandbox: Sandbox, port: number, { input, output }: Client): Promise<void> {
  const { source, target, ended, stop } = sandbox.netns === '' ? dialHere(port) : dialInside(sandbox.netns, port);
  // No pipeline here: it would destroy the input when the port closes first, and with it an output that is the same stream
  // and still has something to say.
  input.pipe(target);
  input.once('close', () => target.end());
  await Promise.all([pipeline(source, output).catch(stop), ended]).finally(() => {
    input.unpipe(target);
    input.resume();
    stop();
  });
}

interface Dialled {
  readonly source: Readable;
  readonly target: Writable;
  readonly ended: Promise<void>;
  readonly stop: () => void;
}

function dialHere(port: number): Dialled {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const ended = new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => resolve());
  });
  return { source: socket, target: socket, ended, stop: () => socket.destroy() };
}

function dialInside(netns: string, port: number): Dialled {
  const child = spawn('nsenter', [`--net=${netnsPath(netns)}`, 'busybox', 'nc', '127.0.0.1', String(port)], { stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => { errors = (errors + chunk.toString()).slice(-1024); });
  child.stdin.on('error', () => { /* the connection ended first */ });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 || errors === '' ? resolve() : reject(new Error(errors.trim()))));
  });
  return { source: child.stdout, target: child.stdin, ended, stop: () => child.kill() };
}

/** containerd's words. */
const failureText = (sandbox: Sandbox, port: number, error: unknown): string => {
  const { namespace, name, uid } = sandbox.config.metadata ?? {};
  const reason = error instanceof Error ? error.message : String(error);
  return `error forwarding port ${port} to pod ${sandbox.id}, uid ${uid ?? ''}: failed to execute portforward in network namespace "${netnsPath(sandbox.netns)}" of pod ${namespace}/${name}: failed to connect to localhost:${port} inside namespace "${sandbox.id}": ${reason}`;
};

/** Serves stream pairs (error and data, joined by their requestID) until the client closes. */
export function portForwardPairs(sandbox: Sandbox): (stream: SpdyStream) => void {
  const waiting = new Map<string, { first: SpdyStream; timer: NodeJS.Timeout }>();
  return (stream) => {
    const { streamtype: type = '', port = '', requestid: requestId = '' } = stream.headers;
    const key = requestId || `${port}/${stream.id - (type === 'data' ? 2 : 0)}`; // clients before 1.0 sent no id: the data stream follows its error stream
    const other = waiting.get(key);
    if (!other) {
      const timer = setTimeout(() => { waiting.delete(key); stream.destroy(); }, PAIR_TIMEOUT_MS);
      waiting.set(key, { first: stream, timer });
      return;
    }
    clearTimeout(other.timer);
    waiting.delete(key);
    const [data, error] = type === 'data' ? [stream, other.first] : [other.first, stream];
    error.resume();
    forward(sandbox, Number(port), { input: data, output: data }).then(
      () => error.end(),
      (reason: unknown) => {
        error.end(failureText(sandbox, Number(port), reason));
        data.end();
      },
    );
  };
}

/** For each port a channel of data (2i) and one of errors (2i+1); each begins with the port in two bytes. */
export async function servePortForwardWebSocket(sandbox: Sandbox, ports: readonly number[], socket: WebSocket): Promise<void> {
  const inputs = ports.map(() => new PassThrough());
  socket.on('error', () => socket.terminate());
  socket.on('message', (message: Buffer) => {
    const { channel, data } = readChannel(socket, message) ?? { channel: -1, data: Buffer.alloc(0) };
    const input = channel % 2 === 0 ? inputs[channel / 2] : undefined;
    if (input?.writable && !input.write(Buffer.from(data))) {
      socket.pause();
      input.once('drain', () => socket.resume());
    }
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  void closed.then(() => inputs.forEach((input) => input.end()));
  await Promise.all(ports.map(async (port, index) => {
    const [output, errors] = [channelWriter(socket, index * 2), channelWriter(socket, index * 2 + 1)];
    for (const stream of [output, errors]) {
      stream.on('error', () => { /* the client went away */ });
      stream.write(Buffer.of(port % 256, Math.floor(port / 256)));
    }
    const input = inputs[index];
    if (input) await forward(sandbox, port, { input, output }).catch((error: unknown) => errors.write(failureText(sandbox, port, error)));
  }));
  socket.close(1000);
  await closed;
}
