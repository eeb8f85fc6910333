// Whether a container that is not running has to run (again). Source: pkg/kubelet/container/helpers.go.
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { restartPolicyOf } from './pod-spec.ts';
import { newestContainer, type RuntimePod } from './runtime-pod.ts';

/** What a container's own rules say about an exit code (Kubernetes 1.35, ContainerRestartRules); undefined: nothing. */
function ruleFor(container: Container, exitCode: number): 'Restart' | undefined {
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    const isListed = exitCodes?.values?.includes(exitCode) === true;
    if (action === 'Restart' && exitCodes && (exitCodes.operator === 'In' ? isListed : !isListed)) return 'Restart';
  }
  return undefined;
}

/** After an exit with this code, by rules and policies alone. */
export function restartsAfterExit(container: Container, pod: Pod, exitCode: number): boolean {
  if (ruleFor(container, exitCode) === 'Restart') return true;
  switch (container.restartPolicy ?? restartPolicyOf(pod)) {
    case 'Never': return false;
    case 'OnFailure': return exitCode !== 0;
    default: return true;
  }
}

export function shouldContainerRun(container: Container, pod: Pod, runtimePod: RuntimePod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  const newest = newestContainer(runtimePod, container.name);
  if (!newest) return true;
  switch (newest.state) {
    case 'running': return false;
    case 'created':
    case 'unknown': return true;
    case 'exited': return restartsAfterExit(container, pod, newest.exitCode);
  }
}
