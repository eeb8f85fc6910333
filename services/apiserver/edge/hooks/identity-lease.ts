// The Lease by which a running API server shows itself. Source: pkg/controlplane/apiserver/server.go.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import type { Lease } from '#lib/kinds/types/coordination-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { formatMicroTime } from '#lib/machinery/time.ts';
import { ensure, type EnsureServices } from './ensure.ts';

const RENEW_MS = 10_000;
const RETRY_MS = 200;
const DURATION_SECONDS = 3_600;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** `apiserver-` and 26 letters of a hash of the host name. */
export function identityOf(host: string): string {
  const digest = createHash('sha256').update(host).digest().subarray(0, 16);
  let bits = '';
  for (const byte of digest) bits += byte.toString(2).padStart(8, '0');
  return `apiserver-${(bits.match(/.{1,5}/g) ?? []).map((five) => BASE32[parseInt(five.padEnd(5, '0'), 2)]).join('')}`;
}

export interface IdentityLeaseOptions extends EnsureServices {
  readonly host: string;
  readonly uid: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export async function runIdentityLease(options: IdentityLeaseOptions): Promise<void> {
  const { host, uid, clock, log, signal } = options;
  const name = identityOf(host);
  const labels = { 'apiserver.kubernetes.io/identity': 'kube-apiserver', 'kubernetes.io/hostname': host };
  while (!signal.aborted) {
    const spec: Lease['spec'] = { holderIdentity: `${name}_${uid}`, leaseDurationSeconds: DURATION_SECONDS, renewTime: formatMicroTime(clock.nowMs()) };
    const lease: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace: 'kube-system', name, labels }, spec };
    let waitMs = RENEW_MS;
    await ensure(options, leaseKind, lease, (existing) => ({ ...existing, spec })).catch((error: unknown) => {
      if (isNotFound(error)) waitMs = RETRY_MS; // its namespace is being made
      else log.warn({ err: error }, 'cannot renew the identity lease');
    });
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}
