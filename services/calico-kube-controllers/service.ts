// The node controller releases the blocks of nodes that were deleted; the load balancer controller gives Services of that
// type their addresses.
import { connectToApiserver } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { blockAffinityKind } from '#lib/kinds/calico/block-affinity.ts';
import { ipPoolKind } from '#lib/kinds/calico/ip-pool.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import type { Node, Service } from '#lib/kinds/types/core-v1.ts';
import type { BlockAffinity } from '#lib/kinds/types/calico-v1.ts';
import { isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import { loadInClusterConfig, loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { DemandLoop } from '#lib/service/demand-loop.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { readinessRoute } from '#lib/service/readiness-route.ts';
import { planAddresses } from './core/load-balancer.ts';
import { staleAffinities } from './core/stale-affinities.ts';
import type { calicoKubeControllersFlags } from './flags.ts';

/** Source: kube-controllers ReconcilerPeriod. Milliseconds. */
const RECONCILE_PERIOD_MS = 5 * 60_000;
const RETRY_MS = 2_000;
/** Below the 1 s that a probe waits. */
const READY_HOLD_MS = 800;

export async function startCalicoKubeControllers(
  flags: Flags<typeof calicoKubeControllersFlags>, variables: Readonly<Record<string, string | undefined>>, { clock, random, log }: Environment, signal: AbortSignal,
): Promise<void> {
  const access = flags.kubeconfig === '' ? await loadInClusterConfig(variables) : await loadKubeconfig(flags.kubeconfig);
  const api = connectToApiserver(access, 'calico-kube-controllers');
  const affinities = new Informer({ api, kind: blockAffinityKind, clock, random, log });
  const nodes = new Informer<Node>({
    api, kind: nodeKind, clock, random, log,
    transform: ({ metadata: { name, uid, resourceVersion } }) => ({ metadata: { name, uid, resourceVersion }, spec: {} }),
  });
  const pools = new Informer({ api, kind: ipPoolKind, clock, random, log });
  const services = new Informer<Service>({
    api, kind: serviceKind, clock, random, log,
    transform: ({ metadata: { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, annotations }, spec, status }) => ({
      metadata: { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, annotations },
      spec: { type: spec?.type, loadBalancerClass: spec?.loadBalancerClass, loadBalancerIP: spec?.loadBalancerIP }, status,
    }),
  });
  const hasSynced = (): boolean => affinities.hasSynced && nodes.hasSynced;
  const readiness = (): string | undefined => (hasSynced() ? undefined : 'not synced with the API server yet');

  /** A cache may be behind: the server is asked before something is taken away. */
  const isNodeGone = (node: string): Promise<boolean> =>
    api.get(nodeKind, undefined, node, { signal }).then(() => false, (error: unknown) => {
      if (isNotFound(error)) return true;
      throw error;
    });
  const release = async ({ metadata: { name, uid }, spec }: BlockAffinity): Promise<void> => {
    if (!spec || !(await isNodeGone(spec.node))) return;
    await api.delete(blockAffinityKind, undefined, name, { preconditions: { uid } }, { signal }).then(
      () => log.info({ node: spec.node, cidr: spec.cidr }, 'released the block of a node that is gone'),
      (error: unknown) => {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      });
  };
  const loop = new DemandLoop({
    work: async () => {
      if (!hasSynced()) return;
      for (const affinity of staleAffinities(affinities.list(), new Set(nodes.list().map(({ metadata }) => metadata.name)))) await release(affinity);
    },
    clock, minIntervalMs: 100, retryMs: RETRY_MS, periodMs: RECONCILE_PERIOD_MS,
    onError: (error) => log.warn({ err: error }, 'cannot release blocks'),
  });
  let waiting = '';
  const balancing = new DemandLoop({
    work: async () => {
      if (!pools.hasSynced || !services.hasSynced) return;
      const plan = planAddresses(services.list(), pools.list());
      for (const { namespace, name, address } of plan.assignments) {
        // In full, so that the list is replaced and not added to.
        const status = { loadBalancer: { ingress: address === undefined ? null : [{ ip: address, ipMode: 'VIP' }] } };
        const { resourceVersion } = services.get(namespace, name)?.metadata ?? {};
        await api.patch(serviceKind, namespace, name, { metadata: { resourceVersion }, status }, { subresource: 'status', signal }).then(
          () => log.info({ service: `${namespace}/${name}`, address }, address === undefined ? 'took the address of a load balancer back' : 'gave a load balancer its address'),
          (error: unknown) => {
            if (!isNotFound(error) && !isConflict(error)) throw error; // the watch brings what it became
          });
      }
      if (plan.waiting.join() !== waiting && plan.waiting.length > 0) log.warn({ services: plan.waiting }, 'load balancers without an address');
      waiting = plan.waiting.join();
    },
    clock, minIntervalMs: 50, retryMs: RETRY_MS, periodMs: RECONCILE_PERIOD_MS,
    onError: (error) => log.warn({ err: error }, 'cannot give load balancers addresses'),
  });
  const requestBalancing = (): void => balancing.request();
  for (const informer of [pools, services]) informer.addHandler({ added: requestBalancing, updated: requestBalancing, deleted: requestBalancing });
  nodes.addHandler({ deleted: () => loop.request() });
  affinities.addHandler({ added: () => loop.request() });

  await Promise.all([
    startHealthServer({
      host: flags.emulatorHealthAddress, port: flags.emulatorHealthPort, metrics: newMetrics(), signal,
      ready: [{ name: 'informer-sync', check: readiness }],
      routes: { '/readiness': readinessRoute({ check: readiness, holdMs: READY_HOLD_MS, ok: { code: 200, text: 'ok' } }) },
    }),
    Promise.all([affinities.synced(signal), nodes.synced(signal)]).then(() => loop.request(), () => undefined),
    Promise.all([pools.synced(signal), services.synced(signal)]).then(requestBalancing, () => undefined),
    affinities.run(signal), nodes.run(signal), pools.run(signal), services.run(signal), loop.run(signal), balancing.run(signal),
  ]);
  await api.close();
}
