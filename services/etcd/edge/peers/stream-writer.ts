// Sends to another member over the stream that it dialled. Source: etcd v3.6, server/etcdserver/api/rafthttp/stream.go (streamWriter).
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { PeerTraffic } from '../counts.ts';
import type { StreamEncoder } from './codec.ts';
import { READ_TIMEOUT_MS } from './stream-reader.ts';

/** Source: etcd, ConnWriteTimeout. */
const WRITE_TIMEOUT_MS = 5_000;
/** What may wait to be sent; the member is probed when it is exceeded. Source: etcd has 4096 messages. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

/** What the encoding of HTTP puts around a piece of the answer. Source: RFC 9112, 7.1. */
const LINE_END = Buffer.from('\r\n');

export class StreamWriter {
  private readonly response: ServerResponse;
  /** Written to without a detour: through `response` each message would take three buffers and twice the time. */
  private readonly socket: Socket;
  private readonly encoder: StreamEncoder;
  private readonly traffic: PeerTraffic;
  private readonly beat: NodeJS.Timeout;
  private readonly onDrain = (): void => { this.blockedSinceMs = undefined; };
  private blockedSinceMs: number | undefined;
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private isOpen = true;

  /** The headers of `response` have been sent. */
  constructor(response: ServerResponse, socket: Socket, encoder: StreamEncoder, traffic: PeerTraffic, onClosed: (writer: StreamWriter) => void) {
    this.response = response;
    this.socket = socket;
    this.encoder = encoder;
    this.traffic = traffic;
    this.beat = setInterval(() => this.heartbeat(), READ_TIMEOUT_MS / 3);
    socket.on('drain', this.onDrain);
    response.on('error', () => this.close());
    response.once('close', () => {
      this.close();
      onClosed(this);
    });
  }

  /** False when it is lost. */
  send(message: RaftMessage): boolean {
    if (!this.isOpen || this.waitingBytes + this.socket.writableLength > MAX_WAITING_BYTES) return false;
    this.write(this.encoder.encode(message));
    return true;
  }

  private heartbeat(): void {
    if (this.blockedSinceMs !== undefined && performance.now() - this.blockedSinceMs > WRITE_TIMEOUT_MS) this.close();
    else if (this.blockedSinceMs === undefined) this.write([this.encoder.heartbeat()]);
  }

  /** What is sent in one turn goes out together. */
  private write(pieces: readonly Buffer[]): void {
    if (!this.isOpen) return;
    if (this.waiting.length === 0) process.nextTick(flushWriter, this);
    for (const bytes of pieces) {
      this.waiting.push(bytes);
      this.waitingBytes += bytes.length;
    }
  }

  flush(): void {
    const { waiting, waitingBytes, socket } = this;
    this.waiting = [];
    this.waitingBytes = 0;
    if (!this.isOpen || socket.destroyed) return;
    this.traffic.sentBytes += waitingBytes;
    const chunk = Buffer.concat([Buffer.from(`${waitingBytes.toString(16)}\r\n`, 'latin1'), ...waiting, LINE_END]);
    if (!socket.write(chunk)) this.blockedSinceMs ??= performance.now();
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    clearInterval(this.beat);
    this.socket.off('drain', this.onDrain);
    this.response.destroy();
  }
}

const flushWriter = (writer: StreamWriter): void => writer.flush();
