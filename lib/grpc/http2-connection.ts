// The server's side of one HTTP/2 connection, over any byte stream, as far as gRPC needs it: no push, no priorities.
// Written on sockets because node:http2 spends more on a stream than etcd on a write (docs/benchmarks.md).
// What is sent within one turn of the event loop leaves in one write.
import type { Duplex } from 'node:stream';
import { IdTable } from '#lib/machinery/id-table.ts';
import { HpackDecoder, HpackError, type HeaderList } from './hpack.ts';
import {
  CLIENT_PREFACE, DEFAULT_WINDOW, errorCode, FRAME_HEADER_BYTES, frame, frameFlag, frameType, goAwayFrame, MAX_FRAME_BYTES, MAX_WINDOW, resetFrame,
  setting, settingsFrame, windowUpdateFrame, writeFrameHeader, type ErrorCode,
} from './http2-frames.ts';

/** What the peer may send on a stream before it is told that there is room again. Bytes. */
const STREAM_WINDOW = 256 * 1024;
/** The same for all streams of the connection. It is given back as data arrive, so that one slow stream holds up no other. */
const CONNECTION_WINDOW = 1024 * 1024;
/** Names, values and 32 bytes for each field of a request. */
const MAX_HEADER_LIST_BYTES = 64 * 1024;
/** Streams at once, whatever the settings say. */
const MAX_STREAMS = 100_000;
/** Bytes in the socket's own buffer at which streams keep what they have, */
const SOCKET_HIGH_WATER = 256 * 1024;
/** and at which nothing more is read: what is left to send are answers to what the peer sends, such as PINGs. */
const SOCKET_LIMIT = 1024 * 1024;
/** Bytes a stream has to send at which its handler is asked to wait, and at which it may go on. */
const STREAM_HIGH_WATER = 64 * 1024;
const STREAM_LOW_WATER = 32 * 1024;
/** What a stream may send before another one that waits for the connection has its turn. */
const TURN_BYTES = 64 * 1024;
/** Pieces that together are no larger are copied into one. */
const COPY_LIMIT = 64 * 1024;
/** Source: grpc-go, maxPingStrikes and defaultPingTimeout. */
const MAX_PING_STRIKES = 2;
const IDLE_PING_INTERVAL_MS = 2 * 60 * 60_000;
/**
 * A grpc-go client sends a PING with every call. The answer leaves with what is sent next, or alone after this time; at once where PINGs come more
 * seldom, so that nothing else is to be expected soon. Milliseconds.
 */
const PING_ANSWER_MS = 2;
/** For the peer to read why it is sent away. Milliseconds. */
const FAREWELL_MS = 1_000;
/** Source: grpc-go, goAwayPing. */
const DRAIN_PING = Buffer.from([1, 6, 1, 8, 0, 3, 3, 9]);
const KEEP_ALIVE_PING = Buffer.alloc(8);
const NOTHING = Buffer.alloc(0);
const EMPTY_TABLE = 0x20;

export interface Http2Options {
  /** Announced to the peer when it is less than 2^32 - 1. */
  readonly maxConcurrentStreams: number;
  /** A connection silent for this long is asked whether it is there, and closed when it does not say so in time. */
  readonly keepAliveTimeMs: number;
  readonly keepAliveTimeoutMs: number;
  /** A peer that sends pings more often than this, or without a stream, is sent away. */
  readonly minPingIntervalMs: number;
  readonly onRequest: (stream: Http2Stream, headers: HeaderList) => StreamReceiver;
  readonly onClose: () => void;
}

/** What happens to a stream after its headers. Nothing is called any more once the stream was ended or reset by either side. */
export interface StreamReceiver {
  /** A view of what was read from the socket. To be given back with `stream.giveBack`. */
  readonly onData: (bytes: Buffer) => void;
  readonly onEnd: () => void;
  /** The peer has cancelled the stream, or is gone. */
  readonly onReset: () => void;
  /** After `sendData` has returned false. */
  readonly onRoom: () => void;
}

export class Http2Stream {
  readonly id: number;
  readonly connection: Http2Connection;
  receiver: StreamReceiver | undefined;
  peerHasEnded = false;
  isClosed = false;
  /** What the peer may still send. */
  receiveWindow = STREAM_WINDOW;
  owed = 0;
  /** What may be sent is this on top of the peer's initial window, whose changes thus cost nothing. */
  credit = 0;
  queue: Buffer[] = [];
  queuedBytes = 0;
  trailers: Buffer | undefined;
  wantsRoom = false;

  constructor(connection: Http2Connection, id: number) {
    this.connection = connection;
    this.id = id;
  }

  /** `block`: from encodeHeaders. */
  sendHeaders(block: Buffer): void {
    if (!this.isClosed) this.connection.sendHeaderBlock(this.id, block, 0);
  }

  /** False when the peer does not keep up: `onRoom` will tell. */
  sendData(bytes: Buffer): boolean {
    if (this.isClosed || this.trailers !== undefined) return true;
    this.queue.push(bytes);
    this.queuedBytes += bytes.length;
    this.connection.queuedBytes += bytes.length;
    this.connection.pump(this, Infinity);
    this.wantsRoom = this.queuedBytes >= STREAM_HIGH_WATER;
    return !this.wantsRoom;
  }

  /** Ends the stream once everything queued before has left. */
  sendTrailers(block: Buffer): void {
    if (this.isClosed || this.trailers !== undefined) return;
    this.trailers = block;
    this.connection.pump(this, Infinity);
  }

  /** Headers, one short piece of data and trailers in one go: most answers. */
  sendWhole(headers: Buffer, data: Buffer, trailers: Buffer): void {
    if (!this.connection.trySendWhole(this, headers, data, trailers)) {
      this.sendHeaders(headers);
      this.sendData(data);
      this.sendTrailers(trailers);
    }
  }

  /** Lets the peer send as much again. */
  giveBack(bytes: number): void {
    this.owed += bytes;
    if (this.owed < STREAM_WINDOW / 2 || this.peerHasEnded || this.isClosed) return;
    this.receiveWindow += this.owed;
    this.connection.emit(windowUpdateFrame(this.id, this.owed));
    this.owed = 0;
  }

  reset(code: ErrorCode): void {
    if (this.isClosed) return;
    this.connection.emit(resetFrame(this.id, code));
    this.connection.forget(this);
  }
}

/** Why a connection cannot go on. */
class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

interface PartialBlock {
  readonly streamId: number;
  readonly endsStream: boolean;
  readonly parts: Buffer[];
  size: number;
}

export class Http2Connection {
  readonly socket: Duplex;
  /** Bytes that streams hold because the peer does not take them. */
  queuedBytes = 0;
  /** Bytes of messages that have come in part; kept by the calls. */
  heldBytes = 0;
  private readonly options: Http2Options;
  private readonly hpack = new HpackDecoder(MAX_HEADER_LIST_BYTES);
  private readonly streams = new IdTable<Http2Stream>();
  private state: 'open' | 'draining' | 'leaving' | 'closed' = 'open';
  private lastStreamId = 0;
  private rest: Buffer = NOTHING;
  private prefaceBytes = 0;
  private sawSettings = false;
  private partialBlock: PartialBlock | undefined;

  private peerWindow = DEFAULT_WINDOW;
  private sendWindow = DEFAULT_WINDOW;
  private receiveWindow = CONNECTION_WINDOW;
  private owed = 0;
  private mustEmptyTable = false;
  /** Streams with data to send, by what they wait for; `waiting`: room in the connection's window or the socket. */
  private readonly waiting = new Set<Http2Stream>();
  private readonly waitingForOwnWindow = new Set<Http2Stream>();
  private canPumpWaiting = false;
  private canPumpAll = false;

  private readonly out: Buffer[] = [];
  private outBytes = 0;
  private isFlushDue = false;
  private isPingAnswerDue = false;

  private pingStrikes = 0;
  private lastPingMs = -Infinity;
  private hasSentSincePing = false;
  private wasActive = true;
  private readonly keepAliveTimer: NodeJS.Timeout;

  constructor(socket: Duplex, options: Http2Options) {
    this.socket = socket;
    this.options = options;
    this.keepAliveTimer = setTimeout(() => this.checkAlive(), options.keepAliveTimeMs).unref();
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('drain', () => this.onDrain());
    socket.on('error', () => socket.destroy()); // a connection that breaks ends; 'close' tells the streams
    socket.on('end', () => this.destroy()); // a gRPC client that says no more is gone
    socket.on('close', () => this.end());
    const announced: [number, number][] = [[setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW], [setting.MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_BYTES]];
    if (options.maxConcurrentStreams < 2 ** 32 - 1) announced.push([setting.MAX_CONCURRENT_STREAMS, options.maxConcurrentStreams]);
    this.emit(settingsFrame(announced));
    this.emit(windowUpdateFrame(0, CONNECTION_WINDOW - DEFAULT_WINDOW));
    socket.resume(); // who looked at its first bytes may have paused it
  }

  get streamCount(): number {
    return this.streams.size;
  }

  // Ending

  /** Lets streams under way finish, and those that the peer opens before it hears of it. */
  drain(): void {
    if (this.state !== 'open') return;
    this.state = 'draining';
    this.emit(goAwayFrame(MAX_WINDOW, errorCode.NO_ERROR, ''));
    this.emit(frame(frameType.PING, 0, 0, DRAIN_PING)); // its answer says that the peer has heard of it
  }

  private leave(): void {
    if (this.state !== 'draining') return;
    this.state = 'leaving';
    this.emit(goAwayFrame(this.lastStreamId, errorCode.NO_ERROR, ''));
    if (this.streams.size === 0) this.close();
  }

  /** Tells the peer why it is sent away, and ends all streams. */
  fail(code: ErrorCode, debug: string): void {
    if (this.state === 'closed') return;
    this.emit(goAwayFrame(this.lastStreamId, code, debug));
    this.close();
  }

  /** Sends what is left, and reads on for a moment without a look at it: closing at once could cost the peer the last frames. */
  private close(): void {
    this.flush();
    this.end();
    this.socket.end();
    const farewell = setTimeout(() => this.socket.destroy(), FAREWELL_MS).unref();
    this.socket.once('close', () => clearTimeout(farewell));
    this.socket.resume();
  }

  destroy(): void {
    this.end();
    this.socket.destroy();
  }

  private end(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    clearTimeout(this.keepAliveTimer);
    this.rest = NOTHING;
    this.out.length = 0;
    for (const stream of this.streams.values()) {
      const { receiver } = stream;
      this.forget(stream);
      receiver?.onReset();
    }
    this.options.onClose();
  }

  private checkAlive(): void {
    if (this.wasActive) {
      this.wasActive = false;
      this.keepAliveTimer.refresh();
      return;
    }
    this.emit(frame(frameType.PING, 0, 0, KEEP_ALIVE_PING));
    setTimeout(() => {
      if (!this.wasActive) this.destroy();
      else if (this.state !== 'closed') this.keepAliveTimer.refresh();
    }, this.options.keepAliveTimeoutMs).unref();
  }

  // Sending

  emit(bytes: Buffer): void {
    if (this.state === 'closed') return;
    this.out.push(bytes);
    this.outBytes += bytes.length;
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    process.nextTick(flushConnection, this);
  }

  private answerPing(payload: Buffer, sinceLastMs: number): void {
    if (this.state === 'closed') return;
    const answer = frame(frameType.PING, frameFlag.ACK, 0, payload);
    if (sinceLastMs > PING_ANSWER_MS) return this.emit(answer);
    this.out.push(answer);
    this.outBytes += answer.length;
    if (this.isFlushDue || this.isPingAnswerDue) return;
    this.isPingAnswerDue = true;
    setTimeout(flushPingAnswer, PING_ANSWER_MS, this);
  }

  flushPingAnswer(): void {
    this.isPingAnswerDue = false;
    if (!this.isFlushDue) this.flush();
  }

  flush(): void {
    this.isFlushDue = false;
    const { out, outBytes, socket } = this;
    this.outBytes = 0;
    if (out.length === 0 || !socket.writable) {
      out.length = 0;
      return;
    }
    // The array is kept: a new one would wait for the next answer, become old, and keep what it held until the next collection of all.
    if (outBytes <= COPY_LIMIT) {
      const bytes = out.length === 1 ? out[0] as Buffer : Buffer.concat(out, outBytes);
      out.length = 0;
      socket.write(bytes);
    } else {
      socket.cork();
      for (const bytes of out.splice(0)) socket.write(bytes);
      socket.uncork();
    }
    if (socket.writableLength > SOCKET_LIMIT) socket.pause();
  }

  private onDrain(): void {
    if (this.state === 'closed') return;
    if (this.socket.isPaused()) this.socket.resume();
    this.pumpWaiting();
  }

  private get hasRoom(): boolean {
    return this.outBytes + this.socket.writableLength < SOCKET_HIGH_WATER;
  }

  sendHeaderBlock(streamId: number, block: Buffer, flags: number): void {
    this.hasSentSincePing = true;
    let whole = block;
    if (this.mustEmptyTable) {
      this.mustEmptyTable = false;
      whole = Buffer.concat([Buffer.from([EMPTY_TABLE]), block]);
    }
    this.emit(frame(frameType.HEADERS, flags | frameFlag.END_HEADERS, streamId, whole));
  }

  /** False, and nothing done, when the parts cannot leave at once. */
  trySendWhole(stream: Http2Stream, headers: Buffer, data: Buffer, trailers: Buffer): boolean {
    const { length } = data;
    if (stream.isClosed || length > MAX_FRAME_BYTES || length > this.sendWindow || length > this.peerWindow + stream.credit) return false;
    if (!stream.peerHasEnded || this.mustEmptyTable || this.waiting.size > 0 || !this.hasRoom) return false;
    this.sendWindow -= length;
    this.hasSentSincePing = true;
    const bytes = Buffer.allocUnsafe(3 * FRAME_HEADER_BYTES + headers.length + length + trailers.length);
    let at = writeFrameHeader(bytes, 0, frameType.HEADERS, frameFlag.END_HEADERS, stream.id, headers.length);
    bytes.set(headers, at);
    at = writeFrameHeader(bytes, at + headers.length, frameType.DATA, 0, stream.id, length);
    bytes.set(data, at);
    at = writeFrameHeader(bytes, at + length, frameType.HEADERS, frameFlag.END_HEADERS | frameFlag.END_STREAM, stream.id, trailers.length);
    bytes.set(trailers, at);
    this.emit(bytes);
    this.forget(stream);
    return true;
  }

  /** Sends what the stream has, as far as windows and socket allow, but no more than `limit` or a frame beyond it. */
  pump(stream: Http2Stream, limit: number): void {
    let sent = 0;
    while (stream.queuedBytes > 0) {
      const ownWindow = this.peerWindow + stream.credit;
      if (ownWindow <= 0) {
        this.waitingForOwnWindow.add(stream);
        break;
      }
      if (this.sendWindow <= 0 || sent >= limit || !this.hasRoom) {
        this.waiting.add(stream);
        break;
      }
      sent += this.sendDataFrame(stream, Math.min(stream.queuedBytes, ownWindow, this.sendWindow, MAX_FRAME_BYTES));
    }
    if (stream.queuedBytes === 0 && stream.trailers !== undefined) {
      this.sendHeaderBlock(stream.id, stream.trailers, frameFlag.END_STREAM);
      // The peer need not send the rest. Source: RFC 9113, 8.1.
      if (!stream.peerHasEnded) this.emit(resetFrame(stream.id, errorCode.NO_ERROR));
      this.forget(stream);
    } else if (stream.wantsRoom && stream.queuedBytes <= STREAM_LOW_WATER) {
      stream.wantsRoom = false;
      stream.receiver?.onRoom();
    }
  }

  private sendDataFrame(stream: Http2Stream, size: number): number {
    this.hasSentSincePing = true;
    stream.credit -= size;
    stream.queuedBytes -= size;
    this.sendWindow -= size;
    this.queuedBytes -= size;
    const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    writeFrameHeader(header, 0, frameType.DATA, 0, stream.id, size);
    this.emit(header);
    let used = 0;
    for (let left = size; left > 0;) {
      const piece = stream.queue[used] ?? NOTHING;
      if (piece.length <= left) {
        this.emit(piece);
        left -= piece.length;
        used += 1;
      } else {
        this.emit(piece.subarray(0, left));
        stream.queue[used] = piece.subarray(left);
        left = 0;
      }
    }
    stream.queue.splice(0, used);
    return size;
  }

  /** In turns, so that a large answer does not hold up small ones. */
  private pumpWaiting(): void {
    while (this.waiting.size > 0 && this.sendWindow > 0 && this.hasRoom) {
      const [stream] = this.waiting;
      if (stream === undefined) return;
      this.waiting.delete(stream);
      this.pump(stream, TURN_BYTES);
    }
  }

  /** The stream is over: nothing is received for it any more, and nothing sent. */
  forget(stream: Http2Stream): void {
    stream.isClosed = true;
    stream.receiver = undefined;
    this.queuedBytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue = [];
    if (this.waiting.size > 0) this.waiting.delete(stream);
    if (this.waitingForOwnWindow.size > 0) this.waitingForOwnWindow.delete(stream);
    this.streams.delete(stream.id);
    if (this.state === 'leaving' && this.streams.size === 0) this.close();
  }

  // Receiving

  private receive(chunk: Buffer): void {
    if (this.state === 'closed') return;
    this.wasActive = true;
    try {
      this.parse(this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]));
    } catch (error) {
      if (error instanceof ConnectionError) return this.fail(error.code, error.message);
      if (error instanceof HpackError) return this.fail(errorCode.COMPRESSION_ERROR, error.message);
      throw error;
    }
    if (this.canPumpAll) {
      this.canPumpAll = false;
      for (const stream of this.waitingForOwnWindow) this.waiting.add(stream);
      this.waitingForOwnWindow.clear();
      this.canPumpWaiting = true;
    }
    if (this.canPumpWaiting) {
      this.canPumpWaiting = false;
      this.pumpWaiting();
    }
  }

  private parse(bytes: Buffer): void {
    let at = this.prefaceBytes < CLIENT_PREFACE.length ? this.readPreface(bytes) : 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
      if (length > MAX_FRAME_BYTES) throw new ConnectionError(errorCode.FRAME_SIZE_ERROR, `a frame of ${length} bytes`);
      const start = at + FRAME_HEADER_BYTES;
      if (bytes.length - start < length) break;
      const streamId = (((bytes[at + 5] ?? 0) & 0x7f) << 24) | ((bytes[at + 6] ?? 0) << 16) | ((bytes[at + 7] ?? 0) << 8) | (bytes[at + 8] ?? 0);
      this.dispatch(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, streamId, bytes.subarray(start, start + length));
      if ((this.state as string) === 'closed') return;
      at = start + length;
    }
    // What is left is copied, so that it does not keep a large buffer.
    this.rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  private readPreface(bytes: Buffer): number {
    const end = Math.min(bytes.length, CLIENT_PREFACE.length - this.prefaceBytes);
    const expected = CLIENT_PREFACE.subarray(this.prefaceBytes, this.prefaceBytes + end);
    if (bytes.compare(expected, 0, end, 0, end) !== 0) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'bogus greeting');
    this.prefaceBytes += end;
    return end;
  }

  private dispatch(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (!this.sawSettings) {
      if (type !== frameType.SETTINGS || (flags & frameFlag.ACK) !== 0) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'the first frame is not SETTINGS');
      this.sawSettings = true;
    }
    if (this.partialBlock !== undefined && (type !== frameType.CONTINUATION || streamId !== this.partialBlock.streamId)) {
      throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'a header block is not continued');
    }
    switch (type) {
      case frameType.DATA: return this.onDataFrame(flags, streamId, payload);
      case frameType.HEADERS: return this.onHeadersFrame(flags, streamId, payload);
      case frameType.CONTINUATION: return this.onContinuation(flags, payload);
      case frameType.RST_STREAM: return this.onResetFrame(streamId, payload);
      case frameType.SETTINGS: return this.onSettings(flags, streamId, payload);
      case frameType.PING: return this.onPing(flags, streamId, payload);
      case frameType.WINDOW_UPDATE: return this.onWindowUpdate(streamId, payload);
      case frameType.PUSH_PROMISE: throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'a client cannot push');
      default: return undefined; // PRIORITY, GOAWAY, and types yet to be invented
    }
  }

  /** The stream, or undefined when it is over already. */
  private known(streamId: number): Http2Stream | undefined {
    const stream = this.streams.get(streamId);
    if (this.state === 'leaving') return stream; // streams opened since then are none of ours
    if (stream === undefined && (streamId === 0 || streamId > this.lastStreamId || streamId % 2 === 0)) {
      throw new ConnectionError(errorCode.PROTOCOL_ERROR, `stream ${streamId} was not opened`);
    }
    return stream;
  }

  private onDataFrame(flags: number, streamId: number, payload: Buffer): void {
    const { length } = payload;
    const stream = this.known(streamId);
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) throw new ConnectionError(errorCode.FLOW_CONTROL_ERROR, 'more than the connection\'s window');
    this.owed += length;
    if (this.owed >= CONNECTION_WINDOW / 2) {
      this.receiveWindow += this.owed;
      this.emit(windowUpdateFrame(0, this.owed));
      this.owed = 0;
    }
    if (stream === undefined) return;
    if (stream.peerHasEnded) return this.resetByPeer(stream, errorCode.STREAM_CLOSED);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return this.resetByPeer(stream, errorCode.FLOW_CONTROL_ERROR);
    const data = (flags & frameFlag.PADDED) === 0 ? payload : withoutPadding(payload);
    if (data.length < length) stream.giveBack(length - data.length);
    if (data.length > 0) stream.receiver?.onData(data);
    if ((flags & frameFlag.END_STREAM) !== 0) this.onEndOf(stream);
  }

  private onEndOf(stream: Http2Stream): void {
    stream.peerHasEnded = true;
    stream.receiver?.onEnd();
  }

  /** The peer has broken the rules of a stream. */
  private resetByPeer(stream: Http2Stream, code: ErrorCode): void {
    const { receiver } = stream;
    stream.reset(code);
    receiver?.onReset();
  }

  private onHeadersFrame(flags: number, streamId: number, payload: Buffer): void {
    let block = (flags & frameFlag.PADDED) === 0 ? payload : withoutPadding(payload);
    if ((flags & frameFlag.PRIORITY) !== 0) {
      if (block.length < 5) throw new ConnectionError(errorCode.FRAME_SIZE_ERROR, 'HEADERS are too short');
      block = block.subarray(5);
    }
    const endsStream = (flags & frameFlag.END_STREAM) !== 0;
    if ((flags & frameFlag.END_HEADERS) !== 0) this.onHeaderBlock(streamId, endsStream, block);
    else this.partialBlock = { streamId, endsStream, parts: [Buffer.from(block)], size: block.length };
  }

  private onContinuation(flags: number, payload: Buffer): void {
    const partial = this.partialBlock;
    if (partial === undefined) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'CONTINUATION of nothing');
    partial.parts.push(Buffer.from(payload));
    partial.size += payload.length + ENTRY_COST;
    if (partial.size > MAX_HEADER_LIST_BYTES) throw new ConnectionError(errorCode.ENHANCE_YOUR_CALM, 'a header block is too large');
    if ((flags & frameFlag.END_HEADERS) === 0) return;
    this.partialBlock = undefined;
    this.onHeaderBlock(partial.streamId, partial.endsStream, Buffer.concat(partial.parts));
  }

  private onHeaderBlock(streamId: number, endsStream: boolean, block: Buffer): void {
    const headers = this.hpack.decode(block);
    const trailed = this.streams.get(streamId);
    if (trailed !== undefined) {
      if (trailed.peerHasEnded || !endsStream) return this.resetByPeer(trailed, trailed.peerHasEnded ? errorCode.STREAM_CLOSED : errorCode.PROTOCOL_ERROR);
      return this.onEndOf(trailed);
    }
    if (streamId % 2 === 0 || streamId <= this.lastStreamId) throw new ConnectionError(errorCode.PROTOCOL_ERROR, `received an illegal stream id: ${streamId}`);
    if (this.state === 'leaving') return; // the peer was told that it is not taken
    this.lastStreamId = streamId;
    if (headers === undefined) return this.emit(resetFrame(streamId, errorCode.FRAME_SIZE_ERROR)); // as grpc-go
    if (this.streams.size >= Math.min(this.options.maxConcurrentStreams, MAX_STREAMS)) return this.emit(resetFrame(streamId, errorCode.REFUSED_STREAM));
    const stream = new Http2Stream(this, streamId);
    this.streams.set(streamId, stream);
    const receiver = this.options.onRequest(stream, headers);
    if (!stream.isClosed) stream.receiver = receiver;
    if (endsStream) this.onEndOf(stream);
  }

  private onResetFrame(streamId: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError(errorCode.FRAME_SIZE_ERROR, 'RST_STREAM of a wrong size');
    const stream = this.known(streamId);
    if (stream === undefined) return;
    const { receiver } = stream;
    this.forget(stream);
    receiver?.onReset();
  }

  private onSettings(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'SETTINGS of a stream');
    const isAck = (flags & frameFlag.ACK) !== 0;
    if (payload.length % 6 !== 0 || (isAck && payload.length > 0)) throw new ConnectionError(errorCode.FRAME_SIZE_ERROR, 'SETTINGS of a wrong size');
    if (isAck) return;
    for (let at = 0; at < payload.length; at += 6) this.onSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    this.emit(frame(frameType.SETTINGS, frameFlag.ACK, 0, NOTHING));
  }

  private onSetting(id: number, value: number): void {
    switch (id) {
      case setting.HEADER_TABLE_SIZE:
        // Nothing is ever put into the peer's table, so it may be empty; but it has to be told. RFC 7541, 4.2.
        if (value < 4096) this.mustEmptyTable = true;
        return;
      case setting.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'ENABLE_PUSH is 0 or 1');
        return;
      case setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW) throw new ConnectionError(errorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE is too large');
        if (value > this.peerWindow) this.canPumpAll = true;
        this.peerWindow = value;
        return;
      case setting.MAX_FRAME_SIZE:
        if (value < MAX_FRAME_BYTES || value >= 2 ** 24) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'MAX_FRAME_SIZE is out of range');
        return;
      default:
    }
  }

  private onPing(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'PING of a stream');
    if (payload.length !== 8) throw new ConnectionError(errorCode.FRAME_SIZE_ERROR, 'PING of a wrong size');
    if ((flags & frameFlag.ACK) !== 0) {
      if (payload.equals(DRAIN_PING)) this.leave();
      return;
    }
    const nowMs = performance.now();
    const sinceLastMs = nowMs - this.lastPingMs;
    this.lastPingMs = nowMs;
    this.answerPing(payload, sinceLastMs);
    this.countPing(sinceLastMs);
  }

  /** Pings right after an answer measure the bandwidth; others are keep-alives, which must be rare. Source: grpc-go, handlePing. */
  private countPing(sinceLastMs: number): void {
    if (this.hasSentSincePing) {
      this.hasSentSincePing = false;
      this.pingStrikes = 0;
      return;
    }
    if (sinceLastMs < (this.streams.size > 0 ? this.options.minPingIntervalMs : IDLE_PING_INTERVAL_MS)) this.pingStrikes += 1;
    if (this.pingStrikes > MAX_PING_STRIKES) throw new ConnectionError(errorCode.ENHANCE_YOUR_CALM, 'too_many_pings');
  }

  private onWindowUpdate(streamId: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError(errorCode.FRAME_SIZE_ERROR, 'WINDOW_UPDATE of a wrong size');
    const increment = payload.readUInt32BE(0) & MAX_WINDOW;
    if (streamId === 0) {
      if (increment === 0) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE by nothing');
      this.sendWindow += increment;
      if (this.sendWindow > MAX_WINDOW) throw new ConnectionError(errorCode.FLOW_CONTROL_ERROR, 'the connection\'s window is too large');
      this.canPumpWaiting = true;
      return;
    }
    const stream = this.known(streamId);
    if (stream === undefined) return;
    if (increment === 0) return this.resetByPeer(stream, errorCode.PROTOCOL_ERROR);
    stream.credit += increment;
    if (this.peerWindow + stream.credit > MAX_WINDOW) return this.resetByPeer(stream, errorCode.FLOW_CONTROL_ERROR);
    if (!this.waitingForOwnWindow.delete(stream)) return;
    this.waiting.add(stream);
    this.canPumpWaiting = true;
  }
}

/** What a CONTINUATION counts besides its bytes, so that empty ones do not go on for ever. */
const ENTRY_COST = 32;

const flushConnection = (connection: Http2Connection): void => connection.flush();
const flushPingAnswer = (connection: Http2Connection): void => connection.flushPingAnswer();

function withoutPadding(payload: Buffer): Buffer {
  const padding = payload[0] ?? 0;
  if (padding >= payload.length) throw new ConnectionError(errorCode.PROTOCOL_ERROR, 'a frame is nothing but padding');
  return payload.subarray(1, payload.length - padding);
}
