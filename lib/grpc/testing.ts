// For tests: a server with a few methods, and a client that sends any bytes and reads what comes back frame by frame.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Method, StreamCall } from './call.ts';
import { encodeHeaders, HpackDecoder, type HeaderList } from './hpack.ts';
import { CLIENT_PREFACE, frame, FRAME_HEADER_BYTES, frameFlag, frameType, settingsFrame } from './http2-frames.ts';
import { GrpcServer, type GrpcServerOptions } from './server.ts';
import { GrpcError, grpcStatus } from './status.ts';

export const text = (path: string): Method<string, string> => ({
  path,
  requestDeserialize: (bytes) => {
    if (bytes.includes(0xff)) throw new Error('not a text');
    return bytes.toString();
  },
  responseSerialize: (value) => Buffer.from(value),
});

export interface TestServer {
  readonly grpc: GrpcServer;
  readonly port: number;
  /** Calls of /test.Texts/Wait that have not ended, and what has ended them. */
  readonly waiting: Set<string>;
  readonly reasons: unknown[];
  readonly defects: unknown[];
  readonly close: () => Promise<void>;
}

/** /test.Texts/: Echo, Fail (`code text`), Wait (until it is cancelled), Count (`n size`: a stream), Chat (echoes a stream), Header (the value of a header). */
export async function startTestServer(options: Partial<GrpcServerOptions> = {}): Promise<TestServer> {
  const waiting = new Set<string>();
  const reasons: unknown[] = [];
  const defects: unknown[] = [];
  const grpc = new GrpcServer({
    maxReceiveBytes: 1024 * 1024,
    onDefect: (error) => {
      defects.push(error);
      return new GrpcError(grpcStatus.INTERNAL, 'a defect');
    },
    ...options,
  });
  grpc.addUnary(text('/test.Texts/Echo'), async (request) => request);
  grpc.addUnary(text('/test.Texts/Header'), (name, call) => call.metadata(name) ?? 'none');
  grpc.addUnary(text('/test.Texts/Fail'), async (request) => {
    const [, code = '', message = ''] = /^(\d*) (.*)$/s.exec(request) ?? [];
    throw code === '' ? new Error(message) : new GrpcError(Number(code) as 5, message);
  });
  grpc.addUnary(text('/test.Texts/Wait'), async (request, { signal }) => {
    waiting.add(request);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    reasons.push(signal.reason);
    waiting.delete(request);
    return 'for nobody';
  });
  grpc.addServerStream(text('/test.Texts/Count'), async (request, call) => {
    const [count = 0, size = 0] = request.split(' ').map(Number);
    for (let at = 0; at < count && !call.signal.aborted; at += 1) if (!call.send(`${at} `.padEnd(size, 'x'))) await call.drained();
  });
  grpc.addBidi(text('/test.Texts/Chat'), async (call: StreamCall<string, string>) => {
    for await (const request of call.requests) {
      if (request === 'fail') throw new GrpcError(grpcStatus.ABORTED, 'as you like');
      if (!call.send(request)) await call.drained();
    }
  });
  const server = createServer({ noDelay: true }, (socket) => grpc.accept(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    grpc, port: (server.address() as AddressInfo).port, waiting, reasons, defects,
    close: async () => {
      grpc.close();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
  /** Of HEADERS. */
  readonly headers?: Readonly<Record<string, string>>;
}

export const REQUEST_HEADERS = (method: string): HeaderList =>
  [':method', 'POST', ':scheme', 'http', ':path', `/test.Texts/${method}`, ':authority', 'e', 'content-type', 'application/grpc', 'te', 'trailers'];

/** A message with its prefix. */
export function message(body: string | Buffer, flag = 0): Buffer {
  const bytes = Buffer.from(body as string);
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** Does nothing by itself but read: acknowledges nothing, gives no window back. */
export class RawClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  isClosed = false;
  private readonly hpack = new HpackDecoder(1024 * 1024);
  private rest: Buffer = Buffer.alloc(0);
  private wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.wake();
    });
  }

  static async open(port: number, settings: readonly (readonly [number, number])[] | undefined = []): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const client = new RawClient(socket);
    client.send(CLIENT_PREFACE, settingsFrame(settings));
    return client;
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** HEADERS, and DATA that end the stream when there is a body. */
  request(streamId: number, method: string, body?: Buffer, more: HeaderList = []): void {
    this.send(headersFrame(streamId, [...REQUEST_HEADERS(method), ...more]));
    if (body !== undefined) this.send(frame(frameType.DATA, frameFlag.END_STREAM, streamId, body));
  }

  private receive(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk]);
    while (this.rest.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + this.rest.readUIntBE(0, 3);
      if (this.rest.length < end) break;
      const type = this.rest[3] ?? 0;
      const payload = this.rest.subarray(FRAME_HEADER_BYTES, end);
      const list = type === frameType.HEADERS ? this.hpack.decode(payload) ?? [] : [];
      const headers = Object.fromEntries(Array.from({ length: list.length / 2 }, (_, at) => [list[2 * at] ?? '', list[2 * at + 1] ?? '']));
      this.frames.push({ type, flags: this.rest[4] ?? 0, streamId: this.rest.readUInt32BE(5), payload, ...(type === frameType.HEADERS ? { headers } : {}) });
      this.rest = this.rest.subarray(end);
    }
    this.wake();
  }

  /** The first frame that is wanted, as soon as it is there. Rejects when the connection closes without, or after ten seconds. */
  async frame(what: string, isWanted: (frame: Frame) => boolean): Promise<Frame> {
    const deadline = setTimeout(() => { this.socket.destroy(); }, 10_000);
    try {
      for (;;) {
        const found = this.frames.find(isWanted);
        if (found !== undefined) return found;
        if (this.isClosed) throw new Error(`the connection ended without ${what}; the last were ${this.frames.slice(-20).map(({ type, streamId }) => `${type}/${streamId}`).join(' ')}`);
        await new Promise<void>((resolve) => { this.wake = resolve; });
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  /** grpc-status and grpc-message of a call. */
  async status(streamId: number): Promise<[code: number, message: string]> {
    const { headers } = await this.frame(`the end of stream ${streamId}`, (frame) => frame.streamId === streamId && frame.headers?.['grpc-status'] !== undefined);
    return [Number(headers?.['grpc-status']), headers?.['grpc-message'] ?? ''];
  }

  /** Error code and text of GOAWAY. */
  async goAway(): Promise<[code: number, text: string]> {
    const { payload } = await this.frame('GOAWAY', ({ type }) => type === frameType.GOAWAY);
    return [payload.readUInt32BE(4), payload.toString('utf8', 8)];
  }

  async resetCode(streamId: number): Promise<number> {
    return (await this.frame(`RST_STREAM ${streamId}`, (frame) => frame.type === frameType.RST_STREAM && frame.streamId === streamId)).payload.readUInt32BE(0);
  }

  /** All the data of a stream so far. */
  data(streamId: number): Buffer {
    return Buffer.concat(this.frames.filter((frame) => frame.type === frameType.DATA && frame.streamId === streamId).map(({ payload }) => payload));
  }

  async closed(): Promise<void> {
    if (!this.isClosed) await once(this.socket, 'close', { signal: AbortSignal.timeout(10_000) });
  }

  close(): void {
    this.socket.destroy();
  }
}

export const headersFrame = (streamId: number, fields: HeaderList, flags: number = frameFlag.END_HEADERS): Buffer =>
  frame(frameType.HEADERS, flags, streamId, encodeHeaders(fields));

/** Resolves when `holds` does; rejects after ten seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadlineMs = Date.now() + 10_000; !holds();) {
    if (Date.now() > deadlineMs) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
