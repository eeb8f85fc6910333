// gRPC service v3lockpb.Lock: a key of a name's prefix for each who wants the lock; whose is the oldest holds it.
// Source: etcd v3.6, server/etcdserver/api/v3lock and client/v3/concurrency/mutex.go.
import { prefixEnd } from '#lib/etcd-api/prefix.ts';
import { lockService } from '#lib/etcd-api/services.ts';
import { ConcurrencyError, heldKey, waitingService, type ConcurrencyOptions } from './concurrency.ts';
import type { GrpcService } from './grpc-server.ts';

export const newLockService = (options: ConcurrencyOptions): GrpcService => waitingService(lockService, {
  Lock: async ({ name, lease }, client) => {
    const prefix = Buffer.concat([name, Buffer.from('/')]);
    const id = await client.session(lease);
    const key = heldKey(prefix, id);
    const owner = { requestRange: { key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'ASCEND', limit: 1 } } as const;
    const { header, succeeded, responses: [own, first] } = await client.txn({
      compare: [{ target: 'CREATE', result: 'EQUAL', key, createRevision: 0 }],
      success: [{ requestPut: { key, lease: id } }, owner], failure: [{ requestRange: { key } }, owner],
    });
    const revision = succeeded ? header?.revision ?? 0 : own?.responseRange?.kvs[0]?.createRevision ?? 0;
    const oldest = first?.responseRange?.kvs[0];
    if (oldest === undefined || oldest.createRevision === revision) return { header, key };
    await client.untilDeleted(prefix, revision - 1).catch(async (error: unknown) => {
      await client.afterwards().delete(key);
      throw error;
    });
    const { kvs, header: newest } = await client.range({ key });
    if (kvs.length === 0) throw new ConcurrencyError('mutex: session is expired');
    return { header: newest, key };
  },
  Unlock: async ({ key }, client) => ({ header: await client.delete(key) }),
}, options);
