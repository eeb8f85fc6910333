// Storage on etcd v3: the transactions, ranges, leases and the watch that kube-apiserver uses.
// Source: apiserver pkg/storage/etcd3/{store,lease_manager,watcher}.go.
import type { Clock } from '#lib/environment/clock.ts';
import { connectToEtcd, prefixEnd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError, isCompacted, isFutureRevision, isLeaseNotFound, isUnavailable } from '#lib/etcd-api/errors.ts';
import type { KeyValue } from '#lib/etcd-api/messages.ts';
import type { EtcdWatch } from '#lib/etcd-api/watch.ts';
import {
  FutureRevisionError, RevisionCompactedError, StorageError, type Guard, type ListedItems, type Storage, type StoredItem, type WatchOptions, type WriteResult,
} from '../core/storage.ts';

/** Objects that expire share a lease until it holds so many. */
const LEASE_MAX_OBJECTS = 1000;

export interface EtcdStorageOptions {
  readonly endpoints: readonly string[];
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Objects that expire share a lease while it is this fresh. */
  readonly leaseReuseSeconds: number;
  readonly clock: Clock;
  /** Told how long each call took: operation as upstream's label of etcd_request_duration_seconds. */
  readonly onCall: (operation: string, type: string, durationMs: number, failed: boolean) => void;
}

export interface EtcdStorage extends Storage {
  readonly client: EtcdClient;
  /** Fails when etcd does not answer within `timeoutMs`. */
  checkHealth(timeoutMs: number): Promise<void>;
  close(): void;
}

interface SharedLease {
  readonly id: bigint;
  readonly reusableUntilMs: number;
  objects: number;
}

const asText = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8');

const toItem = (kv: KeyValue): StoredItem => ({ key: asText(kv.key), value: kv.value, modRevision: kv.modRevision });

function storageError(error: unknown): unknown {
  if (isCompacted(error)) return new RevisionCompactedError('mvcc: required revision has been compacted', { cause: error });
  if (isFutureRevision(error)) return new FutureRevisionError('mvcc: required revision is a future revision', { cause: error });
  if (!(error instanceof EtcdError)) return error;
  const isTimeout = error.code === 4;
  const text = error.details.startsWith('etcdserver: ') || isTimeout ? error.details : `rpc error: code = ${isUnavailable(error) ? 'Unavailable' : 'Unknown'} desc = ${error.details}`;
  return new StorageError(text, { isTimeout, cause: error });
}

/** The resource a key belongs to, for metrics. */
const resourceOf = (key: string): string => key.split('/')[2] ?? '';

export function openEtcdStorage({ endpoints, caFile, certFile, keyFile, leaseReuseSeconds, clock, onCall }: EtcdStorageOptions): EtcdStorage {
  const client = connectToEtcd({ endpoints, caFile, certFile, keyFile, clock });
  const leases = new Map<number, SharedLease>();
  const watches = new Set<EtcdWatch>();

  async function call<T>(operation: string, key: string, run: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    let failed = true;
    try {
      const result = await run();
      failed = false;
      return result;
    } catch (error) {
      throw storageError(error);
    } finally {
      onCall(operation, resourceOf(key), performance.now() - startMs, failed);
    }
  }

  /** A lease that ends no earlier than `seconds` from now. */
  async function leaseFor(seconds: number): Promise<bigint> {
    const nowMs = clock.nowMs();
    const known = leases.get(seconds);
    if (known && nowMs < known.reusableUntilMs && known.objects < LEASE_MAX_OBJECTS) {
      known.objects += 1;
      return known.id;
    }
    const reuseSeconds = Math.min(leaseReuseSeconds, Math.ceil(seconds * 0.05));
    const { ID: id } = await client.leaseGrant({ TTL: seconds + reuseSeconds });
    leases.set(seconds, { id, reusableUntilMs: nowMs + reuseSeconds * 1000, objects: 1 });
    return id;
  }

  async function put(key: string, value: Uint8Array, options: { expectedRevision: number; timeToLiveSeconds?: number | undefined; onFailureRead: boolean; guard?: Guard | undefined }): Promise<WriteResult> {
    const { guard } = options;
    const attempt = async (): Promise<WriteResult> => {
      const lease = options.timeToLiveSeconds === undefined ? undefined : await leaseFor(options.timeToLiveSeconds);
      const result = await client.txn({
        compare: [{ result: 'EQUAL', target: 'MOD', key, modRevision: options.expectedRevision }, ...(guard ? [{ result: 'EQUAL', target: 'MOD', key: guard.key, modRevision: guard.expectedRevision } as const] : [])],
        success: [{ requestPut: { key, value, ...(lease === undefined ? {} : { lease }) } }, ...(guard ? [{ requestPut: { key: guard.key, value: key } }] : [])],
        failure: [...(options.onFailureRead || guard ? [{ requestRange: { key } }] : []), ...(guard ? [{ requestRange: { key: guard.key } }] : [])],
      });
      const revision = result.header?.revision ?? 0;
      if (result.succeeded) return { succeeded: true, revision };
      const current = result.responses[0]?.responseRange?.kvs[0];
      if (guard && (current?.modRevision ?? 0) === options.expectedRevision) return { succeeded: false, revision, guardRevision: result.responses[1]?.responseRange?.kvs[0]?.modRevision ?? 0 };
      return { succeeded: false, revision, ...(current ? { current: toItem(current) } : {}) };
    };
    return call(options.onFailureRead ? 'update' : 'create', key, async () => {
      try {
        return await attempt();
      } catch (error) {
        if (!isLeaseNotFound(error) || options.timeToLiveSeconds === undefined) throw error;
        leases.delete(options.timeToLiveSeconds); // etcd has been put back to a state before the lease
        return attempt();
      }
    });
  }

  return {
    client,
    get: (key) => call('get', key, async () => {
      const { kvs, header } = await client.range({ key });
      return { ...(kvs[0] ? { item: toItem(kvs[0]) } : {}), revision: header?.revision ?? 0 };
    }),
    list: (prefix, { startKey = prefix, limit = 0, revision = 0, countOnly = false } = {}) => call('list', prefix, async (): Promise<ListedItems> => {
      const result = await client.range({ key: startKey, rangeEnd: prefixEnd(prefix), limit, revision, countOnly });
      return { items: result.kvs.map(toItem), revision: revision === 0 ? result.header?.revision ?? 0 : revision, more: result.more, count: result.count };
    }),
    create: (key, value, options = {}) => put(key, value, { expectedRevision: 0, timeToLiveSeconds: options.timeToLiveSeconds, onFailureRead: false, guard: options.guard }),
    createAll: (items) => call('create', items[0]?.key ?? '', async (): Promise<WriteResult> => {
      const result = await client.txn({
        compare: items.map(({ key }) => ({ result: 'EQUAL', target: 'MOD', key, modRevision: 0 })), success: items.map(({ key, value }) => ({ requestPut: { key, value } })), failure: [],
      });
      return { succeeded: result.succeeded, revision: result.header?.revision ?? 0 };
    }),
    update: (key, value, { expectedRevision, timeToLiveSeconds, guard }) => put(key, value, { expectedRevision, timeToLiveSeconds, onFailureRead: true, guard }),
    delete: (key, { expectedRevision }) => call('delete', key, async (): Promise<WriteResult> => {
      const result = await client.txn({
        compare: [{ result: 'EQUAL', target: 'MOD', key, modRevision: expectedRevision }],
        success: [{ requestDeleteRange: { key } }],
        failure: [{ requestRange: { key } }],
      });
      const revision = result.header?.revision ?? 0;
      if (result.succeeded) return { succeeded: true, revision };
      const current = result.responses[0]?.responseRange?.kvs[0];
      return { succeeded: false, revision, ...(current ? { current: toItem(current) } : {}) };
    }),
    async watch({ prefix, fromRevision, onEvents, signal }: WatchOptions) {
      const watch = client.watch({ key: prefix, rangeEnd: prefixEnd(prefix), startRevision: fromRevision, progressNotify: true, signal });
      watches.add(watch);
      let seen = fromRevision - 1;
      try {
        for await (const update of watch) {
          // It is created anew after every loss of the connection. etcd was put back to an older state meanwhile: revisions we know of will come again with other content.
          if (update.type === 'created' && update.revision < seen) throw new RevisionCompactedError(`storage is at revision ${update.revision}, before ${seen}`);
          seen = Math.max(seen, update.revision);
          if (update.type === 'progress') onEvents([], update.revision);
          else if (update.type === 'events') {
            onEvents(update.events.flatMap(({ type, kv }) => (kv
              ? [{ key: asText(kv.key), revision: kv.modRevision, ...(type === 'PUT' ? { value: kv.value } : {}) }] : [])), update.revision);
          }
        }
      } catch (error) {
        throw storageError(error);
      } finally {
        watches.delete(watch);
      }
    },
    requestProgress: () => watches.forEach((watch) => watch.requestProgress()),
    async checkHealth(timeoutMs) {
      await client.range({ key: '/registry/health' }, { timeoutMs });
    },
    close: () => client.close(),
  };
}
