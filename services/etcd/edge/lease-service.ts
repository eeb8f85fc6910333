// gRPC service Lease, and the loop that revokes what has expired.
import { randomBytes } from 'node:crypto';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { leaseService } from '#lib/etcd-api/services.ts';
import type { StreamCall } from '#lib/grpc/call.ts';
import type { Lessor } from '../core/lessor.ts';
import { newHeader } from '../core/store.ts';
import type { Requester } from '../core/auth/commands.ts';
import { inEtcdsWords, type Authenticator } from './authenticator.ts';
import { bidiMethod, callerOf, unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import type { LeaderLeases } from './leader-leases.ts';
import type { Member } from './member.ts';
import type { Quota } from './quota.ts';

export interface LeaseOptions extends CallContext {
  readonly member: Member;
  readonly lessor: Lessor;
  readonly leases: LeaderLeases;
  readonly quota: Quota;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
}

/** Source: etcd, lessor.runLoop. */
const EXPIRY_CHECK_MS = 500;

export function newLeaseService(options: LeaseOptions): GrpcService {
  const { member, lessor, leases, quota, authenticator, metrics } = options;
  const { LeaseKeepAlive, ...unaryMethods } = leaseService;
  return [...unaryService(unaryMethods, {
    LeaseGrant: async ({ ID, TTL }, _, caller) => {
      await quota.admitLease();
      const response = await member.propose({ type: 'leaseGrant', request: { ID: ID === 0n ? newLeaseId() : ID, TTL }, by: await authenticator.requireUser(caller) });
      metrics.countLease('granted');
      metrics.observeLeaseTtl(TTL);
      return response;
    },
    LeaseRevoke: async ({ ID }, _, caller) => {
      const response = await member.propose({ type: 'leaseRevoke', request: { ID }, by: await authenticator.requireUser(caller) });
      metrics.countLease('revoked');
      return response;
    },
    LeaseTimeToLive: async ({ ID, keys }, _, caller) => {
      await authenticator.requireUser(caller);
      return authenticator.read(caller, (by) => keys && member.store.guard.leaseKeys(by, ID), async () => {
        const found = await leases.timeToLive(ID, keys);
        return { header: member.header(), ...(found ?? { ID, TTL: -1, grantedTTL: 0, keys: [] }) };
      });
    },
    LeaseLeases: async (_, __, caller) => {
      await authenticator.requireUser(caller);
      const mayReadAll = (by: Requester): void => {
        for (const ID of member.store.leases.keys()) member.store.guard.leaseKeys(by, ID);
      };
      return authenticator.read(caller, mayReadAll, async () => {
        await member.linearizable();
        return { header: member.header(), leases: lessor.byExpiry().map((ID) => ({ ID })) };
      });
    },
  }, options), bidiMethod(LeaseKeepAlive, (call) => keepAlive(call, options), options)];
}

/** Positive, as etcd's own. */
export const newLeaseId = (): bigint => randomBytes(8).readBigUInt64BE() & 0x7fffffffffffffffn || 1n;

type KeepAliveCall = StreamCall<{ ID: bigint }, { header: ReturnType<typeof newHeader>; ID: bigint; TTL: number }>;

async function keepAlive(call: KeepAliveCall, { member, leases, authenticator }: LeaseOptions): Promise<void> {
  for await (const { ID } of call.requests) {
    const by = await authenticator.requireUser(callerOf(call));
    if (by !== undefined) inEtcdsWords(() => member.store.guard.leaseRevoke(by, ID)); // who may end it may let it go on
    const header = member.header(); // from before the renewal: a client must not see a revision that revoked the lease
    const TTL = await leases.renew(ID);
    if (!call.send({ header, ID, TTL: TTL ?? 0 })) await call.drained();
  }
}

/** Runs until the signal aborts. */
export async function revokeExpiredLeases({ member, lessor, leases, clock, log }: LeaseOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(EXPIRY_CHECK_MS, signal).catch(ignoreAbort(signal));
    if (signal.aborted) return;
    // A leader that was held up may not lead any more; what it knows of leases is old then.
    if (!lessor.isPrimary || (lessor.hasExpired(clock.nowMs()) && !(await member.isSurelyLeader().catch(falseWhenRefused)))) continue;
    const nowMs = clock.nowMs();
    const checkpoints = lessor.takeCheckpoints(nowMs);
    const commands = lessor.expired(nowMs).map((id) => leases.expire(id));
    if (checkpoints.length > 0) commands.push(member.propose({ type: 'leaseCheckpoint', request: { checkpoints } }).then(() => undefined));
    for (const outcome of await Promise.allSettled(commands)) {
      // Revoked by a client meanwhile, or stopping, or too busy: the next round looks again.
      if (outcome.status === 'rejected' && !(outcome.reason instanceof EtcdError)) throw outcome.reason;
      if (outcome.status === 'rejected') log.debug({ err: outcome.reason as EtcdError }, 'could not revoke an expired lease');
    }
  }
}

function falseWhenRefused(error: unknown): false {
  if (!(error instanceof EtcdError)) throw error;
  return false;
}

const ignoreAbort = (signal: AbortSignal) => (error: unknown): void => {
  if (!signal.aborted) throw error;
};
