// What to do with a pod: from its specification, what the runtime has and what the probes say, to a list of actions.
// Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions, and kuberuntime_container.go.
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { containerHash } from './container-hash.ts';
import { ephemeralContainersOf, initContainersOf, isSidecar, restartPolicyOf, usesHostNetwork } from './pod-spec.ts';
import { restartsAfterExit, shouldContainerRun } from './restart-rules.ts';
import { newestContainer, type RuntimePod } from './runtime-pod.ts';

export type ProbeVerdict = 'success' | 'failure' | 'unknown';
export type ProbeType = 'liveness' | 'readiness' | 'startup';
/** Last settled result of a probe for a container; undefined when none ran. */
export type ProbeResults = (type: ProbeType, containerId: string) => ProbeVerdict | undefined;

export type KillReason = 'livenessProbe' | 'startupProbe' | 'unknown' | 'changed' | '';

export interface ContainerKill {
  readonly containerId: string;
  readonly name: string;
  /** Text of the Killing event; empty: the usual one. */
  readonly message: string;
  readonly reason: KillReason;
}

export interface PodActions {
  /** Everything that runs has to go, the sandbox too. */
  readonly killPod: boolean;
  readonly createSandbox: boolean;
  /** The sandbox in use, when there is one. */
  readonly sandboxId: string;
  /** Attempt of the sandbox to create. */
  readonly attempt: number;
  readonly containersToKill: readonly ContainerKill[];
  readonly ephemeralContainersToStart: readonly Container[];
  readonly initContainersToStart: readonly Container[];
  readonly containersToStart: readonly Container[];
}

interface SandboxVerdict {
  readonly changed: boolean;
  readonly attempt: number;
  readonly sandboxId: string;
}

/** Source: kuberuntime/util.PodSandboxChanged. */
export function sandboxVerdict(pod: Pod, runtimePod: RuntimePod): SandboxVerdict {
  const [newest] = runtimePod.sandboxes;
  if (!newest) return { changed: true, attempt: 0, sandboxId: '' };
  const isUsable = newest.isReady
    && runtimePod.sandboxes.filter(({ isReady }) => isReady).length === 1
    && newest.usesHostNetwork === usesHostNetwork(pod)
    && (usesHostNetwork(pod) || newest.ips.length > 0);
  return isUsable ? { changed: false, attempt: newest.attempt, sandboxId: newest.id } : { changed: true, attempt: newest.attempt + 1, sandboxId: newest.id };
}

const restartsOnFailure = (pod: Pod): boolean => restartPolicyOf(pod) !== 'Never' || pod.spec.containers.some((container) => container.restartPolicy !== undefined && container.restartPolicy !== 'Never');
const succeeded = (container: Container, runtimePod: RuntimePod): boolean => {
  const newest = newestContainer(runtimePod, container.name);
  return newest?.state === 'exited' && newest.exitCode === 0;
};
export const hasAnyRegularContainer = (pod: Pod, runtimePod: RuntimePod): boolean =>
  pod.spec.containers.some(({ name }) => runtimePod.containers.some((container) => container.name === name));

const nothing: Omit<PodActions, 'sandboxId' | 'attempt'> = {
  killPod: false, createSandbox: false, containersToKill: [], ephemeralContainersToStart: [], initContainersToStart: [], containersToStart: [],
};

export function computePodActions(pod: Pod, runtimePod: RuntimePod, probes: ProbeResults): PodActions {
  const { changed, attempt, sandboxId } = sandboxVerdict(pod, runtimePod);
  if (changed) return { ...nothing, killPod: true, attempt, sandboxId, ...actionsForNewSandbox(pod, runtimePod, attempt) };

  const ephemeralContainersToStart = ephemeralContainersOf(pod).filter(({ name }) => !newestContainer(runtimePod, name));
  const init = initActions(pod, ofSandbox(runtimePod, sandboxId), probes);
  const base = { ...nothing, attempt, sandboxId, ephemeralContainersToStart, initContainersToStart: init.start, containersToKill: init.kill };
  if (init.failed) return { ...base, killPod: true };
  if (!init.initialized) return base;

  const kill: ContainerKill[] = [...init.kill];
  const start: Container[] = [];
  let kept = 0;
  for (const container of pod.spec.containers) {
    const newest = newestContainer(runtimePod, container.name);
    if (newest?.state !== 'running') {
      if (!shouldContainerRun(container, pod, runtimePod)) continue;
      start.push(container);
      if (newest?.state === 'unknown') {
        kill.push({ containerId: newest.id, name: container.name, reason: 'unknown', message: 'Container is in "unknown" state, try killing it before restart' });
      }
      continue;
    }
    const verdict = runningVerdict(container, newest.id, newest.hash, probes, `Container ${container.name}`);
    if (!verdict) {
      kept += 1;
      continue;
    }
    const restarts = verdict.reason === 'changed' || restartsAfterExit(container, pod, 137);
    if (restarts) start.push(container);
    kill.push({ ...verdict, containerId: newest.id, name: container.name, message: restarts ? `${verdict.message}, will be restarted` : verdict.message });
  }
  if (kept === 0 && start.length === 0) return { ...base, killPod: true, initContainersToStart: [], containersToKill: kill };
  return { ...base, containersToKill: kill, containersToStart: start };
}

/** Why a running container may not go on; undefined when it may. */
function runningVerdict(container: Container, id: string, hash: string, probes: ProbeResults, subject: string): { message: string; reason: KillReason } | undefined {
  if (hash !== '' && hash !== containerHash(container)) return { message: `${subject} definition changed`, reason: 'changed' };
  if (probes('liveness', id) === 'failure') return { message: `${subject} failed liveness probe`, reason: 'livenessProbe' };
  if (probes('startup', id) === 'failure') return { message: `${subject} failed startup probe`, reason: 'startupProbe' };
  return undefined;
}

function actionsForNewSandbox(pod: Pod, runtimePod: RuntimePod, attempt: number): Partial<PodActions> {
  if (!restartsOnFailure(pod) && attempt !== 0 && runtimePod.containers.length !== 0) return {};
  const containersToStart = pod.spec.containers.filter((container) => !((container.restartPolicy ?? restartPolicyOf(pod)) === 'OnFailure' && succeeded(container, runtimePod)));
  if (containersToStart.length === 0 && hasAnyRegularContainer(pod, runtimePod)) return {};
  const [firstInit] = initContainersOf(pod);
  // A new sandbox starts from the beginning: whatever init containers had done went with the old one.
  return firstInit ? { createSandbox: true, initContainersToStart: [firstInit] } : { createSandbox: true, containersToStart };
}

interface InitVerdict {
  /** Regular containers may run. */
  readonly initialized: boolean;
  readonly failed: boolean;
  readonly start: Container[];
  readonly kill: ContainerKill[];
}

/** The pod as if only its present sandbox had ever been: what ran in an earlier one initialized that one. */
const ofSandbox = (runtimePod: RuntimePod, sandboxId: string): RuntimePod =>
  ({ ...runtimePod, containers: runtimePod.containers.filter((container) => container.sandboxId === sandboxId) });

/**
 * Looks from the last init container backwards, because the runtime may have dropped finished ones: the last one known
 * tells how far the pod is. Sidecars before it are looked at too, since they have to go on running.
 */
function initActions(pod: Pod, runtimePod: RuntimePod, probes: ProbeResults): InitVerdict {
  const inits = initContainersOf(pod);
  let initialized = inits.length === 0 || hasAnyRegularContainer(pod, runtimePod);
  let isPast = initialized && inits.length > 0;
  const startIndexes: number[] = [];
  const kill: ContainerKill[] = [];
  const failed: InitVerdict = { initialized: false, failed: true, start: [], kill };

  for (let index = inits.length - 1; index >= 0; index -= 1) {
    const container = inits[index];
    if (!container) continue;
    const sidecar = isSidecar(container);
    const newest = newestContainer(runtimePod, container.name);
    if (!newest) {
      if (isPast && sidecar) startIndexes.push(index);
      continue;
    }
    if (isPast && !sidecar) continue;
    const isLast = index === inits.length - 1;
    const advance = (): void => {
      if (isLast) initialized = true;
      else if (!isPast) startIndexes.push(index + 1);
    };
    switch (newest.state) {
      case 'created':
        startIndexes.push(index);
        break;
      case 'running': {
        if (!sidecar) break;
        const startup = container.startupProbe ? probes('startup', newest.id) : 'success';
        if (startup === 'success') advance();
        const verdict = runningVerdict(container, newest.id, newest.hash, probes, `Init container ${container.name}`);
        if (verdict) {
          kill.push({ ...verdict, containerId: newest.id, name: container.name });
          startIndexes.push(index);
        }
        break;
      }
      case 'exited':
        if (sidecar) startIndexes.push(index);
        else if (newest.exitCode === 0) advance();
        else if (!restartsAfterExit(container, pod, newest.exitCode)) return failed;
        else startIndexes.push(index);
        break;
      case 'unknown':
        if (!sidecar && restartPolicyOf(pod) === 'Never') return failed;
        kill.push({ containerId: newest.id, name: container.name, reason: 'unknown', message: 'Init container is in "unknown" state, try killing it before restart' });
        startIndexes.push(index);
        break;
    }
    isPast = true;
  }
  if (!isPast && inits.length > 0) startIndexes.push(0);
  const start = startIndexes.reverse().flatMap((index) => inits[index] ?? []);
  return { initialized, failed: false, start, kill };
}
