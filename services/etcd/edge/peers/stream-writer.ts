// Sends to another member over the stream that it dialled. Source: etcd v3.6, server/etcdserver/api/rafthttp/stream.go (streamWriter).
import type { ServerResponse } from 'node:http';
import type { RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { StreamEncoder } from './codec.ts';
import { READ_TIMEOUT_MS } from './stream-reader.ts';

/** Source: etcd, ConnWriteTimeout. */
const WRITE_TIMEOUT_MS = 5_000;
/** What may wait to be sent; the member is probed when it is exceeded. Source: etcd has 4096 messages. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

export class StreamWriter {
  private readonly response: ServerResponse;
  private readonly encoder: StreamEncoder;
  private readonly beat: NodeJS.Timeout;
  private blockedSinceMs: number | undefined;
  private isCorked = false;
  private isOpen = true;

  constructor(response: ServerResponse, encoder: StreamEncoder, onClosed: (writer: StreamWriter) => void) {
    this.response = response;
    this.encoder = encoder;
    this.beat = setInterval(() => this.heartbeat(), READ_TIMEOUT_MS / 3);
    response.on('drain', () => { this.blockedSinceMs = undefined; });
    response.on('error', () => this.close());
    response.once('close', () => {
      this.close();
      onClosed(this);
    });
  }

  /** False when it is lost. */
  send(message: RaftMessage): boolean {
    if (!this.isOpen || this.response.writableLength > MAX_WAITING_BYTES) return false;
    this.write(this.encoder.encode(message));
    return true;
  }

  private heartbeat(): void {
    if (this.blockedSinceMs !== undefined && performance.now() - this.blockedSinceMs > WRITE_TIMEOUT_MS) this.close();
    else if (this.blockedSinceMs === undefined) this.write(this.encoder.heartbeat());
  }

  /** What is sent in one turn goes out together. */
  private write(bytes: Buffer): void {
    if (!this.isOpen) return;
    if (!this.isCorked) {
      this.isCorked = true;
      this.response.cork();
      process.nextTick(() => {
        this.isCorked = false;
        this.response.uncork();
      });
    }
    if (!this.response.write(bytes)) this.blockedSinceMs ??= performance.now();
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    clearInterval(this.beat);
    this.response.destroy();
  }
}
