// Keys with leases that are kept alive for a while and then left alone, and locks made of them as etcd's clients make theirs.
import { randomBytes } from 'node:crypto';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { LeaseGrantResponse, RangeResponse, TxnResponse } from '#lib/etcd-api/messages.ts';
import { kvService, leaseService } from '#lib/etcd-api/services.ts';
import { integerBelow } from '#lib/environment/random.ts';
import { CALL_TIMEOUT_MS, pause, Roaming, type DriveContext } from './clients.ts';
import { prefixEnd } from '#lib/etcd-api/client.ts';
import type { LeaseRecord } from './history.ts';

export const LEASED = '/leased/';
export const LOCKS = '/locks/';
export const LOCKED = '/locked/value';

/** Above the least that etcd grants: half as much again as an election. Source: etcd, minLeaseTTL. */
const MIN_TTL_S = 2;
const PAUSE_MS = 100;
/** Between looks at who has the lock before oneself; milliseconds. */
const LOOK_EVERY_MS = 100;

class Session {
  readonly record: LeaseRecord;
  readonly id: bigint;
  private readonly context: DriveContext;
  private readonly roaming: Roaming;

  private constructor(context: DriveContext, roaming: Roaming, id: bigint, record: LeaseRecord) {
    this.context = context;
    this.roaming = roaming;
    this.id = id;
    this.record = record;
  }

  static async start(context: DriveContext, roaming: Roaming, key: (id: string) => string): Promise<Session> {
    const { history, nowMs, random } = context;
    const callMs = nowMs();
    const { ID, TTL } = await roaming.connection.call<object, LeaseGrantResponse>(leaseService.LeaseGrant, { TTL: MIN_TTL_S + integerBelow(random, 2), ID: randomBytes(8).readBigInt64BE() & (2n ** 63n - 1n) }, CALL_TIMEOUT_MS);
    const id = ID.toString(16);
    const record: LeaseRecord = { id, key: key(id), ttlMs: TTL * 1000, renewals: [{ callMs, returnMs: nowMs(), acknowledged: true }] };
    history.leases.push(record);
    history.count('lease grant');
    return new Session(context, roaming, ID, record);
  }

  /** From the newest request that was acknowledged on, the lease lives for its time to live. */
  get livesUntilMs(): number {
    const last = this.record.renewals.findLast(({ acknowledged }) => acknowledged);
    return (last?.callMs ?? 0) + this.record.ttlMs;
  }

  /** Renews the lease every third of its time to live; resolves when the signal aborts or the lease is gone. */
  async keepAlive(signal: AbortSignal): Promise<void> {
    const { history, nowMs } = this.context;
    for (;;) {
      await untilAborted(this.record.ttlMs / 3, signal);
      if (signal.aborted) return;
      const renewal = { callMs: nowMs(), returnMs: Infinity, acknowledged: false };
      this.record.renewals.push(renewal);
      try {
        const ttl = await this.roaming.connection.keepAlive(this.id, this.record.ttlMs / 2);
        renewal.returnMs = nowMs();
        renewal.acknowledged = ttl > 0;
        history.count(ttl > 0 ? 'lease keep-alive' : 'lease keep-alive, gone');
        if (ttl <= 0) return;
      } catch {
        history.count('lease keep-alive, without an answer');
        this.roaming.move();
      }
    }
  }

  async revoke(): Promise<void> {
    this.record.revokeCallMs = this.context.nowMs();
    await this.roaming.connection.call(leaseService.LeaseRevoke, { ID: this.id }, CALL_TIMEOUT_MS);
    this.context.history.count('lease revoke');
  }

  end(): void {
    this.record.endMs = this.context.nowMs();
  }
}

async function untilAborted(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Repeats `round` until the signal aborts; errors of etcd end a round and make the client look for another member. */
async function inRounds(context: DriveContext, what: string, round: (roaming: Roaming) => Promise<void>): Promise<void> {
  const roaming = new Roaming(context);
  while (!context.signal.aborted) {
    try {
      await round(roaming);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      context.history.count(`${what}, given up`);
      roaming.move();
    }
    await pause(PAUSE_MS);
  }
  roaming.close();
}

/** A key with a lease, which is renewed for a while, and then revoked or left to expire. */
export function runLeaseClient(context: DriveContext): Promise<void> {
  const { history, random } = context;
  return inRounds(context, 'lease', async (roaming) => {
    const session = await Session.start(context, roaming, (id) => `${LEASED}${id}`);
    const over = new AbortController();
    const alive = session.keepAlive(over.signal);
    try {
      const { header } = await roaming.connection.call(kvService.Put, { key: session.record.key, value: session.record.id, lease: session.id }, CALL_TIMEOUT_MS);
      session.record.attachedRevision = header?.revision ?? 0;
      await untilAborted(integerBelow(random, 6_000), context.signal);
    } finally {
      over.abort();
      await alive;
      session.end();
    }
    if (integerBelow(random, 4) === 0) await session.revoke();
    else history.count('lease left to expire');
  });
}

/** Source: etcd v3.6, client/v3/concurrency/mutex.go. */
export function runLockClient(context: DriveContext, client: string): Promise<void> {
  const { history, nowMs, random } = context;
  return inRounds(context, 'lock', async (roaming) => {
    const session = await Session.start(context, roaming, (id) => `${LOCKS}${id}`);
    const over = new AbortController();
    const alive = session.keepAlive(over.signal);
    const { key } = session.record;
    const call = (request: object): Promise<TxnResponse> => roaming.connection.call<object, TxnResponse>(kvService.Txn, request, CALL_TIMEOUT_MS);
    try {
      const { succeeded, responses, header } = await call({
        compare: [{ key, target: 'CREATE', result: 'EQUAL', createRevision: 0 }],
        success: [{ requestPut: { key, value: client, lease: session.id } }], failure: [{ requestRange: { key } }],
      });
      const fence = succeeded ? header?.revision ?? 0 : responses[0]?.responseRange?.kvs[0]?.createRevision ?? 0;
      session.record.attachedRevision = fence;
      if (!(await becomesFirst(context, roaming, fence, session))) return;
      // What is waited for may have taken longer than the lease: etcd's clients look once more.
      const { kvs } = await roaming.connection.call(kvService.Range, { key }, CALL_TIMEOUT_MS);
      if (kvs[0]?.createRevision !== fence) return;
      const fromMs = nowMs();
      for (let writes = integerBelow(random, 3); writes >= 0; writes -= 1) {
        const written = await call({ compare: [{ key, target: 'CREATE', result: 'EQUAL', createRevision: fence }], success: [{ requestPut: { key: LOCKED, value: String(fence) } }] });
        if (!written.succeeded) break;
        await pause(integerBelow(random, 60));
      }
      history.holds.push({ holder: client, fence, fromMs, untilMs: Math.min(nowMs(), session.livesUntilMs) });
      history.count('lock');
    } finally {
      over.abort();
      await alive;
      session.end();
    }
    // Sometimes the holder dies: the lock is free when the lease expires.
    if (integerBelow(random, 8) > 0) await session.revoke();
  });
}

async function becomesFirst({ signal }: DriveContext, roaming: Roaming, fence: number, session: Session): Promise<boolean> {
  while (!signal.aborted) {
    const before = await roaming.connection.call<object, RangeResponse>(kvService.Range, { key: LOCKS, rangeEnd: prefixEnd(LOCKS), limit: 1, sortOrder: 'ASCEND', sortTarget: 'CREATE' }, CALL_TIMEOUT_MS);
    const first = before.kvs[0]?.createRevision ?? 0;
    if (first === fence) return true;
    if (first > fence || first === 0 || session.record.renewals.at(-1)?.acknowledged === false) return false;
    await pause(LOOK_EVERY_MS);
  }
  return false;
}
