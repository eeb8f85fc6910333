// The pod's status as the API shows it, from its specification, what the runtime has, what was reported before and why
// containers could not be started. Source: pkg/kubelet/kubelet_pods.go.
import type { Container, ContainerState, ContainerStatus, Pod, PodCondition, PodStatus } from '#lib/kinds/types/core-v1.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { initialized, containersReady, podReady, readyToStart, withTransitionTimes } from './pod-conditions.ts';
import { podPhase } from './pod-phase.ts';
import { allContainersOf, ephemeralContainersOf, initContainersOf, isSidecar, isTerminalPhase, usesHostNetwork } from './pod-spec.ts';
import { isActuated, resizeConditions, type ResizeState } from './resize.ts';
import { qosClassOf } from './resources.ts';
import { shouldContainerRun } from './restart-rules.ts';
import { sandboxAddresses, type RuntimeContainer, type RuntimePod } from './runtime-pod.ts';

export interface WaitingReason {
  readonly reason: string;
  readonly message: string;
}

export interface StatusInputs {
  /** With the resources that it has been given. */
  readonly pod: Pod;
  readonly resize: ResizeState;
  readonly cpuPeriodUs: number;
  readonly runtimePod: RuntimePod;
  /** What was last reported (by this kubelet or, after its restart, by its predecessor). */
  readonly previous: PodStatus;
  /** Why a container could not be started, by container name. */
  readonly startFailures: ReadonlyMap<string, WaitingReason>;
  /** Nothing of the pod will run again: its containers have ended for good. */
  readonly isTerminal: boolean;
  /** Set when the kubelet itself ends the pod: eviction, deadline, refused admission. */
  readonly ended?: { readonly reason: string; readonly message: string; readonly conditions?: readonly PodCondition[] } | undefined;
  readonly readiness: ContainerReadiness;
  readonly runtimeName: string;
  readonly hostIPs: readonly string[];
  readonly nowMs: number;
}

/** What the probes say of a running container. */
export interface ContainerReadiness {
  readonly isStarted: (container: Container, containerId: string) => boolean;
  readonly isReady: (container: Container, containerId: string) => boolean;
}

const LOST_WHEN_DELETED = 'The container could not be located when the pod was deleted.  The container used to be Running';
const LOST_WHEN_TERMINATED = 'The container could not be located when the pod was terminated';
const LOST = 'ContainerStatusUnknown';
/** As a shell reports SIGKILL. */
const KILLED_EXIT_CODE = 137;

export function podStatus(inputs: StatusInputs): PodStatus {
  const { pod, runtimePod, previous, nowMs, hostIPs, ended } = inputs;
  const containerStatuses = statusesOf(inputs, pod.spec.containers, previous.containerStatuses, 'regular');
  const initContainerStatuses = statusesOf(inputs, initContainersOf(pod), previous.initContainerStatuses, 'init');
  const ephemeralContainerStatuses = statusesOf(inputs, ephemeralContainersOf(pod), previous.ephemeralContainerStatuses, 'ephemeral');

  let phase = podPhase(pod, [...initContainerStatuses, ...containerStatuses], inputs.isTerminal);
  let { reason, message } = { reason: undefined as string | undefined, message: undefined as string | undefined };
  if (!isTerminalPhase(phase)) {
    if (isTerminalPhase(previous.phase)) phase = previous.phase ?? phase;
  }
  if (isTerminalPhase(phase) && phase === previous.phase) ({ reason, message } = previous);
  if (ended) ({ phase, reason, message } = { phase: 'Failed', reason: ended.reason, message: ended.message });

  const status: PodStatus = {
    observedGeneration: pod.metadata.generation,
    phase, reason, message,
    qosClass: previous.qosClass ?? qosClassOf(pod),
    startTime: previous.startTime ?? formatTime(nowMs),
    containerStatuses,
    ...(initContainerStatuses.length > 0 ? { initContainerStatuses } : {}),
    ...(ephemeralContainerStatuses.length > 0 ? { ephemeralContainerStatuses } : {}),
  };
  const addresses = usesHostNetwork(pod) ? (runtimePod.sandboxes.length > 0 || previous.podIP !== undefined ? hostIPs : []) : sandboxAddresses(runtimePod);
  if (hostIPs.length > 0) Object.assign(status, { hostIP: hostIPs[0], hostIPs: hostIPs.map((ip) => ({ ip })) });
  // An address once had is shown until the pod has another, or is gone.
  const shown = addresses.length > 0 ? addresses : isTerminalPhase(phase) || inputs.isTerminal ? (previous.podIPs ?? []).map(({ ip }) => ip) : [];
  if (shown.length > 0) Object.assign(status, { podIP: shown[0], podIPs: shown.map((ip) => ({ ip })) });
  status.conditions = conditionsOf(inputs, status);
  return status;
}

/** Of a pod that was not let in. Source: rejectPod. */
export function rejectedStatus(pod: Pod, { reason, message }: WaitingReason, previous: PodStatus, nowMs: number): PodStatus {
  return {
    observedGeneration: pod.metadata.generation, phase: 'Failed', reason, message: `Pod was rejected: ${message}`,
    qosClass: previous.qosClass ?? qosClassOf(pod), startTime: previous.startTime ?? formatTime(nowMs), conditions: (previous.conditions ?? []).filter(({ type }) => type === 'PodScheduled'),
  };
}

function conditionsOf({ pod, runtimePod, previous, nowMs, ended, resize }: StatusInputs, status: PodStatus): PodCondition[] {
  const ready = containersReady(pod, status);
  const own: PodCondition[] = [
    readyToStart(pod, runtimePod),
    initialized(pod, status),
    podReady(pod, previous.conditions ?? [], ready),
    ready,
    { type: 'PodScheduled', status: 'True' },
    ...(ended?.conditions ?? []),
  ].map((condition) => ({ ...condition, ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }) }));
  return withTransitionTimes([...own, ...resizeConditions(resize)], previous.conditions ?? [], nowMs);
}

type Group = 'regular' | 'init' | 'ephemeral';

function statusesOf(inputs: StatusInputs, containers: readonly Container[], previous: readonly ContainerStatus[] | undefined, group: Group): ContainerStatus[] {
  const statuses = containers.map((container) => containerStatus(inputs, container, previous?.find(({ name }) => name === container.name), group));
  return group === 'init' ? statuses : statuses.sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0));
}

function containerStatus(inputs: StatusInputs, container: Container, old: ContainerStatus | undefined, group: Group): ContainerStatus {
  const { pod, runtimePod } = inputs;
  const instances = runtimePod.containers.filter(({ name }) => name === container.name);
  const [newest, before] = instances;
  const status = newest ? runtimeStatus(inputs, newest, old) : unseenStatus(inputs, container, old);
  if (newest && before) status.lastState = stateOf(inputs, before, undefined);

  const isDone = group === 'init' && !isSidecar(container) && newest?.state === 'exited' && newest.exitCode === 0;
  const failure = inputs.startFailures.get(container.name);
  if (failure && group !== 'ephemeral' && !isDone && !inputs.isTerminal && shouldContainerRun(container, pod, runtimePod)) {
    if (status.state?.terminated) status.lastState = status.state;
    status.state = { waiting: waiting(failure.reason, failure.message) };
  } else if (failure && group === 'ephemeral' && !newest) {
    status.state = { waiting: waiting(failure.reason, failure.message) };
  }
  const id = status.state?.running && newest ? newest.id : undefined;
  status.started = id !== undefined && (group === 'ephemeral' || inputs.readiness.isStarted(container, id));
  if (group === 'ephemeral') status.started = undefined;
  if (group === 'init' && !isSidecar(container)) status.ready = status.state?.terminated?.exitCode === 0;
  else status.ready = group !== 'ephemeral' && id !== undefined && status.started === true && inputs.readiness.isReady(container, id);
  return status;
}

const waiting = (reason: string, message = ''): { reason: string; message?: string } => (message === '' ? { reason } : { reason, message });

/** A container of which the runtime has nothing. */
function unseenStatus({ pod }: StatusInputs, container: Container, old: ContainerStatus | undefined): ContainerStatus {
  if (old?.state?.terminated) return { ...old, started: false };
  const status: ContainerStatus = {
    name: container.name, image: container.image ?? '', imageID: '', ready: false,
    restartCount: old?.restartCount ?? 0,
    state: { waiting: { reason: initContainersOf(pod).length > 0 ? 'PodInitializing' : 'ContainerCreating' } },
    lastState: old?.lastState ?? {},
  };
  if (old?.state?.running && !status.lastState?.terminated) {
    // It ran, and now there is no trace of it: how it ended cannot be known.
    status.lastState = { terminated: { reason: LOST, message: LOST_WHEN_DELETED, exitCode: KILLED_EXIT_CODE, ...noTimes } };
    if (pod.metadata.deletionTimestamp === undefined) status.restartCount += 1;
  }
  return status;
}
const noTimes: { startedAt?: string; finishedAt?: string } = {};

function runtimeStatus(inputs: StatusInputs, container: RuntimeContainer, old: ContainerStatus | undefined): ContainerStatus {
  return {
    name: container.name,
    image: container.image,
    imageID: container.imageId,
    containerID: `${inputs.runtimeName}://${container.id}`,
    restartCount: container.restartCount,
    ready: false,
    state: stateOf(inputs, container, old),
    lastState: {},
    ...(container.user ? { user: { linux: { uid: container.user.uid, gid: container.user.gid, supplementalGroups: [...container.user.supplementalGroups] } } } : {}),
    ...resourcesOf(inputs, container, old),
  };
}

/** Resources as actuated, for running containers only. */
function resourcesOf({ pod, cpuPeriodUs }: StatusInputs, container: RuntimeContainer, old: ContainerStatus | undefined): Partial<ContainerStatus> {
  if (container.state !== 'running') return {};
  const spec = allContainersOf(pod).find(({ name }) => name === container.name);
  const { limits, requests } = spec?.resources ?? {};
  const allocated = requests ? { allocatedResources: requests } : {};
  // What is still being changed shows as it was.
  if (spec && old?.resources && !isActuated(spec, container, cpuPeriodUs)) return { resources: old.resources, ...allocated };
  return { resources: { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) }, ...allocated };
}

function stateOf({ runtimeName }: StatusInputs, container: RuntimeContainer, old: ContainerStatus | undefined): ContainerState {
  switch (container.state) {
    case 'running': return { running: { startedAt: formatTime(container.startedAtMs) } };
    case 'exited': return {
      terminated: {
        exitCode: container.exitCode,
        reason: container.reason,
        ...(container.message === '' ? {} : { message: container.message }),
        startedAt: formatTime(container.startedAtMs), // 1970 for one that could not be started, as upstream
        ...(container.finishedAtMs > 0 ? { finishedAt: formatTime(container.finishedAtMs) } : {}),
        containerID: `${runtimeName}://${container.id}`,
      },
    };
    case 'unknown':
      if (old?.state?.running) return { terminated: { exitCode: KILLED_EXIT_CODE, reason: LOST, message: LOST_WHEN_TERMINATED, containerID: `${runtimeName}://${container.id}` } };
      return { waiting: {} };
    case 'created': return { waiting: { reason: 'ContainerCreating' } };
  }
}

/** The last word on a pod whose containers have all ended. Source: status manager, TerminatePod. */
export function terminatedStatus(status: PodStatus, isStatic: boolean): PodStatus {
  const hasInitialized = (status.containerStatuses ?? []).some(({ state, lastState, containerID }) => state?.running ?? state?.terminated ?? lastState?.terminated ?? containerID);
  const inits = status.initContainerStatuses ?? [];
  const lastStartedInit = inits.findLastIndex(({ state, lastState }) => state?.terminated ?? state?.running ?? lastState?.terminated);
  const lost = (container: ContainerStatus): ContainerStatus => (container.state?.terminated ? container
    : { ...container, ready: false, started: false, state: { terminated: { reason: LOST, message: LOST_WHEN_TERMINATED, exitCode: KILLED_EXIT_CODE } } });
  const phase = isStatic || isTerminalPhase(status.phase) ? status.phase : 'Failed';
  const result: PodStatus = {
    ...status,
    phase,
    containerStatuses: (status.containerStatuses ?? []).map((container) => (hasInitialized ? lost(container) : container)),
  };
  if (inits.length > 0) result.initContainerStatuses = inits.map((container, index) => (index <= lastStartedInit || hasInitialized ? lost(container) : container));
  return result;
}
