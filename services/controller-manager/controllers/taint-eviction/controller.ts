// Deletes pods from nodes with NoExecute taints that they do not tolerate, or no longer tolerate.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { PODS_BY_NODE, podsByNodeIndex } from '../node-lifecycle/controller.ts';
import { planEviction } from './plan.ts';

export function taintEvictionController(): Controller {
  /** When the toleration of a pod began to run, by pod uid. Memory only: a new process gives the full time again, as upstream's does. */
  const runningSinceMs = new Map<string, number>();
  return defineController({
    name: 'taint-eviction-controller',
    serviceAccount: 'node-controller',
    queueName: 'noexec_taint_pod',
    reconciles: podKind,
    isRelevantUpdate: (next, previous) => next.spec.nodeName !== previous.spec.nodeName || !semanticEqual(next.spec.tolerations, previous.spec.tolerations) || next.metadata.deletionTimestamp !== previous.metadata.deletionTimestamp,
    alsoWatches: [mapped(nodeKind, ({ metadata }, cache) => cache.byIndex(podKind, PODS_BY_NODE, metadata.name).map(keyOf), { isRelevantUpdate: (next, previous) => !semanticEqual(next.spec?.taints, previous.spec?.taints) })],
    indexes: [podsByNodeIndex],
    workers: 8,
    async reconcile({ namespace, name }, context) {
      const { cache, clock, events } = context;
      const pod = cache.get(podKind, namespace, name);
      if (!pod || pod.metadata.deletionTimestamp !== undefined || !pod.spec.nodeName) {
        if (pod?.metadata.uid !== undefined) runningSinceMs.delete(pod.metadata.uid);
        else forgetGone(runningSinceMs, context);
        return done;
      }
      const uid = pod.metadata.uid ?? '';
      const plan = planEviction(pod, cache.get(nodeKind, undefined, pod.spec.nodeName));
      switch (plan.type) {
        case 'stay':
          if (runningSinceMs.delete(uid)) events.event(referenceTo(pod), 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${namespace}/${name}`);
          return done;
        case 'evict-now':
          await evict(pod, context);
          runningSinceMs.delete(uid);
          return done;
        case 'evict-after': {
          const sinceMs = runningSinceMs.get(uid) ?? clock.nowMs();
          runningSinceMs.set(uid, sinceMs);
          const leftMs = sinceMs + plan.durationMs - clock.nowMs();
          if (leftMs > 0) return retryAfterMs(leftMs);
          await evict(pod, context);
          runningSinceMs.delete(uid);
          return done;
        }
      }
    },
  });
}

/** The key no longer tells the uid: drop those that no pod has. */
function forgetGone(runningSinceMs: Map<string, number>, { cache }: ReconcileContext): void {
  if (runningSinceMs.size === 0) return;
  const present = new Set(cache.list(podKind).map(({ metadata }) => metadata.uid ?? ''));
  for (const uid of runningSinceMs.keys()) if (!present.has(uid)) runningSinceMs.delete(uid);
}

async function evict(pod: Readonly<Pod>, { api, events, clock }: ReconcileContext): Promise<void> {
  const { namespace = '', name, uid } = pod.metadata;
  events.event(referenceTo(pod), 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${namespace}/${name}`);
  const condition = { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint', lastTransitionTime: formatTime(clock.nowMs()) };
  try {
    if (!pod.status?.conditions?.some(({ type, status }) => type === 'DisruptionTarget' && status === 'True')) {
      await api.patch(podKind, namespace, name, { metadata: { uid }, status: { conditions: [condition] } }, { type: 'strategic', subresource: 'status' });
    }
    await api.delete(podKind, pod);
  } catch (error) {
    if (!isNotFound(error)) throw error; // gone already
  }
}
