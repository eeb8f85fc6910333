// Sweeps up, every 20 s, pods that nobody else will ever delete.
import { definePeriodic, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { isTerminal, podCondition } from '../../core/pod-state.ts';
import { planPodGc } from './plan.ts';

const PERIOD_MS = 20_000;
/** How long a node must have been missing; it may be about to register again. */
const QUARANTINE_MS = 40_000;

export function podGcController(terminatedPodThreshold: number): Controller {
  const missingSinceMs = new Map<string, number>();
  return definePeriodic({
    name: 'pod-garbage-collector-controller',
    serviceAccount: 'pod-garbage-collector',
    reads: [anyKind(podKind), anyKind(nodeKind)],
    periodMs: PERIOD_MS,
    async run(context) {
      const { cache, clock, log } = context;
      const plan = planPodGc(cache.list(podKind), (name) => cache.get(nodeKind, undefined, name), terminatedPodThreshold);
      for (const pod of [...plan.ended, ...plan.unscheduled]) await remove(pod, undefined, context);
      for (const pod of plan.outOfService) await remove(pod, { reason: 'DeletionByPodGC', message: 'PodGC: node out of service' }, context);
      const missing = new Set(plan.onUnknownNodes.map(({ spec }) => spec.nodeName ?? ''));
      for (const name of missingSinceMs.keys()) if (!missing.has(name)) missingSinceMs.delete(name);
      const nowMs = clock.nowMs();
      for (const name of missing) {
        const sinceMs = missingSinceMs.get(name) ?? nowMs;
        missingSinceMs.set(name, sinceMs);
        if (nowMs - sinceMs < QUARANTINE_MS || !(await isGone(name, context))) continue;
        log.info({ node: name }, 'deleting pods of a node that is gone');
        for (const pod of plan.onUnknownNodes.filter(({ spec }) => spec.nodeName === name)) await remove(pod, { reason: 'DeletionByPodGC', message: 'PodGC: node no longer exists' }, context);
      }
      return undefined;
    },
  });
}

/** A live look: the cache may lag behind a node that has just come back. */
async function isGone(name: string, { api }: ReconcileContext): Promise<boolean> {
  try {
    await api.getLive(nodeKind, undefined, name);
    return false;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}

/** Deletes at once, without asking a kubelet; a pod that has not ended is marked Failed first. */
async function remove(pod: Readonly<Pod>, disruption: { reason: string; message: string } | undefined, { api, clock }: ReconcileContext): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  try {
    if (!isTerminal(pod)) {
      const known = disruption && podCondition(pod, 'DisruptionTarget');
      const conditions = disruption && known?.status !== 'True' ? { conditions: [{ type: 'DisruptionTarget', status: 'True', ...disruption, lastTransitionTime: formatTime(clock.nowMs()) }] } : {};
      await api.patch(podKind, namespace, name, { metadata: { uid }, status: { phase: 'Failed', ...conditions } }, { type: 'strategic', subresource: 'status' });
    }
    await api.delete(podKind, pod, { gracePeriodSeconds: 0 });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
