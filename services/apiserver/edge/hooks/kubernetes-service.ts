// Keeps the service `kubernetes` and its endpoints: every running API server renews a lease in storage, and the endpoints
// name those whose lease is alive.
// Source: pkg/controlplane/controller/kubernetesservice, pkg/controlplane/reconcilers/lease.go.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { endpointsKind } from '#lib/kinds/core/endpoints.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { kubernetesEndpoints, kubernetesEndpointSlice, kubernetesService } from '../../core/bootstrap/objects.ts';
import type { Storage } from '../../core/storage.ts';
import { ensure, type EnsureServices } from './ensure.ts';
import type { Hook } from './bootstrap.ts';

const LEASES = '/registry/masterleases/';
/** Source: pkg/controlplane/instance.go, DefaultEndpointReconcilerInterval and TTL. */
const PERIOD_MS = 10_000;
const LEASE_SECONDS = 15;
const RETRY_MS = 100;
/** Longest time a stopping server spends on its farewell; its lease ends by itself soon after. */
const LEAVE_MS = 2_000;

export interface KubernetesServiceOptions extends EnsureServices {
  readonly storage: Storage;
  readonly advertiseAddress: string;
  readonly port: number;
  /** First address of the service range. */
  readonly clusterIP: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

async function renewLease(storage: Storage, key: string, nowMs: number): Promise<void> {
  const { item } = await storage.get(key);
  const value = new TextEncoder().encode(JSON.stringify({ kind: 'Endpoints', apiVersion: 'v1', metadata: { name: '', generation: nowMs }, subsets: [{ addresses: [{ ip: key.slice(LEASES.length) }] }] }));
  if (item) await storage.update(key, value, { expectedRevision: item.modRevision, timeToLiveSeconds: LEASE_SECONDS });
  else await storage.create(key, value, { timeToLiveSeconds: LEASE_SECONDS });
}

async function reconcile(options: KubernetesServiceOptions, isLeaving: boolean): Promise<void> {
  const { storage, advertiseAddress, port, clusterIP } = options;
  const key = LEASES + advertiseAddress;
  if (isLeaving) {
    const { item } = await storage.get(key);
    if (item) await storage.delete(key, { expectedRevision: item.modRevision });
  } else {
    await renewLease(storage, key, options.clock.nowMs());
    await ensure(options, serviceKind, kubernetesService(clusterIP, port));
  }
  const { items } = await storage.list(LEASES);
  const addresses = items.map((item) => item.key.slice(LEASES.length)).sort();
  if (addresses.length === 0) return; // the last one leaves its address behind, as upstream does
  const endpoints = kubernetesEndpoints(addresses, port);
  const slice = kubernetesEndpointSlice(addresses, port);
  await Promise.all([
    ensure(options, endpointsKind, endpoints, (existing) => (semanticEqual(existing.subsets, endpoints.subsets) ? undefined : { ...existing, subsets: endpoints.subsets })),
    ensure(options, endpointSliceKind, slice, (existing) =>
      (semanticEqual(existing.endpoints, slice.endpoints) && semanticEqual(existing.ports, slice.ports) ? undefined : { ...existing, endpoints: slice.endpoints, ports: slice.ports })),
  ]);
}

/** Runs until `signal` aborts; then takes this server off the endpoints. */
export async function runKubernetesService(options: KubernetesServiceOptions, hook: Hook): Promise<void> {
  const { clock, log, signal } = options;
  while (!signal.aborted) {
    let waitMs = PERIOD_MS;
    try {
      await reconcile(options, false);
      hook.isDone = true;
    } catch (error) {
      log.warn({ err: error }, 'cannot reconcile the kubernetes service');
      waitMs = hook.isDone ? PERIOD_MS : RETRY_MS;
    }
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
  const leaving = reconcile(options, true).catch((error: unknown) => log.warn({ err: error }, 'cannot take this server off the kubernetes service'));
  await Promise.race([leaving, clock.sleep(LEAVE_MS)]);
}
