// One call: the messages within a stream, deadline and cancellation, and how it ends.
import { setTimeout as startTimer, clearTimeout as stopTimer } from 'node:timers';
import { encodeHeaders, type HeaderList } from './hpack.ts';
import { errorCode } from './http2-frames.ts';
import type { Http2Stream, StreamReceiver } from './http2-connection.ts';
import type { Peer } from './peer.ts';
import { encodeGrpcMessage, GrpcError, grpcStatus, type GrpcStatus } from './status.ts';

/** What precedes each message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
/** Bytes of a grpc-message. Clients bound the headers that they take; grpc-js to 16 KiB. */
const MAX_TEXT_LENGTH = 4096;
/** What a connection may hold of messages not taken yet by their handlers, or not by the peer. Bytes. */
export const MAX_CONNECTION_BYTES = 64 * 1024 * 1024;
/** Messages of a stream that wait for its handler before the peer is held up. Bytes. */
const QUEUE_BYTES = 64 * 1024;
/** Node's longest timer; a deadline beyond it is none. Milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const HEADERS = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const OK_TRAILERS = encodeHeaders(['grpc-status', '0']);

/** Metadata to send, flat: name, value, name, value ... Names are lower case; values of `-bin` names are base64. */
export type SentMetadata = readonly string[];

/** What handlers know of their call. */
export interface CallContext {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly peer: Peer;
  /** Of the last request, without its prefix. */
  readonly requestBytes: number;
  /** The value of a header that the client sent; the name in lower case. */
  metadata(name: string): string | undefined;
  /** Aborts when the client cancels or is gone, or the deadline passes; the reason is a GrpcError. */
  readonly signal: AbortSignal;
  readonly isCancelled: boolean;
}

export interface StreamCall<Request, Response> extends CallContext {
  /** Ends when the client has half-closed; throws the reason of `signal`. Reading slowly slows the client. To be read once. */
  readonly requests: AsyncIterable<Request>;
  /** False when the client does not keep up: wait for `drained()`. Does nothing once the call is over. */
  send(response: Response): boolean;
  /** Resolves when there is room again, or the call is over. */
  drained(): Promise<void>;
  /** Sends the headers ahead of the first response. */
  sendHeaders(): void;
}

export interface Method<Request, Response> {
  readonly path: string;
  /** Throws for what is no such message. The bytes are a view of what was received: copy what is to be kept. */
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Response) => Buffer;
}

export type Handler =
  | { readonly kind: 'unary'; readonly method: Method<unknown, unknown>; readonly handle: (request: unknown, call: CallContext) => unknown }
  | { readonly kind: 'serverStream'; readonly method: Method<unknown, unknown>; readonly handle: (request: unknown, call: StreamCall<unknown, unknown>) => Promise<void> }
  | { readonly kind: 'bidi'; readonly method: Method<unknown, unknown>; readonly handle: (call: StreamCall<unknown, unknown>) => Promise<void> };

export interface CallOptions {
  readonly maxReceiveBytes: number;
  /** What a handler threw that is no GrpcError: logs it, and says what the client is told. */
  readonly onDefect: (error: unknown, path: string) => GrpcError;
  /** A handler goes on (`+1`) for a call that is over, or has ended (`-1`). */
  readonly countOrphans: (change: 1 | -1) => void;
}

/** Ends a stream with a status before there is a call. */
export function refuse(stream: Http2Stream, httpStatus: string, code: GrpcStatus, text: string): void {
  stream.sendTrailers(trailersOnly(httpStatus, code, text));
}

const statusFields = (code: GrpcStatus, text: string): string[] => ['grpc-status', String(code), 'grpc-message', encodeGrpcMessage(text.slice(0, MAX_TEXT_LENGTH)).slice(0, 2 * MAX_TEXT_LENGTH)];
const trailersOnly = (httpStatus: string, code: GrpcStatus, text: string): Buffer =>
  encodeHeaders([':status', httpStatus, 'content-type', 'application/grpc', ...statusFields(code, text)]);

export class Call implements CallContext, StreamCall<unknown, unknown>, StreamReceiver {
  readonly peer: Peer;
  requestBytes = 0;
  isCancelled = false;
  private readonly stream: Http2Stream;
  private readonly headers: HeaderList;
  private readonly handler: Handler;
  private readonly options: CallOptions;
  private deadline: NodeJS.Timeout | undefined;

  /** The message that is coming in: bytes 0 to `have` of `partial`, of `need`. */
  private partial: Buffer | undefined;
  private have = 0;
  private need = PREFIX_BYTES;

  private received: { readonly message: unknown; readonly sizeBytes: number }[] = [];
  private receivedBytes = 0;
  /** Of messages in `received`: not given back to the peer yet. */
  private heldBytes = 0;
  private peerHasEnded = false;
  private hasSentHeaders = false;
  /** The status is on its way, or the stream is gone. */
  private isOver = false;
  private isRunning = false;
  private controller: AbortController | undefined;
  private cancellation: GrpcError | undefined;
  private wakeReader: (() => void) | undefined;
  private wakeWriters: (() => void)[] = [];

  constructor(stream: Http2Stream, headers: HeaderList, handler: Handler, peer: Peer, options: CallOptions) {
    this.stream = stream;
    this.headers = headers;
    this.handler = handler;
    this.peer = peer;
    this.options = options;
  }

  get path(): string {
    return this.handler.method.path;
  }

  /** Headers are in; a bidirectional stream runs from now on. `timeoutMs`: Infinity for none. */
  start(timeoutMs: number): void {
    if (timeoutMs <= MAX_TIMER_MS) this.deadline = startTimer(onDeadline, coarse(timeoutMs), this);
    if (this.handler.kind === 'bidi') this.run(this.handler.handle(this));
  }

  metadata(name: string): string | undefined {
    for (let at = 0; at < this.headers.length; at += 2) if (this.headers[at] === name) return this.headers[at + 1];
    return undefined;
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.cancellation !== undefined && !this.controller.signal.aborted) this.controller.abort(this.cancellation);
    return this.controller.signal;
  }

  // Receiving

  onData(bytes: Buffer): void {
    let rest = bytes;
    while (rest.length > 0 && !this.isOver) {
      if (this.partial === undefined && rest.length >= PREFIX_BYTES) {
        // Most messages come in one piece and are not copied.
        const need = this.lengthOf(rest);
        if (need === undefined) return;
        if (rest.length >= need) {
          this.onMessage(rest.subarray(PREFIX_BYTES, need), need);
          rest = rest.subarray(need);
          continue;
        }
        this.need = need;
      }
      rest = this.collect(rest);
    }
  }

  /** Adds to the message that is coming in, and returns what is beyond it. */
  private collect(bytes: Buffer): Buffer {
    const { connection } = this.stream;
    const taken = Math.min(bytes.length, this.need - this.have);
    if (connection.heldBytes + taken > MAX_CONNECTION_BYTES) {
      this.finishWith(new GrpcError(grpcStatus.RESOURCE_EXHAUSTED, 'grpc: too many messages are coming in on the connection'));
      return EMPTY;
    }
    if (this.partial === undefined || this.partial.length < this.have + taken) {
      // Grows with what has arrived: what the prefix promises may never come.
      const grown = Buffer.allocUnsafeSlow(Math.min(this.need, Math.max(this.have + taken, 2 * this.have)));
      this.partial?.copy(grown, 0, 0, this.have);
      this.partial = grown;
    }
    bytes.copy(this.partial, this.have, 0, taken);
    this.have += taken;
    connection.heldBytes += taken;
    this.stream.giveBack(taken);
    if (this.have === this.need) this.onCollected(this.partial);
    return bytes.subarray(taken);
  }

  private onCollected(bytes: Buffer): void {
    if (this.need === PREFIX_BYTES) {
      const need = this.lengthOf(bytes);
      if (need === undefined) return;
      this.need = need;
      if (need > PREFIX_BYTES) return;
    }
    const { have } = this;
    this.dropPartial();
    this.onMessage(bytes.subarray(PREFIX_BYTES, have), 0);
  }

  private dropPartial(): void {
    this.stream.connection.heldBytes -= this.have;
    this.partial = undefined;
    this.have = 0;
    this.need = PREFIX_BYTES;
  }

  /** Of the message with its prefix; undefined when it is refused. */
  private lengthOf(bytes: Buffer): number | undefined {
    const flag = bytes[0] ?? 0;
    const length = bytes.readUInt32BE(1);
    if (flag > 1) return this.finishWith(new GrpcError(grpcStatus.INTERNAL, `grpc: received unexpected payload format ${flag}`));
    if (length > this.options.maxReceiveBytes) {
      return this.finishWith(new GrpcError(grpcStatus.RESOURCE_EXHAUSTED, `grpc: received message larger than max (${length} vs. ${this.options.maxReceiveBytes})`));
    }
    if (flag === 1) {
      // Calls that name an encoding do not come this far.
      return this.finishWith(new GrpcError(grpcStatus.INTERNAL, 'grpc: compressed flag set with identity or empty encoding'));
    }
    return PREFIX_BYTES + length;
  }

  /** `owed`: bytes of the stream's window that it takes up still. */
  private onMessage(bytes: Buffer, owed: number): void {
    const { handler } = this;
    if (handler.kind !== 'bidi' && this.received.length > 0) {
      return this.finishWith(new GrpcError(grpcStatus.INTERNAL, 'cardinality violation: received multiple request messages for non-client-streaming RPC'));
    }
    let message: unknown;
    try {
      message = handler.method.requestDeserialize(bytes);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return this.finishWith(new GrpcError(grpcStatus.INTERNAL, handler.kind === 'bidi' ? `grpc: failed to unmarshal the received message: ${reason}` : `grpc: error unmarshalling request: ${reason}`, { cause: error }));
    }
    this.received.push({ message, sizeBytes: bytes.length });
    if (handler.kind !== 'bidi') {
      this.stream.giveBack(owed);
      return;
    }
    this.receivedBytes += bytes.length + PREFIX_BYTES;
    if (this.receivedBytes <= QUEUE_BYTES) this.stream.giveBack(owed);
    else this.heldBytes += owed;
    this.wakeReader?.();
  }

  onEnd(): void {
    this.peerHasEnded = true;
    if (this.isOver) return;
    if (this.have > 0) return this.finishWith(new GrpcError(grpcStatus.INTERNAL, 'unexpected EOF'));
    const { handler } = this;
    if (handler.kind === 'bidi') return this.wakeReader?.();
    const [first] = this.received;
    if (first === undefined) return this.finishWith(new GrpcError(grpcStatus.INTERNAL, 'cardinality violation: received no request message from non-client-streaming RPC'));
    this.received = [];
    this.requestBytes = first.sizeBytes;
    if (handler.kind === 'serverStream') return this.run(handler.handle(first.message, this));
    this.runUnary(handler.handle, first.message);
  }

  get requests(): AsyncIterable<unknown> {
    return { [Symbol.asyncIterator]: () => this.readRequests() };
  }

  private async *readRequests(): AsyncGenerator<unknown, void> {
    for (;;) {
      if (this.cancellation !== undefined) throw this.cancellation;
      if (this.isOver) return;
      const next = this.received.shift();
      if (next !== undefined) {
        this.receivedBytes -= next.sizeBytes + PREFIX_BYTES;
        if (this.receivedBytes <= QUEUE_BYTES && this.heldBytes > 0) {
          this.stream.giveBack(this.heldBytes);
          this.heldBytes = 0;
        }
        this.requestBytes = next.sizeBytes;
        yield next.message;
      } else if (this.peerHasEnded) return;
      else await new Promise<void>((resolve) => { this.wakeReader = resolve; });
      this.wakeReader = undefined;
    }
  }

  // Running and answering

  private runUnary(handle: (request: unknown, call: CallContext) => unknown, request: unknown): void {
    this.isRunning = true;
    let result: unknown;
    try {
      result = handle(request, this);
    } catch (error) {
      return this.onFailed(error);
    }
    if (result instanceof Promise) result.then((response) => this.onAnswer(response), (error: unknown) => this.onFailed(error));
    else this.onAnswer(result);
  }

  private onAnswer(response: unknown): void {
    this.onReturned();
    if (this.isOver) return;
    let data: Buffer;
    try {
      data = framed(this.handler.method.responseSerialize(response));
    } catch (error) {
      return this.finishWith(this.options.onDefect(error, this.path));
    }
    this.finish();
    this.stream.sendWhole(HEADERS, data, OK_TRAILERS);
  }

  private run(running: Promise<void>): void {
    this.isRunning = true;
    running.then(() => {
      this.onReturned();
      if (this.isOver) return;
      this.finish();
      this.sendHeaders();
      this.stream.sendTrailers(OK_TRAILERS);
    }, (error: unknown) => this.onFailed(error));
  }

  private onFailed(error: unknown): void {
    this.onReturned();
    if (this.isOver) return;
    this.finishWith(error instanceof GrpcError ? error : this.options.onDefect(error, this.path));
  }

  private onReturned(): void {
    this.isRunning = false;
    if (this.isOver) this.options.countOrphans(-1);
  }

  sendHeaders(): void {
    if (this.hasSentHeaders) return;
    this.hasSentHeaders = true;
    this.stream.sendHeaders(HEADERS);
  }

  send(response: unknown): boolean {
    if (this.isOver) return true;
    this.sendHeaders();
    return this.stream.sendData(framed(this.handler.method.responseSerialize(response)));
  }

  async drained(): Promise<void> {
    if (this.isOver || !this.stream.wantsRoom) return;
    await new Promise<void>((resolve) => this.wakeWriters.push(resolve));
  }

  onRoom(): void {
    for (const wake of this.wakeWriters.splice(0)) wake();
  }

  // Ending

  onReset(): void {
    this.cancel(new GrpcError(grpcStatus.CANCELLED, 'context canceled'));
  }

  /** Ends the call with the status of an error; what was sent before stays sent. */
  private finishWith(error: GrpcError): undefined {
    if (this.isOver) return;
    if (this.isRunning) this.cancel(error);
    else this.finish();
    const { code, message } = error;
    this.stream.sendTrailers(this.hasSentHeaders ? encodeHeaders(statusFields(code, message)) : trailersOnly('200', code, message));
  }

  onDeadline(): void {
    this.finishWith(new GrpcError(grpcStatus.DEADLINE_EXCEEDED, 'context deadline exceeded'));
  }

  /** The handler goes on, but for nobody. */
  private cancel(reason: GrpcError): void {
    if (this.isOver) return;
    this.isCancelled = true;
    this.cancellation = reason;
    this.finish();
    if (this.isRunning) this.options.countOrphans(1);
    this.controller?.abort(reason);
  }

  private finish(): void {
    this.isOver = true;
    if (this.deadline !== undefined) stopTimer(this.deadline);
    this.dropPartial();
    this.received = [];
    this.onRoom();
    this.wakeReader?.();
  }
}

const EMPTY = Buffer.alloc(0);

const onDeadline = (call: Call): void => call.onDeadline();

/** Rounded up, so that timers of about the same length share a list. Who asked has a clock of its own for the exact moment. */
const coarse = (ms: number): number => Math.max(1, Math.ceil(ms <= 1000 ? ms / 10 : ms / 250) * (ms <= 1000 ? 10 : 250));

function framed(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** A stream that the peer opened in a way that is no call of gRPC. */
export const resetAsNoCall = (stream: Http2Stream): void => stream.reset(errorCode.PROTOCOL_ERROR);
