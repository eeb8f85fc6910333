// Exec and attach over a WebSocket: the first byte of a message is its channel (Kubernetes' channel protocols 1 to 5).
import { PassThrough, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { parseTerminalSize, plainTextOf, statusOf, type Outcome, type RemoteStreams, type StreamRequest, type TerminalSize } from './remote-command.ts';

/** Newest first. The older ones and the base64 forms are for clients in browsers. */
export const REMOTE_COMMAND_PROTOCOLS: readonly string[] = [
  'v5.channel.k8s.io', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io', 'base64.channel.k8s.io',
];

const CHANNEL = { STDIN: 0, STDOUT: 1, STDERR: 2, ERROR: 3, RESIZE: 4, CLOSE: 255 } as const;
/** How long a client may take to close its side. Milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Sends `data` on a channel; `callback` is called when it was handed to the network. */
export function sendOnChannel(socket: WebSocket, channel: number, data: Buffer, callback?: (error?: Error | null) => void): void {
  if (socket.readyState !== socket.OPEN) return callback?.(new Error('the connection is closed'));
  const isBase64 = socket.protocol.includes('base64');
  const frame = isBase64 ? String(channel) + data.toString('base64') : Buffer.concat([Buffer.of(channel), data]);
  socket.send(frame, { binary: !isBase64 }, callback);
}

/** The channel and the data of a message; undefined when it is empty. */
export function readChannel(socket: WebSocket, message: Buffer): { channel: number; data: Buffer } | undefined {
  if (message.length === 0) return undefined;
  if (socket.protocol.includes('base64')) return { channel: Number(message.toString('latin1', 0, 1)), data: Buffer.from(message.toString('latin1', 1), 'base64') };
  return { channel: message.readUInt8(0), data: message.subarray(1) };
}

export const channelWriter = (socket: WebSocket, channel: number): Writable =>
  new Writable({ write: (chunk: Buffer, _, callback) => sendOnChannel(socket, channel, chunk, callback) });

export function remoteStreamsOfWebSocket(socket: WebSocket, request: StreamRequest): RemoteStreams {
  const stdin = request.stdin ? new PassThrough() : undefined;
  const stdout = request.stdout ? channelWriter(socket, CHANNEL.STDOUT) : undefined;
  const stderr = request.stderr && !request.tty ? channelWriter(socket, CHANNEL.STDERR) : undefined;
  for (const stream of [stdin, stdout, stderr]) stream?.on('error', () => { /* the client went away: see closed */ });
  let onResize: (size: TerminalSize) => void = () => undefined;
  let lastSize: TerminalSize | undefined;
  const closed = new Promise<void>((resolve) => socket.once('close', () => { stdin?.end(); resolve(); }));
  socket.on('error', () => socket.terminate());
  socket.on('message', (message: Buffer) => {
    const { channel, data } = readChannel(socket, message) ?? { channel: -1, data: Buffer.alloc(0) };
    if (channel === CHANNEL.STDIN && stdin?.writable && data.length > 0) {
      if (!stdin.write(Buffer.from(data))) {
        socket.pause();
        stdin.once('drain', () => socket.resume());
      }
    } else if (channel === CHANNEL.RESIZE) {
      lastSize = parseTerminalSize(data.toString()) ?? lastSize;
      if (lastSize) onResize(lastSize);
    } else if (channel === CHANNEL.CLOSE && data[0] === CHANNEL.STDIN) {
      stdin?.end();
    }
  });
  // Tells the client that the session has begun.
  sendOnChannel(socket, stdout ? CHANNEL.STDOUT : stderr ? CHANNEL.STDERR : CHANNEL.ERROR, Buffer.alloc(0));
  return {
    stdin, stdout, stderr, closed,
    onResize: (listener) => {
      onResize = listener;
      if (lastSize) listener(lastSize);
    },
    finish: async (outcome: Outcome) => {
      const hasStatus = /^v[45]\./.test(socket.protocol);
      await new Promise<void>((resolve) => sendOnChannel(socket, CHANNEL.ERROR, Buffer.from(hasStatus ? statusOf(outcome) : plainTextOf(outcome)), () => resolve()));
      socket.close(1000);
      const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}
