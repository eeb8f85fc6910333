// A client of etcd that costs little itself, for measuring: one connection, one call at a time besides its streams, no retries.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { EtcdMethod } from '#lib/etcd-api/services.ts';
import { encodeHeaders, HpackDecoder } from '#lib/grpc/hpack.ts';
import { CLIENT_PREFACE, frame, FRAME_HEADER_BYTES, frameFlag, frameType, MAX_FRAME_BYTES, setting, settingsFrame, windowUpdateFrame } from '#lib/grpc/http2-frames.ts';

const WINDOW = 2 ** 30;
const PREFIX_BYTES = 5;

export class LeanClient {
  private readonly socket: Socket;
  private readonly hpack = new HpackDecoder(1024 * 1024);
  private readonly blocks = new Map<string, Buffer>();
  private nextStream = 1;
  private rest: Buffer = Buffer.alloc(0);
  private message: Buffer[] = [];
  private readonly streams = new Map<number, MessageSplitter>();
  private peerWindow = 65_535;
  private resolve: (message: Buffer) => void = () => undefined;
  private reject: (error: Error) => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('error', (error) => this.reject(error));
    socket.on('close', () => this.reject(new Error('the connection was closed')));
    socket.write(Buffer.concat([CLIENT_PREFACE, settingsFrame([[setting.INITIAL_WINDOW_SIZE, WINDOW]]), windowUpdateFrame(0, WINDOW)]));
  }

  static async open(port: number): Promise<LeanClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new LeanClient(socket);
  }

  /** Requests up to 16 KiB, one at a time. */
  async call<Q, R>(method: EtcdMethod<unknown, Q, R, never>, request: Q): Promise<R> {
    const data = this.dataOf(method, request);
    const stream = this.takeStreamId();
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.socket.write(Buffer.concat([frame(frameType.HEADERS, frameFlag.END_HEADERS, stream, this.blockFor(method.path)), frame(frameType.DATA, frameFlag.END_STREAM, stream, data)]));
    return method.responseDeserialize(await answer);
  }

  /** Opens a stream, sends the requests on it, and leaves it open. */
  stream<Q, R>(method: EtcdMethod<unknown, Q, R, never>, requests: readonly Q[], onMessage: (message: R) => void): void {
    const id = this.takeStreamId();
    this.streams.set(id, new MessageSplitter((message) => onMessage(method.responseDeserialize(message))));
    const frames = requests.map((request) => frame(frameType.DATA, 0, id, this.dataOf(method, request)));
    this.socket.write(Buffer.concat([frame(frameType.HEADERS, frameFlag.END_HEADERS, id, this.blockFor(method.path)), ...frames]));
  }

  private takeStreamId(): number {
    const id = this.nextStream;
    this.nextStream += 2;
    return id;
  }

  /** A frame's worth of a request, for which the server has given room. */
  private dataOf<Q, R>(method: EtcdMethod<unknown, Q, R, never>, request: Q): Buffer {
    const body = method.requestSerialize(request);
    const data = Buffer.allocUnsafe(PREFIX_BYTES + body.length);
    if (data.length > MAX_FRAME_BYTES) throw new RangeError('the request does not fit into a frame');
    data[0] = 0;
    data.writeUInt32BE(body.length, 1);
    data.set(body, PREFIX_BYTES);
    this.peerWindow -= data.length;
    if (this.peerWindow < 0) throw new Error('the server gives no window'); // both servers give it back long before
    return data;
  }

  private blockFor(path: string): Buffer {
    let block = this.blocks.get(path);
    if (block === undefined) {
      block = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', path, ':authority', '127.0.0.1', 'content-type', 'application/grpc', 'te', 'trailers']);
      this.blocks.set(path, block);
    }
    return block;
  }

  private receive(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const start = at + FRAME_HEADER_BYTES;
      const end = start + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.onFrame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5), bytes.subarray(start, end));
      at = end;
    }
    this.rest = bytes.subarray(at);
  }

  private onFrame(type: number, flags: number, streamId: number, payload: Buffer): void {
    const stream = this.streams.size === 0 ? undefined : this.streams.get(streamId);
    if (type === frameType.DATA) {
      if (stream === undefined) this.message.push(payload);
      else stream.add(payload);
    } else if (type === frameType.HEADERS) this.onHeaders(payload, flags);
    else if (type === frameType.SETTINGS && (flags & frameFlag.ACK) === 0) this.socket.write(frame(frameType.SETTINGS, frameFlag.ACK, 0, Buffer.alloc(0)));
    else if (type === frameType.PING && (flags & frameFlag.ACK) === 0) this.socket.write(frame(frameType.PING, frameFlag.ACK, 0, payload));
    else if (type === frameType.WINDOW_UPDATE && streamId === 0) this.peerWindow += payload.readUInt32BE(0);
    else if (type === frameType.RST_STREAM || type === frameType.GOAWAY) this.reject(new Error(`the server ended the call: frame ${type}, ${payload.toString('latin1')}`));
  }

  private onHeaders(block: Buffer, flags: number): void {
    const headers = this.hpack.decode(block) ?? [];
    if ((flags & frameFlag.END_STREAM) === 0) return;
    const status = headers[headers.indexOf('grpc-status') + 1];
    const message = this.message.length === 1 ? this.message[0] : Buffer.concat(this.message);
    this.message = [];
    if (status === '0' && message !== undefined) this.resolve(message.subarray(PREFIX_BYTES));
    else this.reject(new Error(`${status}: ${headers[headers.indexOf('grpc-message') + 1]}`));
  }

  close(): void {
    this.reject = () => undefined;
    this.socket.destroy();
  }
}

/** Messages of a stream, whatever frames they come in. */
class MessageSplitter {
  private readonly onMessage: (message: Buffer) => void;
  private rest: Buffer = Buffer.alloc(0);

  constructor(onMessage: (message: Buffer) => void) {
    this.onMessage = onMessage;
  }

  add(payload: Buffer): void {
    let bytes = this.rest.length === 0 ? payload : Buffer.concat([this.rest, payload]);
    while (bytes.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      this.onMessage(bytes.subarray(PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.rest = bytes;
  }
}
