// The way to all other members, and what they ask of this one over HTTP. Source: etcd v3.6, server/etcdserver/api/rafthttp.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { raftMessage, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { WireError } from '#lib/etcd-api/wire.ts';
import type { PeerTraffic } from '../counts.ts';
import { encodeRaftMessage, MAX_MESSAGE_BYTES } from './codec.ts';
import { PeerHttpClient, under, type PeerTls } from './http-client.ts';
import { header, headersOf, hexId, objectionTo, parseId, senderOf, type LocalIdentity } from './identity.ts';
import { Peer } from './peer.ts';
import type { StreamKind } from './stream-reader.ts';
import { ETCD_VERSION } from '../version.ts';

export interface TransportOptions {
  readonly local: LocalIdentity;
  readonly tls: PeerTls | undefined;
  readonly log: Logger;
  readonly isRemoved: (id: bigint) => boolean;
  readonly onMessage: (message: RaftMessage) => void;
  readonly onUnreachable: (id: bigint) => void;
  /** Keeps the state that follows the message, and then acts on it. */
  readonly onSnapshot: (message: RaftMessage, state: Readable) => Promise<void>;
  /** Others say that this member was removed from the cluster. */
  readonly onSelfRemoved: () => void;
}

/** A snapshot may take long, but not without any progress. */
const SNAPSHOT_TIMEOUT_MS = 30_000;
/** Only known from what they sent: members this one has not heard of yet. */
const MAX_REMOTES = 32;

export class Transport {
  readonly client: PeerHttpClient;
  private readonly options: TransportOptions;
  private readonly peers = new Map<bigint, Peer>();
  private readonly remotes = new Map<bigint, Peer>();
  private isStopped = false;

  constructor(options: TransportOptions) {
    this.options = options;
    this.client = new PeerHttpClient(options.tls);
  }

  private newPeer(id: bigint, urls: readonly string[], isMember: boolean): Peer {
    const { local, log, onMessage, onUnreachable, onSelfRemoved } = this.options;
    return new Peer(urls, isMember, {
      id, local, client: this.client, log, onUnreachable, onRemoved: onSelfRemoved,
      onMessage: (message) => {
        if (this.objectionToMessage(message) === undefined) onMessage(message);
      },
    });
  }

  addPeer(id: bigint, urls: readonly string[]): void {
    if (this.isStopped || id === this.options.local.memberId) return;
    this.remotes.get(id)?.stop();
    this.remotes.delete(id);
    const known = this.peers.get(id);
    if (known !== undefined) return known.update(urls);
    this.peers.set(id, this.newPeer(id, urls, true));
    this.options.log.info({ ...this.named, 'remote-peer-id': hexId(id), 'remote-peer-urls': urls }, 'added remote peer');
  }

  /** So that it can be answered before it is known as a member. */
  addRemote(id: bigint, urls: readonly string[]): void {
    if (this.isStopped || id === this.options.local.memberId || this.peers.has(id) || this.remotes.has(id) || this.remotes.size >= MAX_REMOTES) return;
    this.remotes.set(id, this.newPeer(id, urls, false));
  }

  removePeer(id: bigint): void {
    if (!this.peers.has(id)) return;
    this.peers.get(id)?.stop();
    this.peers.delete(id);
    this.options.log.info({ ...this.named, 'removed-remote-peer-id': hexId(id) }, 'removed remote peer');
  }

  /** Exactly these are the others. */
  setPeers(members: readonly { readonly id: bigint; readonly urls: readonly string[] }[]): void {
    for (const id of this.peers.keys()) if (!members.some((member) => member.id === id)) this.removePeer(id);
    for (const { id, urls } of members) this.addPeer(id, urls);
  }

  activeSince(id: bigint): number | undefined {
    return this.peers.get(id)?.activeSince;
  }

  /** By their ids. */
  get others(): readonly { readonly id: bigint; readonly isActive: boolean; readonly traffic: PeerTraffic }[] {
    return [...this.peers].map(([id, { activeSince, traffic }]) => ({ id, isActive: activeSince !== undefined, traffic }));
  }

  get activeCount(): number {
    return [...this.peers.values()].filter(({ activeSince }) => activeSince !== undefined).length;
  }

  send(messages: readonly RaftMessage[]): void {
    for (const message of messages) (this.peers.get(message.to) ?? this.remotes.get(message.to))?.send(message);
  }

  /** Rejects when it did not arrive. */
  async sendSnapshot(message: RaftMessage, state: { readonly stream: Readable; readonly sizeBytes: number }): Promise<void> {
    const peer = this.peers.get(message.to);
    if (peer === undefined) throw new Error('member not found');
    const bytes = encodeRaftMessage(message);
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(bytes.length));
    const response = await this.client.send(under(peer.pickUrl(), '/raft/snapshot'), {
      method: 'POST', headers: { ...headersOf(this.options.local), 'Content-Type': 'application/octet-stream' }, timeoutMs: SNAPSHOT_TIMEOUT_MS,
      body: { stream: withPrefix([length, bytes], state.stream), sizeBytes: length.length + bytes.length + state.sizeBytes },
    });
    peer.checkPosted(response);
  }

  /** For the log. */
  private get named(): { readonly 'local-member-id': string } {
    return { 'local-member-id': hexId(this.options.local.memberId) };
  }

  private objectionToMessage({ from, to }: RaftMessage): string | undefined {
    const { isRemoved, local, log } = this.options;
    if (isRemoved(from)) {
      log.warn({ ...this.named, 'removed-member-id': hexId(from) }, 'rejected Raft message from removed member');
      return 'cannot process message from removed member';
    }
    if (to !== local.memberId) {
      log.warn({ ...this.named, 'mismatch-member-id': hexId(to) }, 'rejected Raft message to mismatch member');
      return 'cannot process message to mismatch member';
    }
    return undefined;
  }

  // What others ask.

  /** False when the path is not Raft's. */
  serve(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    if (path === '/raft') this.answer(request, response, 'POST', () => this.takeMessage(request, response));
    else if (path === '/raft/snapshot') this.answer(request, response, 'POST', () => this.takeSnapshot(request, response));
    else if (path.startsWith('/raft/stream/')) this.answer(request, response, 'GET', () => Promise.resolve(this.openStream(request, response, path)));
    else if (path === '/raft/probing') response.writeHead(200, { 'content-type': 'application/json' }).end(`{"OK":true,"Now":${JSON.stringify(new Date().toISOString())}}\n`);
    else return false;
    return true;
  }

  private answer(request: IncomingMessage, response: ServerResponse, method: string, run: () => Promise<void>): void {
    const { local, log } = this.options;
    if (request.method !== method) {
      response.setHeader('Allow', method);
      return refuse(response, 405, 'Method Not Allowed');
    }
    response.setHeader('X-Etcd-Cluster-ID', hexId(local.clusterId));
    response.setHeader('X-Server-Version', ETCD_VERSION);
    const objection = objectionTo(request.headers, local.clusterId);
    if (objection !== undefined) {
      log.warn({ ...this.named, 'local-member-cluster-id': hexId(local.clusterId), 'local-member-server-version': ETCD_VERSION, 'remote-peer-server-name': header(request.headers, 'X-Server-From'), 'remote-peer-server-version': header(request.headers, 'X-Server-Version'), 'remote-peer-cluster-id': header(request.headers, 'X-Etcd-Cluster-ID'), error: objection }, objection === 'cluster ID mismatch' ? 'request cluster ID mismatch' : 'failed version compatibility check');
      return refuse(response, 412, objection);
    }
    const sender = senderOf(request.headers);
    if (sender !== undefined && !this.options.isRemoved(sender.id)) this.addRemote(sender.id, sender.urls);
    run().catch((error: unknown) => {
      const isBad = error instanceof WireError || error instanceof BadRequest;
      log.warn({ ...this.named, 'remote-peer-id': header(request.headers, 'X-Server-From'), err: error }, 'failed to process Raft message');
      if (!response.headersSent) refuse(response, isBad ? 400 : 500, isBad ? 'error unmarshalling raft message' : `failed to process raft message (${error instanceof Error ? error.message : String(error)})`);
      request.destroy();
    });
  }

  private async takeMessage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const message = raftMessage.decode(await readBody(request));
    const objection = this.objectionToMessage(message);
    if (objection !== undefined) return refuse(response, 403, objection);
    this.options.onMessage(message);
    response.writeHead(204).end();
  }

  private async takeSnapshot(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.setTimeout(SNAPSHOT_TIMEOUT_MS, () => request.destroy(new Error('the sender of a snapshot fell silent')));
    const length = Number((await readExactly(request, 8)).readBigUInt64BE());
    if (length > MAX_MESSAGE_BYTES) throw new BadRequest('rafthttp: error limit exceeded');
    const message = raftMessage.decode(Buffer.from(await readExactly(request, length)));
    if (message.type !== 'MsgSnap') return refuse(response, 400, 'wrong raft message type');
    const objection = this.objectionToMessage(message);
    if (objection !== undefined) return refuse(response, 403, objection);
    await this.options.onSnapshot(message, request);
    response.writeHead(204).end();
  }

  private openStream(request: IncomingMessage, response: ServerResponse, path: string): void {
    const { isRemoved, local } = this.options;
    const [, kind, from] = /^\/raft\/stream\/(message|msgapp)\/([0-9a-f]+)$/i.exec(path) ?? [];
    const id = parseId(from);
    if (kind === undefined || id === undefined) return refuse(response, 404, 'invalid path');
    if (isRemoved(id)) return refuse(response, 410, 'removed member');
    const peer = this.peers.get(id);
    if (peer === undefined) return refuse(response, 404, 'error sender not found');
    if (header(request.headers, 'X-Raft-To') !== hexId(local.memberId)) return refuse(response, 412, 'to field mismatch');
    response.writeHead(200, { 'transfer-encoding': 'chunked' }); // what follows is StreamWriter's business
    response.flushHeaders();
    peer.attach(kind as StreamKind, response);
  }

  stop(): void {
    this.isStopped = true;
    for (const peer of [...this.peers.values(), ...this.remotes.values()]) peer.stop();
    this.client.close();
  }
}

class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

/** As Go's http.Error. */
export function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }).end(`${text}\n`);
}

export async function readBody(request: IncomingMessage, maxBytes = MAX_MESSAGE_BYTES): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if ((size += chunk.length) > maxBytes) throw new BadRequest('request body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function readExactly(source: Readable, count: number): Promise<Buffer> {
  if (count === 0) return Buffer.alloc(0);
  const parts: Buffer[] = [];
  for (let missing = count; missing > 0;) {
    const part = source.read(Math.min(missing, Math.max(source.readableLength, 1))) as Buffer | null;
    if (part !== null) {
      parts.push(part);
      missing -= part.length;
    } else if (source.readableEnded || source.destroyed) throw new BadRequest('unexpected end of message');
    else await Promise.race([once(source, 'readable'), once(source, 'end'), once(source, 'close')]);
  }
  return Buffer.concat(parts);
}

async function* chunksOf(prefix: readonly Buffer[], stream: Readable): AsyncGenerator<Buffer> {
  yield* prefix;
  yield* stream as AsyncIterable<Buffer>;
}

const withPrefix = (prefix: readonly Buffer[], stream: Readable): Readable => Readable.from(chunksOf(prefix, stream), { objectMode: false });
