// Exec and attach over SPDY: the client opens a stream for each of error, stdin, stdout, stderr and resize.
import { finished } from 'node:stream/promises';
import { parseTerminalSize, plainTextOf, statusOf, type RemoteStreams, type StreamRequest, type TerminalSize } from './remote-command.ts';
import type { SpdyConnection, SpdyStream } from './spdy.ts';

export const SPDY_REMOTE_COMMAND_PROTOCOLS: readonly string[] = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'];

/** How long the client may take to open its streams. Milliseconds. Source: kubelet, streamCreationTimeout. */
const STREAM_TIMEOUT_MS = 30_000;

export interface SpdySession {
  readonly connection: SpdyConnection;
  /** Streams as the client opens them. */
  readonly streams: AsyncIterator<SpdyStream>;
  readonly protocol: string;
}

/** Throws when the client does not open what its request needs. */
export async function remoteStreamsOfSpdy({ connection, streams, protocol }: SpdySession, request: StreamRequest): Promise<RemoteStreams> {
  const hasResize = request.tty && /^v[34]\./.test(protocol);
  const wanted = new Set(['error', ...(request.stdin ? ['stdin'] : []), ...(request.stdout ? ['stdout'] : []), ...(request.stderr && !request.tty ? ['stderr'] : []), ...(hasResize ? ['resize'] : [])]);
  const opened = new Map<string, SpdyStream>();
  const deadline = setTimeout(() => connection.close(), STREAM_TIMEOUT_MS);
  while (opened.size < wanted.size) {
    const next = await streams.next();
    if (next.done === true) throw new Error('the client closed before it opened all streams');
    const type = next.value.headers['streamtype'] ?? '';
    if (wanted.has(type)) opened.set(type, next.value);
    else next.value.destroy();
  }
  clearTimeout(deadline);

  let onResize: (size: TerminalSize) => void = () => undefined;
  let lastSize: TerminalSize | undefined;
  opened.get('resize')?.on('data', (chunk: Buffer) => {
    lastSize = chunk.toString().split('\n').map(parseTerminalSize).findLast((size) => size !== undefined) ?? lastSize;
    if (lastSize) onResize(lastSize);
  });
  const error = opened.get('error');
  return {
    stdin: opened.get('stdin'), stdout: opened.get('stdout'), stderr: opened.get('stderr'), closed: connection.closed,
    onResize: (listener) => {
      onResize = listener;
      if (lastSize) listener(lastSize);
    },
    finish: async (outcome) => {
      const text = protocol.startsWith('v4.') ? statusOf(outcome) : plainTextOf(outcome);
      for (const stream of [opened.get('stdout'), opened.get('stderr')]) stream?.end();
      if (text === '') error?.end();
      else error?.end(text);
      const outgoing = [opened.get('stdout'), opened.get('stderr'), error].filter((stream) => stream !== undefined);
      await Promise.all(outgoing.map((stream) => finished(stream, { readable: false }).catch(() => undefined)));
      connection.close();
    },
  };
}
