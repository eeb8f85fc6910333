// The phase of a pod from the states of its containers. Source: pkg/kubelet/kubelet_pods.go, getPhase.
import type { ContainerStatus, Pod } from '#lib/kinds/types/core-v1.ts';
import { regularInitContainersOf, sidecarsOf } from './pod-spec.ts';
import { restartsAfterExit } from './restart-rules.ts';

export const hasStarted = ({ started, state, lastState }: ContainerStatus): boolean =>
  started === true || state?.running !== undefined || state?.terminated !== undefined || lastState?.terminated !== undefined;

/** Any regular container has run: the pod is past its initialization. */
export const anyRegularStarted = (pod: Pod, statuses: readonly ContainerStatus[]): boolean =>
  pod.spec.containers.some(({ name }) => statuses.some((status) => status.name === name && hasStarted(status)));

export function podPhase(pod: Pod, statuses: readonly ContainerStatus[], isTerminal: boolean): string {
  const find = (name: string): ContainerStatus | undefined => statuses.find((status) => status.name === name);
  let pendingInit = 0;
  for (const container of regularInitContainersOf(pod)) {
    const status = find(container.name);
    const exitCode = status?.state?.terminated?.exitCode ?? (status?.state?.waiting ? status.lastState?.terminated?.exitCode : undefined);
    if (exitCode === undefined) pendingInit += 1;
    else if (exitCode !== 0 && !restartsAfterExit(container, pod, exitCode)) return 'Failed';
  }

  const hasInitialized = anyRegularStarted(pod, statuses);
  let [unknown, running, waiting, pendingSidecars] = [0, 0, 0, 0];
  for (const { name } of sidecarsOf(pod)) {
    const status = find(name);
    if (!status?.state) unknown += 1;
    else if (status.state.running) {
      if (status.started !== true) pendingSidecars += 1;
      running += 1;
    } else if (status.state.waiting && !status.lastState?.terminated) {
      pendingSidecars += 1;
      waiting += 1;
    }
  }

  let [stopped, succeeded, willRestart] = [0, 0, 0];
  for (const container of pod.spec.containers) {
    const status = find(container.name);
    const exit = status?.state?.terminated ?? (status?.state?.waiting ? status.lastState?.terminated : undefined);
    if (status?.state?.running) running += 1;
    else if (exit) {
      stopped += 1;
      if (exit.exitCode === 0) succeeded += 1;
      if (restartsAfterExit(container, pod, exit.exitCode)) willRestart += 1;
    } else if (status?.state?.waiting) waiting += 1;
    else unknown += 1;
  }

  if (pendingInit > 0) return 'Pending';
  if (pendingSidecars > 0 && !hasInitialized) return 'Pending';
  if (waiting > 0 && !isTerminal) return 'Pending';
  // Sidecars that still run do not keep a pod alive whose regular containers are all done for good.
  if (running > 0 && unknown === 0 && !isTerminal) return 'Running';
  if (stopped > 0 && unknown === 0 && (running === 0 || isTerminal)) {
    if (isTerminal) return stopped === succeeded && stopped === pod.spec.containers.length ? 'Succeeded' : 'Failed';
    if (willRestart > 0) return 'Running';
    return stopped === succeeded ? 'Succeeded' : 'Failed';
  }
  return 'Pending';
}
