// Receives what another member sends: dials its stream, reads, and dials again when the connection is lost.
// Source: etcd v3.6, server/etcdserver/api/rafthttp/stream.go (streamReader).
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { PeerTraffic } from '../counts.ts';
import { decodeAppends, decodeMessages, StreamDecoder } from './codec.ts';
import { under, type PeerHttpClient } from './http-client.ts';
import { headersOf, hexId, type LocalIdentity } from './identity.ts';

export type StreamKind = 'message' | 'msgapp';

/** Source: etcd, ConnReadTimeout. The other side sends something at least three times as often. */
export const READ_TIMEOUT_MS = 5_000;
/** Source: etcd, Transport.DialRetryFrequency. */
const RETRY_MS = 100;
const MAX_REFUSAL_BYTES = 4096;

export interface StreamReaderOptions {
  readonly kind: StreamKind;
  readonly peerId: bigint;
  /** The next address to try. */
  readonly pickUrl: () => string;
  readonly local: LocalIdentity;
  readonly client: PeerHttpClient;
  readonly log: Logger;
  readonly onMessage: (message: RaftMessage) => void;
  readonly traffic: PeerTraffic;
  readonly onActive: () => void;
  readonly onInactive: (reason: string) => void;
  /** The other member says that this one was removed. */
  readonly onRemoved: () => void;
}

export class StreamReader {
  private readonly options: StreamReaderOptions;
  private request: ClientRequest | undefined;
  private retry: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(options: StreamReaderOptions) {
    this.options = options;
    this.dial();
  }

  private dial(): void {
    const { client, local, kind, peerId, pickUrl } = this.options;
    if (this.isStopped) return;
    const url = under(pickUrl(), `/raft/stream/${kind}/${hexId(local.memberId)}`);
    const request = client.open(url, { method: 'GET', headers: { ...headersOf(local), 'X-Raft-To': hexId(peerId) } });
    this.request = request;
    let isOver = false;
    const lost = (reason: string): void => {
      if (isOver) return;
      isOver = true;
      request.destroy();
      this.options.onInactive(reason);
      if (!this.isStopped) this.retry = setTimeout(() => this.dial(), RETRY_MS);
    };
    request.setTimeout(READ_TIMEOUT_MS, () => lost('i/o timeout'));
    request.on('error', (error) => lost(error.message));
    request.on('close', () => lost('EOF'));
    request.on('response', (response) => this.read(response, lost));
    request.end();
  }

  private read(response: IncomingMessage, lost: (reason: string) => void): void {
    const { kind, local, peerId, log, traffic, onActive, onMessage } = this.options;
    if (response.statusCode !== 200) return this.readRefusal(response, lost);
    onActive();
    log.info({ 'stream-reader-type': kind === 'msgapp' ? 'stream MsgApp v2' : 'stream Message', 'local-member-id': hexId(local.memberId), 'remote-peer-id': hexId(peerId) }, 'established TCP streaming connection with remote peer');
    const emit = (message: RaftMessage): void => {
      if (!this.isStopped) onMessage(message);
    };
    const decoder = new StreamDecoder(kind === 'message' ? decodeMessages(emit) : decodeAppends({ local: local.memberId, remote: peerId }, emit));
    response.on('data', (chunk: Buffer) => {
      traffic.receivedBytes += chunk.length;
      try {
        decoder.push(chunk);
      } catch (error) {
        lost(error instanceof Error ? error.message : String(error));
      }
    });
    response.on('error', (error) => lost(error.message));
    response.on('end', () => lost('EOF'));
  }

  private readRefusal(response: IncomingMessage, lost: (reason: string) => void): void {
    let text = '';
    response.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length > MAX_REFUSAL_BYTES) response.destroy();
    });
    response.on('error', (error) => lost(error.message));
    response.on('end', () => {
      lost(`status ${response.statusCode}: ${text.trim()}`);
      if (response.statusCode === 410) this.options.onRemoved();
    });
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.retry);
    this.request?.destroy();
  }
}
