// gRPC service v3electionpb.Election: candidates queue up with a key each; whose is the oldest leads.
// Source: etcd v3.6, server/etcdserver/api/v3election and client/v3/concurrency/election.go.
import type { KeyValue, ResponseHeader } from '#lib/etcd-api/messages.ts';
import { prefixEnd } from '#lib/etcd-api/prefix.ts';
import { electionService } from '#lib/etcd-api/services.ts';
import { ConcurrencyError, heldKey, watchingMethod, waitingService, type ConcurrencyOptions } from './concurrency.ts';
import type { GrpcService } from './grpc-server.ts';
import type { LocalClient } from './local-client.ts';

interface LeaderKey { readonly key: Buffer; readonly rev: number; readonly lease: bigint }

const prefixOf = (name: Buffer): Buffer => Buffer.concat([name, Buffer.from('/')]);

export function newElectionService(options: ConcurrencyOptions): GrpcService {
  const { Observe, ...methods } = electionService;
  return [
    ...waitingService(methods, {
      Campaign: async ({ name, lease, value }, client) => campaign(client, name, lease, value),
      Proclaim: async ({ leader, value }, client) => ({ header: await proclaim(client, given(leader), value) }),
      Leader: async ({ name }, client) => {
        const { header, kv } = await leaderOf(client, prefixOf(name));
        if (kv === undefined) throw new ConcurrencyError('election: no leader');
        return { header, kv };
      },
      Resign: async ({ leader }, client) => ({ header: await resign(client, given(leader)) }),
    }, options),
    watchingMethod(Observe, observe, options),
  ];
}

function given<L>(leader: L | undefined): L {
  if (leader === undefined) throw new ConcurrencyError('"leader" field must be provided');
  return leader;
}

async function campaign(client: LocalClient, name: Buffer, lease: bigint, value: Buffer) {
  const prefix = prefixOf(name);
  const id = await client.session(lease);
  const key = heldKey(prefix, id);
  const { header, succeeded, responses: [own] } = await client.txn({
    compare: [{ target: 'CREATE', result: 'EQUAL', key, createRevision: 0 }], success: [{ requestPut: { key, value, lease: id } }], failure: [{ requestRange: { key } }],
  });
  const known = own?.responseRange?.kvs[0];
  const leader = { name, key, rev: succeeded ? header?.revision ?? 0 : known?.createRevision ?? 0, lease: id };
  try {
    if (known !== undefined && !known.value.equals(value)) await proclaim(client, leader, value);
    await client.untilDeleted(prefix, leader.rev - 1);
  } catch (error) {
    await resign(client.afterwards(), leader);
    throw error;
  }
  return { header, leader };
}

async function proclaim(client: LocalClient, { key, rev, lease }: LeaderKey, value: Buffer): Promise<ResponseHeader | undefined> {
  const { header, succeeded } = await client.txn({
    compare: [{ target: 'CREATE', result: 'EQUAL', key, createRevision: rev }], success: [{ requestPut: { key, value, lease } }],
  });
  if (!succeeded) throw new ConcurrencyError('election: not leader');
  return header;
}

async function resign(client: LocalClient, { key, rev }: LeaderKey): Promise<ResponseHeader | undefined> {
  const { header } = await client.txn({ compare: [{ target: 'CREATE', result: 'EQUAL', key, createRevision: rev }], success: [{ requestDeleteRange: { key } }] });
  return header;
}

async function leaderOf(client: LocalClient, prefix: Buffer): Promise<{ header: ResponseHeader | undefined; kv: KeyValue | undefined }> {
  const { header, kvs: [kv] } = await client.range({ key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'ASCEND', limit: 1 });
  return { header, kv };
}

/** Whoever leads, one after the other, with each new value. */
async function* observe({ name }: { readonly name: Buffer }, client: LocalClient): AsyncGenerator<{ header: ResponseHeader | undefined; kv: KeyValue }> {
  const prefix = prefixOf(name);
  for (;;) {
    let { header, kv } = await leaderOf(client, prefix);
    if (kv === undefined) {
      for await (const change of client.changes({ key: prefix, rangeEnd: prefixEnd(prefix), startRevision: header?.revision ?? 0 })) {
        if (change.type === 'DELETE') continue;
        ({ header, kv } = change);
        break;
      }
    }
    if (kv === undefined) return;
    yield { header, kv };
    for await (const change of client.changes({ key: kv.key, startRevision: (header?.revision ?? 0) + 1 })) {
      if (change.type === 'DELETE') break;
      yield { header: change.header, kv: change.kv };
    }
  }
}
