import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { EtcdError, etcdError } from '#lib/etcd-api/errors.ts';
import type { EtcdClient } from '#lib/etcd-api/client.ts';
import type { KeyValue } from '#lib/etcd-api/messages.ts';
import type { WatchOptions, WatchUpdate } from '#lib/etcd-api/watch.ts';
import { DiscoveryError, joinByDiscovery, type DiscoveryOptions } from './discovery.ts';

const log = pino({ level: 'silent' });

/** As much of an etcd as discovery needs; the first `failures` requests fail. */
class Registry {
  readonly kvs = new Map<string, KeyValue>();
  private revision = 1;
  private readonly watchers = new Set<() => void>();
  failures = 0;
  closed = 0;

  put(key: string, value: string): void {
    this.revision += 1;
    const createRevision = this.kvs.get(key)?.createRevision ?? this.revision;
    this.kvs.set(key, { key: Buffer.from(key), value: Buffer.from(value), createRevision, modRevision: this.revision, version: 1, lease: 0n });
    for (const wake of this.watchers) wake();
  }

  readonly client = (): EtcdClient => ({
    range: async ({ key, rangeEnd }: { key: string; rangeEnd?: Uint8Array }) => {
      this.mayFail();
      const kvs = [...this.kvs].filter(([name]) => (rangeEnd === undefined ? name === key : name.startsWith(key))).map(([, kv]) => kv);
      return { header: { revision: this.revision }, kvs };
    },
    put: async ({ key, value }: { key: string; value: string }) => {
      this.mayFail();
      this.put(key, value);
      return {};
    },
    watch: (options: WatchOptions) => this.watch(options),
    close: () => { this.closed += 1; },
  } as unknown as EtcdClient);

  private async *watch({ key, startRevision = 0, signal }: WatchOptions): AsyncGenerator<WatchUpdate> {
    let next = startRevision;
    while (!signal?.aborted) {
      const events = [...this.kvs].filter(([name, { modRevision }]) => name.startsWith(String(key)) && modRevision >= next).map(([, kv]) => ({ type: 'PUT' as const, kv, prevKv: undefined }));
      next = this.revision + 1;
      if (events.length > 0) yield { type: 'events', events, revision: this.revision };
      else await new Promise<void>((resolve) => {
        this.watchers.add(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  private mayFail(): void {
    if (this.failures-- > 0) throw etcdError('Timeout');
  }
}

const optionsOf = (registry: Registry, rest: Partial<DiscoveryOptions> = {}): DiscoveryOptions => ({
  endpoints: ['http://a:2379', 'http://b:2379'], token: 't', requestTimeoutMs: 1000, caFile: '', certFile: '', keyFile: '', insecureSkipTlsVerify: false, log, signal: new AbortController().signal, connect: registry.client, ...rest,
});
const member = (id: bigint): { id: bigint; peers: string[] } => ({ id, peers: [`m${id}=http://m${id}:2380`] });

test('members wait for one another and all get the same cluster', async () => {
  const registry = new Registry();
  registry.put('/_etcd/registry/t/_config/size', '3');
  const joined = await Promise.all([3n, 1n, 2n].map((id) => joinByDiscovery(member(id), optionsOf(registry))));
  assert.deepEqual(joined[0], ['m3=http://m3:2380', 'm1=http://m1:2380', 'm2=http://m2:2380']);
  assert.deepEqual(joined[1], joined[0]);
  assert.deepEqual(joined[2], joined[0]);
  assert.equal(registry.closed, 6);
});

test('a cluster that is full takes nobody, but those who are in it already', async () => {
  const registry = new Registry();
  registry.put('/_etcd/registry/t/_config/size', '1');
  assert.deepEqual(await joinByDiscovery(member(1n), optionsOf(registry)), ['m1=http://m1:2380']);
  await assert.rejects(joinByDiscovery(member(2n), optionsOf(registry)), /^DiscoveryError: discovery: cluster is full$/);
  assert.deepEqual(await joinByDiscovery(member(1n), optionsOf(registry)), ['m1=http://m1:2380']);
});

test('a size that is missing or wrong is refused', async () => {
  const registry = new Registry();
  await assert.rejects(joinByDiscovery(member(1n), optionsOf(registry)), /discovery: size key not found/);
  for (const size of ['0', 'x', '-1', '']) {
    registry.put('/_etcd/registry/t/_config/size', size);
    await assert.rejects(joinByDiscovery(member(1n), optionsOf(registry)), (error) => error instanceof DiscoveryError && error.message === 'discovery: size key is bad');
  }
});

test('what fails is tried again, after pauses that grow to four minutes', async () => {
  const registry = new Registry();
  registry.put('/_etcd/registry/t/_config/size', '1');
  registry.failures = 10;
  const pauses: number[] = [];
  await joinByDiscovery(member(1n), optionsOf(registry, { pause: async (ms) => void pauses.push(ms / 1000) }));
  assert.deepEqual(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
  assert.ok(etcdError('Timeout') instanceof EtcdError);
});

test('waiting ends with the process', async () => {
  const registry = new Registry();
  registry.put('/_etcd/registry/t/_config/size', '2');
  const stopping = new AbortController();
  const joining = joinByDiscovery(member(1n), optionsOf(registry, { signal: stopping.signal }));
  stopping.abort(new Error('stopped'));
  await assert.rejects(joining, /stopped/);
});
