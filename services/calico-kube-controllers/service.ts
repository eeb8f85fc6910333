// The node controller: releases the blocks of nodes that were deleted.
import { connectToApiserver } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { blockAffinityKind } from '#lib/kinds/calico/block-affinity.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import type { Node } from '#lib/kinds/types/core-v1.ts';
import type { BlockAffinity } from '#lib/kinds/types/calico-v1.ts';
import { isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import { loadInClusterConfig, loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { DemandLoop } from '#lib/service/demand-loop.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { readinessRoute } from '#lib/service/readiness-route.ts';
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
  nodes.addHandler({ deleted: () => loop.request() });
  affinities.addHandler({ added: () => loop.request() });

  await Promise.all([
    startHealthServer({
      host: flags.emulatorHealthAddress, port: flags.emulatorHealthPort, metrics: newMetrics(), signal,
      ready: [{ name: 'informer-sync', check: readiness }],
      routes: { '/readiness': readinessRoute({ check: readiness, holdMs: READY_HOLD_MS, ok: { code: 200, text: 'ok' } }) },
    }),
    Promise.all([affinities.synced(signal), nodes.synced(signal)]).then(() => loop.request(), () => undefined),
    affinities.run(signal), nodes.run(signal), loop.run(signal),
  ]);
  await api.close();
}
