// gRPC service Lease, and the loop that revokes what has expired.
import { randomBytes } from 'node:crypto';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { leaseService } from '#lib/etcd-api/services.ts';
import type { StreamCall } from '#lib/grpc/call.ts';
import type { Lessor } from '../core/lessor.ts';
import { bytesOf } from '../core/key-range.ts';
import { newHeader } from '../core/store.ts';
import type { Authenticator } from './authenticator.ts';
import { bidiMethod, unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import type { Member } from './member.ts';
import type { Quota } from './quota.ts';

export interface LeaseOptions extends CallContext {
  readonly member: Member;
  readonly lessor: Lessor;
  readonly quota: Quota;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
}

/** Source: etcd, lessor.runLoop. */
const EXPIRY_CHECK_MS = 500;

export function newLeaseService(options: LeaseOptions): GrpcService {
  const { member, lessor, quota, authenticator, clock, metrics } = options;
  const { LeaseKeepAlive, ...unaryMethods } = leaseService;
  return [...unaryService(unaryMethods, {
    LeaseGrant: async ({ ID, TTL }, _, caller) => {
      await quota.admitLease();
      const response = await member.propose({ type: 'leaseGrant', request: { ID: ID === 0n ? newLeaseId() : ID, TTL }, by: await authenticator.identify(caller) });
      lessor.start(response.ID, clock.nowMs());
      metrics.countLease('granted');
      return response;
    },
    LeaseRevoke: async ({ ID }, _, caller) => {
      const response = await member.propose({ type: 'leaseRevoke', request: { ID }, by: await authenticator.identify(caller) });
      metrics.countLease('revoked');
      return response;
    },
    LeaseTimeToLive: async ({ ID, keys }, _, caller) => authenticator.read(caller, (by) => keys && member.store.guard.leaseKeys(by, ID), async () => {
      await member.settled();
      const lease = member.store.leases.get(ID);
      const remainingMs = lessor.remainingMs(ID, clock.nowMs());
      const header = member.header();
      if (lease === undefined || remainingMs === undefined || remainingMs <= 0) return { header, ID, TTL: -1, grantedTTL: 0, keys: [] };
      return { header, ID, TTL: Math.floor(remainingMs / 1000), grantedTTL: lease.grantedTtl, keys: keys ? [...lease.keys].sort().map(bytesOf) : [] };
    }),
    LeaseLeases: async () => {
      await member.settled();
      return { header: member.header(), leases: lessor.byExpiry().map((ID) => ({ ID })) };
    },
  }, options), bidiMethod(LeaseKeepAlive, (call) => keepAlive(call, options), options)];
}

/** Positive, as etcd's own. */
const newLeaseId = (): bigint => randomBytes(8).readBigUInt64BE() & 0x7fffffffffffffffn || 1n;

type KeepAliveCall = StreamCall<{ ID: bigint }, { header: ReturnType<typeof newHeader>; ID: bigint; TTL: number }>;

async function keepAlive(call: KeepAliveCall, { member, lessor, clock, metrics }: LeaseOptions): Promise<void> {
  for await (const { ID } of call.requests) {
    const header = member.header(); // from before the renewal: a client must not see a revision that revoked the lease
    const TTL = lessor.renew(ID, clock.nowMs());
    if (TTL !== undefined) {
      metrics.countLease('renewed');
      if (lessor.hasCheckpoint(ID)) await member.propose({ type: 'leaseCheckpoint', request: { checkpoints: [{ ID, remainingTTL: 0 }] } });
    }
    if (!call.send({ header, ID, TTL: TTL ?? 0 })) await call.drained();
  }
}

/** Runs until the signal aborts. */
export async function revokeExpiredLeases({ member, lessor, clock, metrics, log }: LeaseOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(EXPIRY_CHECK_MS, signal).catch(ignoreAbort(signal));
    if (signal.aborted) return;
    const nowMs = clock.nowMs();
    const checkpoints = lessor.takeCheckpoints(nowMs);
    const commands = lessor.expired(nowMs).map(async (ID) => {
      await member.propose({ type: 'leaseRevoke', request: { ID }, by: member.store.auth.root() });
      metrics.countLease('expired');
    });
    if (checkpoints.length > 0) commands.push(member.propose({ type: 'leaseCheckpoint', request: { checkpoints } }).then(() => undefined));
    for (const outcome of await Promise.allSettled(commands)) {
      // Revoked by a client meanwhile, or stopping, or too busy: the next round looks again.
      if (outcome.status === 'rejected' && !(outcome.reason instanceof EtcdError)) throw outcome.reason;
      if (outcome.status === 'rejected') log.debug({ err: outcome.reason as EtcdError }, 'could not revoke an expired lease');
    }
  }
}

const ignoreAbort = (signal: AbortSignal) => (error: unknown): void => {
  if (!signal.aborted) throw error;
};
