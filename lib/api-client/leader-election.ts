// One active instance among several, by a Lease that its holder renews. Source: client-go tools/leaderelection.
import { trace, type Attributes } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { steadily, type Clock } from '#lib/environment/clock.ts';
import { jitterMs, type Random } from '#lib/environment/random.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import type { Lease, LeaseSpec } from '#lib/kinds/types/coordination-v1.ts';
import { isConflict, isAlreadyExists, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { FailureStreak } from '#lib/tracing/failure-streak.ts';
import { noteSpan } from '#lib/tracing/in-span.ts';
import { TransportError, type ApiClient } from './client.ts';

export interface LeaderElectionOptions {
  readonly api: ApiClient;
  readonly namespace: string;
  readonly name: string;
  /** Unique to this process, e.g. `m-k8s_UUID`. */
  readonly identity: string;
  /** Time a lease holds without renewal; milliseconds. Default 15 s. */
  readonly leaseDurationMs: number;
  /** Time after which a holder that cannot renew gives up; below leaseDurationMs. Default 10 s. */
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost';
}

const SCOPE = 'k8s.io/client-go/leaderelection';
const tracer = trace.getTracer(SCOPE);

const micro = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

/**
 * Waits for the lease, then runs `lead` with a signal that aborts when leadership or the process ends. Throws
 * LeadershipLost when the lease could not be renewed in time: the process should end, as upstream's do.
 * The lease is released on an orderly stop, so that a successor need not wait.
 */
export async function runAsLeader(options: LeaderElectionOptions, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const { clock, random, log, signal, retryPeriodMs, renewDeadlineMs, identity } = options;
  const attributes = leaseAttributes(options);
  const observed: Observed = { lease: undefined, spec: undefined, atMs: 0, failures: new FailureStreak(SCOPE, 'acquire or renew leader lease', attributes) };
  log.info({ lease: `${options.namespace}/${options.name}` }, 'attempting to acquire leader lease');
  while (!(await tryAcquireOrRenew(options, observed))) {
    if (signal.aborted) return;
    await clock.sleep(jitterMs(random, retryPeriodMs, 1.2), signal).catch(() => undefined);
    if (signal.aborted) return;
  }
  log.info({ identity }, 'became leader');
  noteSpan(tracer, 'became leader', { attributes });
  const lost = new AbortController();
  const leading = AbortSignal.any([signal, lost.signal]);
  const work = lead(leading);
  const renewal = (async () => {
    const steady = steadily(clock);
    let renewedMs = steady.nowMs();
    while (!leading.aborted) {
      await clock.sleep(retryPeriodMs, leading).catch(() => undefined);
      if (leading.aborted) return;
      if (await tryAcquireOrRenew(options, observed)) renewedMs = steady.nowMs();
      else if (observed.spec?.holderIdentity !== identity || steady.nowMs() - renewedMs > renewDeadlineMs) {
        noteSpan(tracer, 'leader election lost', { attributes }, `held by ${observed.spec?.holderIdentity ?? 'nobody'}`);
        lost.abort(new LeadershipLost('leader election lost'));
      }
    }
  })();
  await Promise.all([work, renewal]).finally(() => lost.abort(new Error('stopped leading')));
  if (lost.signal.reason instanceof LeadershipLost) throw lost.signal.reason;
  await release(options);
}

const leaseAttributes = ({ namespace, name, identity }: LeaderElectionOptions): Attributes => ({
  [attribute.resource]: 'coordination.k8s.io/leases', [attribute.namespace]: namespace, [attribute.objectName]: name, [attribute.what]: identity,
});

interface Observed {
  /** As this process wrote or read it last. */
  lease: Lease | undefined;
  spec: LeaseSpec | undefined;
  /** When `spec` was first seen, by this process's clock: clocks of other hosts are not trusted. */
  atMs: number;
  readonly failures: FailureStreak;
}

async function tryAcquireOrRenew(options: LeaderElectionOptions, observed: Observed): Promise<boolean> {
  const { api, namespace, name, identity, leaseDurationMs, clock, log } = options;
  const nowMs = steadily(clock).nowMs();
  const mine = (previous: LeaseSpec | undefined): LeaseSpec => ({
    holderIdentity: identity,
    leaseDurationSeconds: Math.round(leaseDurationMs / 1000),
    renewTime: micro(clock.nowMs()),
    acquireTime: previous?.holderIdentity === identity ? previous.acquireTime : micro(clock.nowMs()),
    leaseTransitions: (previous?.leaseTransitions ?? 0) + (previous && previous.holderIdentity !== identity ? 1 : 0),
  });
  const request = { signal: AbortSignal.timeout(options.renewDeadlineMs) };
  const { lease: known } = observed;
  if (known && known.spec.holderIdentity === identity && observed.atMs + leaseDurationMs > nowMs) {
    // While it is ours nobody else writes it: no need to read it first.
    try {
      observe(observed, await api.update(leaseKind, { ...known, spec: { ...known.spec, ...mine(known.spec) } }, request), nowMs);
      return true;
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      log.debug({ err: error, lease: `${namespace}/${name}` }, 'cannot renew leader lease at once, reading it first');
    }
  }
  try {
    let lease: Lease;
    try {
      lease = await api.get(leaseKind, namespace, name, request);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const created = await api.create(leaseKind, { metadata: { name, namespace }, spec: mine(undefined) }, request);
      observe(observed, created, nowMs);
      return true;
    }
    observe(observed, lease, nowMs);
    const holder = lease.spec.holderIdentity ?? '';
    if (holder !== '' && holder !== identity && observed.atMs + leaseDurationMs > nowMs) return false;
    const updated = await api.update(leaseKind, { ...lease, spec: { ...lease.spec, ...mine(lease.spec) } }, request);
    observe(observed, updated, nowMs);
    return true;
  } catch (error) {
    if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
    if (!isConflict(error) && !isAlreadyExists(error)) {
      log.warn({ err: error, lease: `${namespace}/${name}` }, 'cannot acquire or renew leader lease');
      observed.failures.failed(error);
    }
    return false;
  }
}

function observe(observed: Observed, lease: Lease, nowMs: number): void {
  const { spec } = lease;
  observed.failures.worked();
  observed.lease = lease;
  if (observed.spec?.holderIdentity === spec.holderIdentity && observed.spec?.renewTime === spec.renewTime) return;
  observed.spec = spec;
  observed.atMs = nowMs;
}

async function release({ api, namespace, name, identity, clock, log }: LeaderElectionOptions): Promise<void> {
  const request = { signal: AbortSignal.timeout(2_000) };
  try {
    const lease = await api.get(leaseKind, namespace, name, request);
    if (lease.spec.holderIdentity !== identity) return;
    const now = micro(clock.nowMs());
    await api.update(leaseKind, { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now } }, request);
  } catch (error) {
    log.warn({ err: error, lease: `${namespace}/${name}` }, 'cannot release leader lease; a successor has to wait for its end');
  }
}
