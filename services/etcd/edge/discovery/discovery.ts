// How members that do not know each other's addresses become a cluster: each writes its own into another etcd, and waits for the others'.
// Source: etcd v3.6, server/etcdserver/api/v3discovery.
import type { Logger } from 'pino';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectToEtcd, prefixEnd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { KeyValue } from '#lib/etcd-api/messages.ts';
import type { WatchUpdate } from '#lib/etcd-api/watch.ts';
import { hexId } from '../peers/identity.ts';

export interface DiscoveryOptions {
  readonly endpoints: readonly string[];
  readonly token: string;
  readonly requestTimeoutMs: number;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly insecureSkipTlsVerify: boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Default: a client of that endpoint. */
  readonly connect?: (endpoint: string) => EtcdClient;
  /** Default: the timer. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError';
}

const REGISTRY = '/_etcd/registry';
/** After so many failures the pauses grow no longer. Source: etcd, maxExponentialRetries. */
const MAX_DOUBLINGS = 8;

/** Resolves with `name=url` of all members, like --initial-cluster has them. Rejects with DiscoveryError, or with the reason of the signal. */
export async function joinByDiscovery(self: { readonly id: bigint; readonly peers: readonly string[] }, options: DiscoveryOptions): Promise<readonly string[]> {
  const discovery = new Discovery(options);
  try {
    return await discovery.join(hexId(self.id), self.peers.join());
  } finally {
    discovery.close();
  }
}

class Discovery {
  private readonly options: DiscoveryOptions;
  private readonly prefix: string;
  private readonly log: Logger;
  private clients: readonly EtcdClient[];
  private retries = 0;

  constructor(options: DiscoveryOptions) {
    const { endpoints, token, caFile, certFile, keyFile, insecureSkipTlsVerify, requestTimeoutMs, log } = options;
    this.options = options;
    this.prefix = `${REGISTRY}/${token}/members/`;
    this.log = log.child({ 'discovery-token': token, 'discovery-endpoints': endpoints.join() });
    const connect = options.connect ?? ((endpoint: string) => connectToEtcd({ endpoints: [endpoint], caFile, certFile, keyFile, insecureSkipTlsVerify, timeoutMs: requestTimeoutMs }));
    this.clients = endpoints.map(connect);
  }

  close(): void {
    for (const client of this.clients) client.close();
  }

  private get client(): EtcdClient {
    return this.clients[this.retries % this.clients.length] as EtcdClient;
  }

  async join(id: string, peers: string): Promise<readonly string[]> {
    await this.look(id);
    const key = this.prefix + id;
    await this.retrying('register member itself', () => this.client.put({ key, value: peers }));
    this.log.info({ memberKey: key, memberInfo: peers }, 'register member itself successfully');
    const { size, members, revision } = await this.look(id);
    if (members.size < size) await this.waitFor(size, members, revision);
    const all = [...members.values()].sort((a, b) => a.createRevision - b.createRevision).slice(0, size).map(({ value }) => Buffer.from(value).toString().trim());
    this.log.info({ cluster: all.join() }, 'discovery joined cluster successfully');
    return all.flatMap((member) => member.split(','));
  }

  /** Throws DiscoveryError when there is no room for this member. */
  private async look(id: string): Promise<{ size: number; members: Map<string, KeyValue>; revision: number }> {
    const { size, found, revision } = await this.retrying('cluster status check', async () => {
      const { kvs: [config] } = await this.client.range({ key: `${REGISTRY}/${this.options.token}/_config/size` });
      if (config === undefined) throw new DiscoveryError('discovery: size key not found');
      const text = Buffer.from(config.value).toString();
      if (!/^\+?\d+$/.test(text) || Number(text) <= 0) throw new DiscoveryError('discovery: size key is bad');
      const { kvs, header } = await this.client.range({ key: this.prefix, rangeEnd: prefixEnd(this.prefix) });
      return { size: Number(text), found: kvs, revision: header?.revision ?? 0 };
    });
    const members = new Map<string, KeyValue>();
    for (const member of found) this.add(member, members);
    const before = [...members].sort(([, a], [, b]) => a.createRevision - b.createRevision).findIndex(([key]) => key === this.prefix + id);
    if (before < 0 ? members.size >= size : before >= size) throw new DiscoveryError('discovery: cluster is full');
    return { size, members, revision };
  }

  private add(member: KeyValue, members: Map<string, KeyValue>): void {
    const key = Buffer.from(member.key).toString().trim();
    const value = Buffer.from(member.value).toString().trim();
    const problem = !value.includes('=') ? 'invalid peer info returned from discovery service' : members.has(key) ? 'found duplicate peer from discovery service' : undefined;
    if (problem !== undefined) return this.log.warn({ memberKey: key, memberInfo: value }, problem);
    members.set(key, member);
    this.log.info({ memberKey: key, memberInfo: value }, 'found peer from discovery service');
  }

  private async waitFor(size: number, members: Map<string, KeyValue>, revision: number): Promise<void> {
    this.log.info({ clusterSize: size, 'found-peers': members.size }, 'waiting for peers from discovery service');
    const enough = new AbortController();
    const signal = AbortSignal.any([enough.signal, this.options.signal]);
    const watch: AsyncIterable<WatchUpdate> = this.client.watch({ key: this.prefix, rangeEnd: prefixEnd(this.prefix), startRevision: revision + 1, signal });
    for await (const update of watch) {
      if (update.type === 'events') for (const { type, kv } of update.events) if (type === 'PUT' && kv !== undefined) this.add(kv, members);
      if (members.size >= size) break;
    }
    enough.abort();
    this.options.signal.throwIfAborted();
    this.log.info({ clusterSize: size, 'found-peers': members.size }, 'found all needed peers from discovery service');
  }

  private async retrying<T>(step: string, attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        this.retries += 1;
        const backoffMs = 1000 * 2 ** Math.min(this.retries, MAX_DOUBLINGS);
        this.log.warn({ err: error, reason: step, backoff: `${backoffMs / 1000}s` }, 'retry connecting to discovery service');
        await (this.options.pause ?? ((ms: number) => sleep(ms, undefined, { signal: this.options.signal })))(backoffMs);
        this.options.signal.throwIfAborted();
      }
    }
  }
}
