// One other member: the streams to and from it, and requests where there is no stream. Source: etcd v3.6,
// server/etcdserver/api/rafthttp/{peer,pipeline,peer_status}.go.
import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { PeerTraffic } from '../counts.ts';
import { appendEncoder, encodeRaftMessage, messageEncoder } from './codec.ts';
import { under, type PeerHttpClient, type PeerResponse } from './http-client.ts';
import { headersOf, hexId, type LocalIdentity } from './identity.ts';
import { StreamReader, type StreamKind } from './stream-reader.ts';
import { StreamWriter } from './stream-writer.ts';

export interface PeerOptions {
  readonly id: bigint;
  readonly local: LocalIdentity;
  readonly client: PeerHttpClient;
  readonly log: Logger;
  readonly onMessage: (message: RaftMessage) => void;
  readonly onUnreachable: (id: bigint) => void;
  readonly onRemoved: () => void;
}

/** Source: etcd, connPerPipeline and pipelineBufSize. */
const MAX_POSTS = 4;
const MAX_WAITING_POSTS = 64;
const POST_TIMEOUT_MS = 5_000;

export class Peer {
  readonly traffic: PeerTraffic = { sentBytes: 0, receivedBytes: 0, failures: 0 };
  private readonly options: PeerOptions;
  private urls: readonly string[];
  private picked = 0;
  private readonly writers = new Map<StreamKind, StreamWriter>();
  private readers: readonly StreamReader[] = [];
  private waiting: RaftMessage[] = [];
  private posts = 0;
  private activeSinceMs: number | undefined;
  private isStopped = false;

  /** `isMember`: false for one that is only known from what it sent; it gets answers, but no stream is dialled. */
  constructor(urls: readonly string[], isMember: boolean, options: PeerOptions) {
    this.options = options;
    this.urls = urls;
    if (isMember) this.readers = (['msgapp', 'message'] as const).map((kind) => this.reader(kind));
  }

  private reader(kind: StreamKind): StreamReader {
    const { traffic, options: { id, local, client, log, onMessage, onRemoved } } = this;
    return new StreamReader({
      kind, peerId: id, local, client, log, traffic, onMessage, onRemoved, pickUrl: () => this.pickUrl(),
      onActive: () => this.activate(), onInactive: (reason) => this.deactivate(`stream ${kind}: ${reason}`),
    });
  }

  /** Milliseconds of performance.now(); undefined while it cannot be reached. */
  get activeSince(): number | undefined {
    return this.activeSinceMs;
  }

  update(urls: readonly string[]): void {
    this.urls = urls;
    this.picked = 0;
  }

  pickUrl(): string {
    return this.urls[this.picked % this.urls.length] ?? '';
  }

  private activate(): void {
    if (this.activeSinceMs !== undefined || this.isStopped) return;
    this.activeSinceMs = performance.now();
    this.options.log.info({ 'peer-id': hexId(this.options.id) }, 'peer became active');
  }

  private deactivate(reason: string): void {
    this.picked += 1;
    if (this.isStopped) return;
    const wasActive = this.activeSinceMs !== undefined;
    this.activeSinceMs = undefined;
    if (wasActive) this.options.log.warn({ 'peer-id': hexId(this.options.id), error: reason }, 'peer became inactive (message send to peer failed)');
    else this.options.log.debug({ 'peer-id': hexId(this.options.id), error: reason }, 'peer deactivated again');
  }

  attach(kind: StreamKind, response: ServerResponse): void {
    this.writers.get(kind)?.close();
    const { socket } = response;
    if (socket === null) return; // the peer is gone already, and dials again
    const writer = new StreamWriter(response, socket, kind === 'message' ? messageEncoder() : appendEncoder(), this.traffic, (closed) => {
      if (this.writers.get(kind) !== closed) return;
      this.writers.delete(kind);
      if (this.isStopped) return;
      this.options.onUnreachable(this.options.id); // what it had not sent is lost
    });
    this.writers.set(kind, writer);
    this.activate();
  }

  /** May be lost; a loss that is noticed is told. */
  send(message: RaftMessage): void {
    const writer = (message.type === 'MsgApp' ? this.writers.get('msgapp') : undefined) ?? this.writers.get('message');
    if (writer === undefined) return this.post(message);
    if (writer.send(message)) return;
    this.traffic.failures += 1;
    this.options.onUnreachable(this.options.id);
  }

  private post(message: RaftMessage): void {
    if (this.posts >= MAX_POSTS) {
      if (this.waiting.length < MAX_WAITING_POSTS) this.waiting.push(message);
      else this.options.onUnreachable(this.options.id);
      return;
    }
    this.posts += 1;
    void this.postNow(message).finally(() => {
      this.posts -= 1;
      const next = this.waiting.shift();
      if (next !== undefined && !this.isStopped) this.post(next);
    });
  }

  private async postNow(message: RaftMessage): Promise<void> {
    const { client, local, id, onUnreachable } = this.options;
    try {
      const response = await client.send(under(this.pickUrl(), '/raft'), {
        method: 'POST', headers: { ...headersOf(local), 'Content-Type': 'application/protobuf' }, body: encodeRaftMessage(message), timeoutMs: POST_TIMEOUT_MS,
      });
      this.checkPosted(response);
      this.activate();
    } catch (error) {
      this.traffic.failures += 1;
      this.waiting = []; // they would only wait for the same
      this.deactivate(`pipeline: ${error instanceof Error ? error.message : String(error)}`);
      onUnreachable(id);
    }
  }

  /** Throws when it was not taken. */
  checkPosted({ status, body }: PeerResponse): void {
    if (status === 204) return;
    const text = body.toString('latin1').trim();
    if (status === 403 && text.includes('removed member')) this.options.onRemoved();
    throw new Error(`unexpected http status ${status}: ${text}`);
  }

  stop(): void {
    this.isStopped = true;
    this.waiting = [];
    for (const reader of this.readers) reader.stop();
    for (const writer of this.writers.values()) writer.close();
  }
}
