// The conditions of a pod that its kubelet owns. Source: pkg/kubelet/status/generate.go and util/status.go.
import type { ContainerStatus, Pod, PodCondition, PodStatus } from '#lib/kinds/types/core-v1.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { sandboxVerdict } from './compute-actions.ts';
import { anyRegularStarted } from './pod-phase.ts';
import { initContainersOf, isSidecar, sidecarsOf } from './pod-spec.ts';
import type { RuntimePod } from './runtime-pod.ts';

const list = (names: readonly string[]): string => `[${names.join(' ')}]`;
const joined = (unknown: readonly string[], other: readonly string[], word: string): string =>
  [...(unknown.length > 0 ? [`containers with unknown status: ${list(unknown)}`] : []), ...(other.length > 0 ? [`containers with ${word} status: ${list(other)}`] : [])].join(', ');

export function readyToStart(pod: Pod, runtimePod: RuntimePod): PodCondition {
  return { type: 'PodReadyToStartContainers', status: sandboxVerdict(pod, runtimePod).changed ? 'False' : 'True' };
}

export function initialized(pod: Pod, status: PodStatus): PodCondition {
  const find = (name: string): ContainerStatus | undefined => status.initContainerStatuses?.find((one) => one.name === name);
  const [unknown, incomplete]: [string[], string[]] = [[], []];
  for (const container of initContainersOf(pod)) {
    const one = find(container.name);
    if (!one) unknown.push(container.name);
    else if (isSidecar(container) ? one.started !== true : !one.ready) incomplete.push(container.name);
  }
  if (status.phase === 'Succeeded' && unknown.length === 0) return { type: 'Initialized', status: 'True', reason: 'PodCompleted' };
  if (anyRegularStarted(pod, status.containerStatuses ?? []) || unknown.length + incomplete.length === 0) return { type: 'Initialized', status: 'True' };
  return { type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized', message: joined(unknown, incomplete, 'incomplete') };
}

export function containersReady(pod: Pod, status: PodStatus): PodCondition {
  const type = 'ContainersReady';
  const [unknown, unready]: [string[], string[]] = [[], []];
  const look = (name: string, statuses: readonly ContainerStatus[] | undefined): void => {
    const one = statuses?.find((candidate) => candidate.name === name);
    if (!one) unknown.push(name);
    else if (!one.ready) unready.push(name);
  };
  for (const { name } of sidecarsOf(pod)) look(name, status.initContainerStatuses);
  for (const { name } of pod.spec.containers) look(name, status.containerStatuses);
  if (status.phase === 'Succeeded' && unknown.length === 0) return { type, status: 'False', reason: 'PodCompleted' };
  if (status.phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  if (unknown.length + unready.length > 0) return { type, status: 'False', reason: 'ContainersNotReady', message: joined(unknown, unready, 'unready') };
  return { type, status: 'True' };
}

export function podReady(pod: Pod, conditions: readonly PodCondition[], containers: PodCondition): PodCondition {
  if (containers.status !== 'True') return { ...containers, type: 'Ready' };
  const messages = (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const gate = [...(pod.status?.conditions ?? []), ...conditions].find(({ type }) => type === conditionType);
    if (!gate) return [`corresponding condition of pod readiness gate ${JSON.stringify(conditionType)} does not exist.`];
    return gate.status === 'True' ? [] : [`the status of pod readiness gate ${JSON.stringify(conditionType)} is not "True", but ${gate.status}`];
  });
  if (messages.length > 0) return { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') };
  return { type: 'Ready', status: 'True' };
}

/** Conditions of ours that go again. */
export const PASSING_CONDITIONS: readonly string[] = ['PodResizePending', 'PodResizeInProgress'];

/** A condition keeps its time while its status stays; conditions of others are kept as they are. */
export function withTransitionTimes(own: readonly PodCondition[], previous: readonly PodCondition[], nowMs: number): PodCondition[] {
  const others = previous.filter(({ type }) => !own.some((condition) => condition.type === type) && !PASSING_CONDITIONS.includes(type));
  return [...others, ...own.map((condition) => {
    const before = previous.find(({ type }) => type === condition.type);
    const lastTransitionTime = before?.status === condition.status && before.lastTransitionTime !== undefined ? before.lastTransitionTime : formatTime(nowMs);
    return { ...condition, lastTransitionTime };
  })];
}
