// Which nodes a DaemonSet's pods belong on, which pods to create and delete, and how an update proceeds.
// Source: pkg/controller/daemon/daemon_controller.go, update.go and util/daemonset_util.go.
import type { DaemonSet, DaemonSetStatus } from '#lib/kinds/types/apps-v1.ts';
import type { Node, NodeSelectorTerm, Pod, PodSpec, Toleration } from '#lib/kinds/types/core-v1.ts';
import { resolveIntOrPercent } from '#lib/machinery/int-or-percent.ts';
import { podAllowsNode } from '#lib/machinery/selectors.ts';
import { createdMs, isAvailable, isReady, isTerminating } from '../../core/pod-state.ts';
import { DISK_PRESSURE, isTolerated, MEMORY_PRESSURE, NETWORK_UNAVAILABLE, NOT_READY, PID_PRESSURE, UNREACHABLE, UNSCHEDULABLE } from '../../core/taints.ts';

export const HASH_LABEL = 'controller-revision-hash';
export const GENERATION_LABEL = 'pod-template-generation';
export const GENERATION_ANNOTATION = 'deprecated.daemonset.template.generation';

/** Daemons stay where others are driven out. */
export function daemonTolerations(spec: Readonly<PodSpec>): Toleration[] {
  const added: Toleration[] = [
    { key: NOT_READY, operator: 'Exists', effect: 'NoExecute' },
    { key: UNREACHABLE, operator: 'Exists', effect: 'NoExecute' },
    { key: DISK_PRESSURE, operator: 'Exists', effect: 'NoSchedule' },
    { key: MEMORY_PRESSURE, operator: 'Exists', effect: 'NoSchedule' },
    { key: PID_PRESSURE, operator: 'Exists', effect: 'NoSchedule' },
    { key: UNSCHEDULABLE, operator: 'Exists', effect: 'NoSchedule' },
  ];
  if (spec.hostNetwork === true) added.push({ key: NETWORK_UNAVAILABLE, operator: 'Exists', effect: 'NoSchedule' });
  const tolerations = [...(spec.tolerations ?? [])];
  for (const toleration of added) {
    const known = tolerations.findIndex(({ key, effect, operator, value }) => key === toleration.key && effect === toleration.effect && operator === 'Exists' && (value ?? '') === '');
    if (known >= 0) tolerations[known] = toleration;
    else tolerations.push(toleration);
  }
  return tolerations;
}

/** The pod spec of a daemon on one node: pinned by node affinity, so that the default scheduler binds it there. */
export function daemonPodSpec(template: Readonly<PodSpec>, nodeName: string): PodSpec {
  const spec: PodSpec = structuredClone(template);
  spec.tolerations = daemonTolerations(spec);
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [nodeName] }];
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const nodeSelectorTerms: NodeSelectorTerm[] = terms && terms.length > 0 ? terms.map((term) => ({ ...term, matchFields })) : [{ matchFields }];
  spec.affinity = { ...spec.affinity, nodeAffinity: { ...spec.affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
  return spec;
}

/** The node that a daemon pod is on or meant for. Source: GetTargetNodeName. */
export function targetNode(pod: Readonly<Pod>): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName;
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields = [] } of terms) {
    for (const { key, operator, values = [] } of matchFields) {
      if (key === 'metadata.name' && operator === 'In' && values.length === 1) return values[0];
    }
  }
  return undefined;
}

/** Whether a new pod belongs on the node, and whether one that is there may stay. */
export function fits(daemonSet: Readonly<DaemonSet>, node: Readonly<Node>): { readonly shouldRun: boolean; readonly shouldStay: boolean } {
  const spec = daemonSet.spec.template.spec ?? { containers: [] };
  const isNamed = !spec.nodeName || spec.nodeName === node.metadata.name;
  if (!isNamed || !podAllowsNode({ metadata: { name: '' }, spec }, node)) return { shouldRun: false, shouldStay: false };
  const tolerations = daemonTolerations(spec);
  const taints = node.spec?.taints ?? [];
  const repelled = (effects: readonly string[]) => taints.some((taint) => effects.includes(taint.effect) && !isTolerated(taint, tolerations));
  return { shouldRun: !repelled(['NoSchedule', 'NoExecute']), shouldStay: !repelled(['NoExecute']) };
}

export function podsByNode(pods: readonly Readonly<Pod>[]): Map<string, Readonly<Pod>[]> {
  const byNode = new Map<string, Readonly<Pod>[]>();
  for (const pod of pods) {
    const node = targetNode(pod);
    if (node === undefined) continue;
    const known = byNode.get(node);
    if (known) known.push(pod);
    else byNode.set(node, [pod]);
  }
  return byNode;
}

export interface DaemonPlan {
  readonly createOn: readonly string[];
  readonly remove: readonly Readonly<Pod>[];
  /** Failed pods to delete once the back-off of their node allows. */
  readonly failed: readonly { readonly pod: Readonly<Pod>; readonly node: string }[];
  readonly succeeded: readonly { readonly pod: Readonly<Pod>; readonly node: string }[];
}

const isUpdated = (pod: Readonly<Pod>, hash: string): boolean => pod.metadata.labels?.[HASH_LABEL] === hash;

const limitsOf = (daemonSet: Readonly<DaemonSet>, desired: number): { maxSurge: number; maxUnavailable: number } => {
  if (daemonSet.spec.updateStrategy?.type === 'OnDelete') return { maxSurge: 0, maxUnavailable: 0 };
  const { maxSurge = 0, maxUnavailable = 1 } = daemonSet.spec.updateStrategy?.rollingUpdate ?? {};
  const surge = resolveIntOrPercent(maxSurge, desired, 'up');
  const unavailable = resolveIntOrPercent(maxUnavailable, desired, 'up');
  return { maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
};

/** Pods to create where they are missing and to delete where they must not be. Source: manage(). */
export function planDaemons(daemonSet: Readonly<DaemonSet>, nodes: readonly Readonly<Node>[], pods: readonly Readonly<Pod>[], hash: string, nowMs: number): DaemonPlan {
  const byNode = podsByNode(pods);
  const createOn: string[] = [];
  const remove: Readonly<Pod>[] = [];
  const failed: { pod: Readonly<Pod>; node: string }[] = [];
  const succeeded: { pod: Readonly<Pod>; node: string }[] = [];
  const mayHaveTwo = limitsOf(daemonSet, nodes.filter((node) => fits(daemonSet, node).shouldRun).length).maxSurge > 0;
  for (const node of nodes) {
    const name = node.metadata.name;
    const present = byNode.get(name) ?? [];
    const { shouldRun, shouldStay } = fits(daemonSet, node);
    if (shouldRun && present.length === 0) createOn.push(name);
    if (!shouldStay) remove.push(...present);
    if (!shouldStay) continue;
    const running: Readonly<Pod>[] = [];
    for (const pod of present) {
      if (isTerminating(pod)) continue;
      if (pod.status?.phase === 'Failed') failed.push({ pod, node: name });
      else if (pod.status?.phase === 'Succeeded') succeeded.push({ pod, node: name });
      else running.push(pod);
    }
    remove.push(...(mayHaveTwo ? surplusWithSurge(daemonSet, running, hash, nowMs) : oldestKept(running).slice(1)));
    // Ended pods on a node where all are ending leave room for the next one only when they are gone.
  }
  // Pods on nodes that no longer exist and that nobody else would clean: not yet bound ones.
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  for (const [name, present] of byNode) if (!known.has(name)) remove.push(...present.filter((pod) => !pod.spec.nodeName));
  return { createOn, remove: remove.filter((pod) => !isTerminating(pod)), failed, succeeded };
}

/** Scheduled ones before others, then by age: the first is kept. Source: podByCreationTimestampAndPhase. */
function oldestKept(pods: readonly Readonly<Pod>[]): Readonly<Pod>[] {
  return [...pods].sort((left, right) => Number(Boolean(right.spec.nodeName)) - Number(Boolean(left.spec.nodeName)) || createdMs(left) - createdMs(right) || (left.metadata.name < right.metadata.name ? -1 : 1));
}

/** With surge an old and a new pod may share a node until the new one is available. */
function surplusWithSurge(daemonSet: Readonly<DaemonSet>, running: readonly Readonly<Pod>[], hash: string, nowMs: number): Readonly<Pod>[] {
  if (running.length <= 1) return [];
  const surplus: Readonly<Pod>[] = [];
  const [olds, news] = [running.filter((pod) => !isUpdated(pod, hash)), running.filter((pod) => isUpdated(pod, hash))];
  const [oldest, ...otherOlds] = oldestKept(olds);
  const [newest, ...otherNews] = oldestKept(news);
  surplus.push(...otherOlds, ...otherNews);
  if (oldest && newest) {
    const minReadySeconds = daemonSet.spec.minReadySeconds ?? 0;
    if (!isReady(oldest)) surplus.push(oldest);
    else if (isAvailable(newest, minReadySeconds, nowMs)) surplus.push(oldest);
  }
  return surplus;
}

/** What a rolling update does next: pods to delete, nodes to put a second pod on. Source: rollingUpdate(). */
export function planRollingUpdate(daemonSet: Readonly<DaemonSet>, nodes: readonly Readonly<Node>[], pods: readonly Readonly<Pod>[], hash: string, nowMs: number): { readonly createOn: readonly string[]; readonly remove: readonly Readonly<Pod>[] } {
  const byNode = podsByNode(pods);
  const minReadySeconds = daemonSet.spec.minReadySeconds ?? 0;
  const wanted = new Set(nodes.filter((node) => fits(daemonSet, node).shouldRun).map(({ metadata }) => metadata.name));
  const { maxSurge, maxUnavailable } = limitsOf(daemonSet, wanted.size);
  return maxSurge === 0 ? replaceInPlace() : replaceBeside();

  function replaceInPlace() {
    let unavailable = 0;
    const replaceable: Readonly<Pod>[] = [];
    const candidates: Readonly<Pod>[] = [];
    for (const [node, present] of byNode) {
      const split = newAndOld(present);
      if (!split) continue; // several of a sort: manage puts that right first
      const { newPod, oldPod } = split;
      if (!newPod && !oldPod) {
        if (wanted.has(node)) unavailable += 1;
      } else if (newPod) {
        if (wanted.has(node) && !isAvailable(newPod, minReadySeconds, nowMs)) unavailable += 1;
      } else if (oldPod && !isAvailable(oldPod, minReadySeconds, nowMs)) {
        unavailable += 1;
        if (!isTerminating(oldPod)) candidates.push(oldPod); // it serves nobody: replacing it costs nothing
      } else if (oldPod) {
        replaceable.push(oldPod);
      }
    }
    for (const node of wanted) if (!byNode.has(node)) unavailable += 1;
    const spare = Math.max(0, maxUnavailable - unavailable);
    return { createOn: [], remove: [...candidates, ...replaceable.slice(0, spare)] };
  }

  function replaceBeside() {
    let surging = 0;
    const createOn: string[] = [];
    const remove: Readonly<Pod>[] = [];
    const candidates: string[] = [];
    for (const [node, present] of byNode) {
      const split = newAndOld(present);
      if (!split) continue;
      const { newPod, oldPod } = split;
      if (!oldPod) continue;
      if (!newPod) {
        if (!isAvailable(oldPod, minReadySeconds, nowMs)) createOn.push(node); // an unavailable one is replaced at once
        else if (wanted.has(node)) candidates.push(node);
      } else if (isAvailable(newPod, minReadySeconds, nowMs)) {
        remove.push(oldPod);
      } else {
        surging += 1;
      }
    }
    const spare = Math.max(0, maxSurge - surging);
    return { createOn: [...createOn.filter((node) => wanted.has(node)), ...candidates.slice(0, spare)], remove: remove.filter((pod) => !isTerminating(pod)) };
  }

  /** Undefined when there are two new or two old ones. */
  function newAndOld(present: readonly Readonly<Pod>[]): { newPod: Readonly<Pod> | undefined; oldPod: Readonly<Pod> | undefined } | undefined {
    const alive = present.filter((pod) => !isTerminating(pod));
    const news = alive.filter((pod) => isUpdated(pod, hash));
    const olds = alive.filter((pod) => !isUpdated(pod, hash));
    return news.length > 1 || olds.length > 1 ? undefined : { newPod: news[0], oldPod: olds[0] };
  }
}

export function daemonSetStatus(daemonSet: Readonly<DaemonSet>, nodes: readonly Readonly<Node>[], pods: readonly Readonly<Pod>[], hash: string, nowMs: number): DaemonSetStatus {
  const byNode = podsByNode(pods);
  let [desired, current, misscheduled, ready, updated, available] = [0, 0, 0, 0, 0, 0];
  for (const node of nodes) {
    const present = byNode.get(node.metadata.name) ?? [];
    if (!fits(daemonSet, node).shouldRun) {
      if (present.length > 0) misscheduled += 1;
      continue;
    }
    desired += 1;
    // Of an old and a new pod the ready one counts; of two alike the older one.
    const [pod] = [...present].sort((left, right) => Number(isReady(right)) - Number(isReady(left)) || createdMs(left) - createdMs(right));
    if (!pod) continue;
    current += 1;
    if (isReady(pod)) ready += 1;
    if (isReady(pod) && isAvailable(pod, daemonSet.spec.minReadySeconds ?? 0, nowMs)) available += 1;
    if (isUpdated(pod, hash)) updated += 1;
  }
  const { collisionCount, conditions } = daemonSet.status ?? {};
  return {
    currentNumberScheduled: current,
    desiredNumberScheduled: desired,
    numberMisscheduled: misscheduled,
    numberReady: ready,
    numberAvailable: available,
    numberUnavailable: desired - available,
    updatedNumberScheduled: updated,
    observedGeneration: daemonSet.metadata.generation,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions === undefined ? {} : { conditions }),
  };
}
