// Pods that nobody else will ever delete. Source: pkg/controller/podgc/gc_controller.go.
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { OUT_OF_SERVICE } from '../../core/taints.ts';
import { createdMs, isReady, isTerminal, isTerminating } from '../../core/pod-state.ts';

export interface PodGcPlan {
  /** Ended pods beyond the threshold, oldest first. */
  readonly ended: readonly Readonly<Pod>[];
  /** Being deleted, and never on a node whose kubelet could finish it. */
  readonly unscheduled: readonly Readonly<Pod>[];
  /** Being deleted on a node that an administrator declared out of service. */
  readonly outOfService: readonly Readonly<Pod>[];
  /** On nodes that the cache does not know: to be checked live after a while. */
  readonly onUnknownNodes: readonly Readonly<Pod>[];
}

export function planPodGc(pods: readonly Readonly<Pod>[], nodeOf: (name: string) => Readonly<Node> | undefined, threshold: number): PodGcPlan {
  const ended = pods.filter((pod) => isTerminal(pod) && !isTerminating(pod));
  const excess = threshold > 0 ? ended.length - threshold : 0;
  const oldestFirst = excess > 0 ? [...ended].sort((a, b) => createdMs(a) - createdMs(b) || (a.metadata.name < b.metadata.name ? -1 : 1)) : [];
  const plan = { ended: oldestFirst.slice(0, Math.max(0, excess)), unscheduled: [] as Readonly<Pod>[], outOfService: [] as Readonly<Pod>[], onUnknownNodes: [] as Readonly<Pod>[] };
  for (const pod of pods) {
    const { nodeName } = pod.spec;
    if (!nodeName) {
      if (isTerminating(pod)) plan.unscheduled.push(pod);
      continue;
    }
    const node = nodeOf(nodeName);
    if (!node) plan.onUnknownNodes.push(pod);
    else if (isTerminating(pod) && isOutOfService(node)) plan.outOfService.push(pod);
  }
  return plan;
}

function isOutOfService(node: Readonly<Node>): boolean {
  const isNodeReady = isReady({ metadata: { name: '' }, spec: { containers: [] }, status: { conditions: node.status?.conditions ?? [] } });
  return !isNodeReady && (node.spec?.taints ?? []).some(({ key }) => key === OUT_OF_SERVICE);
}
