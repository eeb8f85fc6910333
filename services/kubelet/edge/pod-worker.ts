// One pod's life on this node: synced while it should run, then terminated, then finished. Everything done for one pod
// goes through its worker, one thing at a time. Source: pkg/kubelet/pod_workers.go and kubelet.go, syncPod and its kin.
import { trace } from '@opentelemetry/api';
import { LONGEST_TIMER_MS, steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { jitterMs } from '#lib/environment/random.ts';
import type { Pod, PodCondition, PodStatus } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { inSpan } from '#lib/tracing/in-span.ts';
import { computePodActions, type PodActions, type ProbeResults } from '../core/compute-actions.ts';
import type { FieldContext } from '../core/downward-api.ts';
import type { ReferencedObjects } from '../core/environment-variables.ts';
import { DEFAULT_GRACE_SECONDS, fullNameOf, isStaticPod, isTerminalPhase, namespaceOf, uidOf, usesHostNetwork } from '../core/pod-spec.ts';
import { podStatus, rejectedStatus, terminatedStatus, type WaitingReason } from '../core/pod-status.ts';
import { allocationOf, isAllocated, knownAllocation, pendingResizes, resizeEventText, withAllocation, type Allocation, type ContainerResize, type ResizeRefusal, type ResizeState } from '../core/resize.ts';
import { emptyRuntimePod, liveContainers, type RuntimePod } from '../core/runtime-pod.ts';
import { VolumeError } from '../core/volume-payload.ts';
import { FAILED_SYNC_MS, type PodRunner } from './pod-runner.ts';
import type { ProbeManager } from './probe-manager.ts';
import type { Runtime } from './runtime.ts';
import type { StatusWriter } from './status-writer.ts';
import type { VolumeFailure, Volumes } from './volumes.ts';

const tracer = trace.getTracer('k8s.io/kubernetes/pkg/kubelet');
/** As upstream's kubelet calls the work of each stage. */
const SPAN_NAMES = { syncing: 'syncPod', terminating: 'syncTerminatingPod', terminated: 'syncTerminatedPod', finished: '' } as const;

/**
 * Upstream looks at a pod again when it hears that its sandbox has started, and finds the image that could not be pulled in its back-off:
 * ErrImagePull is ImagePullBackOff after a moment. Milliseconds. Source: genericPlegRelistPeriod.
 */
const NEW_SANDBOX_MS = 1_000;
/** Wait before a sync that found no network is tried again. Milliseconds. Source: backOffOnTransientErrorPeriod. */
const NETWORK_RETRY_MS = 1_000;
/** Waits between attempts to set up volumes. Milliseconds. Source: exponentialbackoff of the operation executor. */
const VOLUME_RETRY_FIRST_MS = 500;
const VOLUME_RETRY_LONGEST_MS = 122_000;
/** After so long without its volumes a pod gets an event that says so. Milliseconds. Source: podAttachAndMountTimeout. */
const VOLUME_TIMEOUT_MS = 123_000;

export interface WorkerServices extends Environment {
  readonly runtime: Runtime;
  readonly runner: PodRunner;
  readonly volumes: Volumes;
  readonly probes: ProbeManager;
  readonly statuses: StatusWriter;
  readonly objects: (pod: Pod) => Promise<ReferencedObjects>;
  /** Why the pod network is not ready; undefined: it is. */
  readonly networkProblem: () => string | undefined;
  readonly context: () => FieldContext;
  /** The status that the API server shows for the pod (or its mirror). */
  readonly knownStatus: (pod: Pod) => PodStatus | undefined;
  readonly keepMirror: (pod: Pod) => void;
  readonly onEvent: (pod: Pod, container: string | undefined, type: 'Normal' | 'Warning', reason: string, message: string) => void;
  /** Why the node cannot give the pod what it asks for; undefined: it can. */
  readonly resizeRefusal: (pod: Pod) => ResizeRefusal | undefined;
  /** Nothing of the pod is left but its record: release what it used. */
  readonly onFinished: (worker: PodWorker) => Promise<void>;
  readonly syncFrequencyMs: number;
  readonly signal: AbortSignal;
}

export interface EndReason {
  readonly reason: string;
  readonly message: string;
  readonly conditions?: readonly PodCondition[];
  /** Grace given at most; undefined: the pod's own. */
  readonly graceSeconds?: number;
  /** It never ran here, and says nothing of its containers. */
  readonly isRejected?: boolean;
}

export type WorkerStage = 'syncing' | 'terminating' | 'terminated' | 'finished';

export class PodWorker {
  pod: Pod;
  stage: WorkerStage = 'syncing';
  /** No source has this pod any more: it is forgotten once finished. */
  isRemoved = false;
  runtimePod: RuntimePod;
  readonly #services: WorkerServices;
  readonly #startFailures = new Map<string, WaitingReason>();
  #allocation: Allocation;
  #resize: ResizeState = {};
  #ended: EndReason | undefined;
  #graceSeconds: number | undefined;
  #hasBegun = false;
  #isWorking = false;
  #isWanted = false;
  #step = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  /** The runtime saw something since it was last asked. */
  #hasNews = false;
  #volumeFailures = 0;
  #volumesWantedMs: number | undefined;
  #saidTimeout = false;

  constructor(pod: Pod, services: WorkerServices) {
    this.pod = pod;
    this.#services = services;
    this.#allocation = knownAllocation(pod, pod.status);
    this.runtimePod = emptyRuntimePod(uidOf(pod), namespaceOf(pod), pod.metadata.name);
    services.signal.addEventListener('abort', this.#stop, { once: true });
  }

  /** The process ends: what is under way is let go. */
  readonly #stop = (): void => {
    clearTimeout(this.#timer);
    this.#step.abort(this.#services.signal.reason);
  };

  get uid(): string {
    return uidOf(this.pod);
  }

  /** The pod with the resources that it has been given. */
  get allocatedPod(): Pod {
    return withAllocation(this.pod, this.#allocation);
  }
  /** It waits for room on the node. */
  get hasDeferredResize(): boolean {
    return this.#resize.pending?.reason === 'Deferred';
  }

  /** The pod as its source has it now. Of a change of its status alone, most often our own, nothing follows. */
  update(pod: Pod): void {
    const before = this.pod;
    this.pod = pod;
    if (this.#hasBegun && this.stage !== 'finished' && isSameButStatus(before, pod)) {
      if ((pod.spec.readinessGates ?? []).length > 0) this.refreshStatus();
      return;
    }
    this.#hasBegun = true;
    if (pod.metadata.deletionTimestamp !== undefined) this.#beginTermination();
    if (this.stage === 'finished') this.#services.statuses.wake(this.uid);
    else this.wake();
  }

  /** The pod's source has it no more. */
  remove(last: Pod): void {
    this.pod = last;
    this.isRemoved = true;
    this.#beginTermination();
    this.wake();
  }

  /** The kubelet itself ends the pod: refused, evicted, past its deadline. */
  end(reason: EndReason): void {
    if (this.stage !== 'syncing') return;
    this.#ended = reason;
    this.#beginTermination();
    this.wake();
  }

  /** Something changed: look at the pod again. */
  wake(): void {
    if (this.#services.signal.aborted) return;
    this.#isWanted = true;
    if (!this.#isWorking) void this.#work();
  }

  /** The runtime saw something. Most often it is the echo of what is being done right now, which the look at its end will see. */
  wakeForEvent(): void {
    if (this.stage === 'finished') return;
    if (this.#isWorking) this.#hasNews = true;
    else this.wake();
  }

  /** Computes the status anew from what is known, without asking the runtime: a probe has a new verdict. */
  refreshStatus(): void {
    if (this.stage === 'syncing' || this.stage === 'terminating') this.#publish(false);
  }

  #beginTermination(): void {
    const shorter = this.#effectiveGrace();
    const isShorter = this.#graceSeconds !== undefined && shorter < this.#graceSeconds;
    this.#graceSeconds = shorter;
    if (this.stage === 'syncing') this.stage = 'terminating';
    else if (this.stage !== 'terminating' || !isShorter) return;
    // Whatever is being waited for (a pull, a hook, a longer grace) is of no use any more.
    const step = this.#step;
    this.#step = new AbortController();
    step.abort(new Error('the pod is to end'));
  }

  /** Source: calculateEffectiveGracePeriod: it may only shrink, and is at least a second. */
  #effectiveGrace(): number {
    const asked = [this.#graceSeconds, this.pod.metadata.deletionGracePeriodSeconds, this.#ended?.graceSeconds].filter((seconds) => seconds !== undefined);
    const grace = asked.length > 0 ? Math.min(...asked) : this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
    return Math.max(1, grace);
  }

  async #work(): Promise<void> {
    const { signal, log, random } = this.#services;
    this.#isWorking = true;
    try {
      while (this.#isWanted && !signal.aborted && this.stage !== 'finished') {
        this.#isWanted = false;
        clearTimeout(this.#timer);
        const step = this.#step;
        try {
          const comeBackMs = await this.#inSpan(() => this.#stepOnce(step.signal));
          if (comeBackMs !== undefined) this.#scheduleWake(comeBackMs);
          if (this.#hasNews) this.#isWanted = true;
        } catch (error) {
          if (signal.aborted) return;
          if (step.signal.aborted) {
            this.#isWanted = true;
            continue;
          }
          log.warn({ err: error, pod: fullNameOf(this.pod), stage: this.stage }, 'error syncing pod, trying again');
          this.#scheduleWake(jitterMs(random, FAILED_SYNC_MS, 0.5));
        }
      }
    } finally {
      this.#isWorking = false;
    }
  }

  #scheduleWake(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wake(), Math.min(delayMs, LONGEST_TIMER_MS));
  }

  /** In traces: what it led to; a look that finds nothing to do is not told. */
  #inSpan<T>(work: () => Promise<T>): Promise<T> {
    const { namespace, name, uid, resourceVersion } = this.pod.metadata;
    return inSpan(tracer, SPAN_NAMES[this.stage], {
      root: true, onlyIfFollowed: true,
      attributes: {
        [attribute.resource]: 'pods', [attribute.namespace]: namespace, [attribute.podName]: name, [attribute.objectName]: name, [attribute.podUid]: uid, [attribute.uid]: uid,
        [attribute.versionRead]: resourceVersion, [attribute.updateType]: this.stage === 'syncing' ? (this.runtimePod.sandboxes.length === 0 ? 'create' : 'update') : 'kill',
      },
    }, work);
  }

  /** Resolves with the time after which to look again; undefined: something has to happen first. */
  async #stepOnce(signal: AbortSignal): Promise<number | undefined> {
    switch (this.stage) {
      case 'syncing': return this.#sync(signal);
      case 'terminating': return this.#terminate(signal);
      case 'terminated': return this.#finish();
      case 'finished': return undefined;
    }
  }

  async #observe(): Promise<RuntimePod> {
    this.#hasNews = false;
    this.runtimePod = await this.#services.runtime.pod(this.uid, namespaceOf(this.pod), this.pod.metadata.name);
    return this.runtimePod;
  }

  readonly #probeResults: ProbeResults = (type, containerId) => this.#services.probes.verdictById(this.uid, type, containerId);

  async #sync(signal: AbortSignal): Promise<number | undefined> {
    const { probes, runner, random, syncFrequencyMs, networkProblem, keepMirror, onEvent } = this.#services;
    await this.#observe();
    this.#takeResize();
    const pod = this.allocatedPod;
    probes.addPod(pod, this.#previousStatus());
    const status = this.#publish(false);
    if (isTerminalPhase(status.phase)) return this.#terminateNow();
    const deadlineMs = this.#remainingDeadlineMs(status);
    if (deadlineMs !== undefined && deadlineMs <= 0) {
      const text = 'Pod was active on the node longer than the specified deadline';
      onEvent(pod, undefined, 'Normal', 'DeadlineExceeded', text);
      this.end({ reason: 'DeadlineExceeded', message: text });
      return 0;
    }
    if (isStaticPod(pod)) keepMirror(pod);
    const problem = usesHostNetwork(pod) ? undefined : networkProblem();
    if (problem !== undefined) {
      onEvent(pod, undefined, 'Warning', 'NetworkNotReady', `network is not ready: ${problem}`);
      return NETWORK_RETRY_MS;
    }
    const objects = await this.#setUpVolumes();
    if (!objects) return Math.min(VOLUME_RETRY_FIRST_MS * 2 ** (this.#volumeFailures - 1), VOLUME_RETRY_LONGEST_MS);
    signal.throwIfAborted();

    const resizes = await this.#actuate(pod);
    const actions = withRestarts(computePodActions(pod, this.runtimePod, this.#probeResults), resizes);
    let retryAfterMs: number | undefined;
    if (hasWork(actions, this.runtimePod)) {
      const outcome = await runner.carryOut({ pod, runtimePod: this.runtimePod, actions, objects, context: this.#services.context(), signal }).catch(async (error: unknown) => {
        await this.#observe();
        this.#publish(false);
        throw error;
      });
      for (const [name, failure] of outcome.starts) {
        if (failure) this.#startFailures.set(name, failure);
        else this.#startFailures.delete(name);
      }
      const isNewsOfSandbox = actions.createSandbox && [...outcome.starts.values()].some((failure) => failure?.reason === 'ErrImagePull');
      if (isNewsOfSandbox) retryAfterMs = NEW_SANDBOX_MS;
      else if (outcome.retryAfterMs !== undefined) retryAfterMs = outcome.retryAfterMs === FAILED_SYNC_MS ? jitterMs(random, FAILED_SYNC_MS, 0.5) : outcome.retryAfterMs;
      signal.throwIfAborted();
      await this.#observe();
      const after = this.#publish(false);
      if (isTerminalPhase(after.phase)) return this.#terminateNow();
      probes.trigger(this.uid);
      const next = withoutFailed(computePodActions(pod, this.runtimePod, this.#probeResults), this.#startFailures);
      if (hasWork(next, this.runtimePod)) this.#isWanted = true;
    } else {
      probes.trigger(this.uid);
    }
    const resyncMs = jitterMs(random, syncFrequencyMs, 0.5);
    return Math.max(0, Math.min(retryAfterMs ?? Infinity, deadlineMs ?? Infinity, resyncMs));
  }

  /** Gives the pod what it asks for, if the node has it. */
  #takeResize(): void {
    const { pod } = this;
    const { metadata: { generation } } = pod;
    const { resizeRefusal, onEvent } = this.#services;
    if (isAllocated(pod, this.#allocation)) {
      if (this.#resize.pending) this.#resize = this.#resize.inProgress ? { inProgress: this.#resize.inProgress } : {}; // asked for what it has
      return;
    }
    const refusal = resizeRefusal(pod);
    if (refusal) {
      const before = this.#resize.pending;
      if (before?.reason !== refusal.reason || before.generation !== generation) onEvent(pod, undefined, 'Warning', `Resize${refusal.reason}`, `Pod resize ${refusal.reason}: ${resizeEventText(pod, generation, refusal.message)}`);
      this.#resize = { ...this.#resize, pending: { ...refusal, generation } };
      return;
    }
    this.#allocation = allocationOf(pod);
    this.#resize = { inProgress: { generation } };
    onEvent(pod, undefined, 'Normal', 'ResizeStarted', `Pod resize started: ${resizeEventText(pod, generation)}`);
  }

  /** Changes the running containers to what the pod has been given; resolves with those that have to be restarted for it. */
  async #actuate(pod: Pod): Promise<ContainerResize[]> {
    const { runner, onEvent } = this.#services;
    const { inProgress } = this.#resize;
    const resizes = pendingResizes(pod, this.runtimePod, runner.cpuPeriodUs);
    const error = await runner.resize(pod, resizes.filter(({ needsRestart }) => !needsRestart));
    if (resizes.length > 0) await this.#observe();
    if (error !== undefined) {
      if (inProgress && inProgress.error !== error) onEvent(pod, undefined, 'Warning', 'ResizeError', `Pod resize error: ${resizeEventText(pod, inProgress.generation, error)}`);
      this.#resize = { ...this.#resize, inProgress: { generation: inProgress?.generation ?? pod.metadata.generation, error } };
    } else if (inProgress && pendingResizes(pod, this.runtimePod, runner.cpuPeriodUs).length === 0) {
      onEvent(pod, undefined, 'Normal', 'ResizeCompleted', `Pod resize completed: ${resizeEventText(pod, inProgress.generation)}`);
      this.#resize = this.#resize.pending ? { pending: this.#resize.pending } : {};
    }
    if (inProgress) this.#publish(false);
    return resizes.filter(({ needsRestart }) => needsRestart);
  }

  #terminateNow(): number {
    this.#beginTermination();
    return 0;
  }

  /** Undefined after a failure, which has been told in events. */
  async #setUpVolumes(): Promise<ReferencedObjects | undefined> {
    const { volumes, objects: read, context, clock, onEvent } = this.#services;
    const { pod } = this;
    this.#volumesWantedMs ??= steadily(clock).nowMs();
    try {
      await volumes.preparePod(this.uid);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      onEvent(pod, undefined, 'Warning', 'FailedToMakePodDataDirectories', `error making pod data directories: ${(error as Error).message}`);
      return undefined;
    }
    let objects: ReferencedObjects | undefined;
    let failures: readonly VolumeFailure[];
    try {
      objects = await read(pod);
      failures = await volumes.setUp({ pod, objects, context: { ...context(), podIPs: this.#podIPs() } });
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error;
      failures = (pod.spec.volumes ?? []).filter(({ configMap, secret, projected }) => configMap ?? secret ?? projected).map(({ name }) => ({ volume: name, reason: 'FailedMount', message: `MountVolume.SetUp failed for volume ${JSON.stringify(name)} : ${error.message}` }));
      if (failures.length === 0) throw error;
    }
    // Volumes of a pod that runs already: what cannot be refreshed now is left as it is.
    for (const { reason, message } of failures) onEvent(pod, undefined, 'Warning', reason, message);
    if (failures.length === 0) {
      this.#volumeFailures = 0;
      this.#volumesWantedMs = undefined;
      this.#saidTimeout = false;
      return objects;
    }
    this.#volumeFailures += 1;
    if (!this.#saidTimeout && steadily(clock).nowMs() - this.#volumesWantedMs > VOLUME_TIMEOUT_MS) {
      this.#saidTimeout = true;
      const names = failures.map(({ volume }) => volume).join(' ');
      onEvent(pod, undefined, 'Warning', 'FailedMount', `Unable to attach or mount volumes: unmounted volumes=[${names}], unattached volumes=[], failed to process volumes=[]: context deadline exceeded`);
    }
    return objects && liveContainers(this.runtimePod).length > 0 ? objects : undefined;
  }

  #podIPs(): readonly string[] {
    return this.runtimePod.sandboxes[0]?.ips ?? [];
  }

  #remainingDeadlineMs({ startTime }: PodStatus): number | undefined {
    const { activeDeadlineSeconds } = this.pod.spec;
    const startedMs = startTime === undefined ? undefined : parseTimeOrUndefined(startTime);
    return activeDeadlineSeconds === undefined || startedMs === undefined ? undefined : startedMs + activeDeadlineSeconds * 1000 - this.#services.clock.nowMs();
  }

  async #terminate(signal: AbortSignal): Promise<number | undefined> {
    const { probes, runner } = this.#services;
    await this.#observe();
    this.#publish(false);
    probes.stopLivenessAndStartup(this.uid);
    await runner.killPod(this.pod, this.runtimePod, this.#graceSeconds, signal);
    await this.#observe();
    const left = liveContainers(this.runtimePod).filter(({ state }) => state === 'running');
    if (left.length > 0) throw new Error(`detected running containers after a successful KillPod: ${left.map(({ name }) => name).join(', ')}`);
    probes.removePod(this.uid);
    this.#publish(true);
    this.stage = 'terminated';
    this.#isWanted = true;
    return undefined;
  }

  async #finish(): Promise<number | undefined> {
    const { statuses, volumes, onFinished } = this.#services;
    const status = statuses.get(this.uid) ?? this.#publish(true);
    statuses.set(this.pod, terminatedStatus(status, isStaticPod(this.pod)));
    await volumes.tearDownVolumes(this.uid);
    await onFinished(this);
    this.stage = 'finished';
    this.#services.signal.removeEventListener('abort', this.#stop);
    statuses.wake(this.uid);
    return undefined;
  }

  #previousStatus(): PodStatus {
    const { statuses, knownStatus } = this.#services;
    return statuses.get(this.uid) ?? knownStatus(this.pod) ?? this.pod.status ?? {};
  }

  #publish(isTerminal: boolean): PodStatus {
    const { statuses, probes, clock, runtime, context, runner } = this.#services;
    const { pod, runtimePod } = this;
    if (this.#ended?.isRejected === true) {
      const rejected = rejectedStatus(pod, this.#ended, this.#previousStatus(), clock.nowMs());
      statuses.set(pod, rejected);
      return rejected;
    }
    const status = podStatus({
      pod: withAllocation(pod, this.#allocation), runtimePod, isTerminal, ended: this.#ended, resize: this.#resize, cpuPeriodUs: runner.cpuPeriodUs,
      previous: this.#previousStatus(),
      startFailures: this.#startFailures,
      readiness: {
        isStarted: ({ name, startupProbe }, id) => !startupProbe || probes.verdict(this.uid, name, 'startup', id) === 'success',
        isReady: ({ name, readinessProbe }, id) => !readinessProbe || probes.verdict(this.uid, name, 'readiness', id) === 'success',
      },
      runtimeName: runtime.identity.name,
      hostIPs: context().hostIPs,
      nowMs: clock.nowMs(),
    });
    statuses.set(pod, status);
    return status;
  }
}

function isSameButStatus(left: Pod, right: Pod): boolean {
  const still = ({ metadata: { resourceVersion: _, managedFields: __, ...metadata }, spec }: Pod): unknown => ({ metadata, spec });
  return semanticEqual(still(left), still(right));
}

function hasWork({ killPod, createSandbox, containersToKill, ephemeralContainersToStart, initContainersToStart, containersToStart }: PodActions, runtimePod: RuntimePod): boolean {
  const isAlive = liveContainers(runtimePod).length > 0 || runtimePod.sandboxes.some(({ isReady }) => isReady);
  return (killPod && isAlive) || createSandbox || containersToKill.length + ephemeralContainersToStart.length + initContainersToStart.length + containersToStart.length > 0;
}

/** Containers whose new resources need a restart are ended; the next look starts them again. */
function withRestarts(actions: PodActions, resizes: readonly ContainerResize[]): PodActions {
  const kills = resizes.filter(({ id }) => !actions.containersToKill.some(({ containerId }) => containerId === id))
    .map(({ id, container }) => ({ containerId: id, name: container.name, reason: 'changed' as const, message: `Container ${container.name} resize requires restart` }));
  return kills.length === 0 || actions.killPod ? actions : { ...actions, containersToKill: [...actions.containersToKill, ...kills], containersToStart: [...actions.containersToStart, ...resizes.map(({ container }) => container).filter((container) => !actions.containersToStart.includes(container))] };
}

/** What would be done next but for what has just failed and waits for its time. */
function withoutFailed(actions: PodActions, failures: ReadonlyMap<string, WaitingReason>): PodActions {
  const due = <T extends { readonly name: string }>(containers: readonly T[]): T[] => containers.filter(({ name }) => !failures.has(name));
  return {
    ...actions,
    ephemeralContainersToStart: due(actions.ephemeralContainersToStart),
    initContainersToStart: due(actions.initContainersToStart),
    containersToStart: due(actions.containersToStart),
  };
}
