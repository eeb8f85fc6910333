// Carries out on the runtime what the core decided about one pod: sandbox, containers, hooks, kills.
// Source: pkg/kubelet/kuberuntime.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { isNotFound } from '#lib/cri/client.ts';
import type { Image, PodSandboxConfig, Sent } from '#lib/cri/messages.ts';
import type { Container, EphemeralContainer, LifecycleHandler, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import { BackOff, goSeconds, type BackOffLimits } from '../core/back-off.ts';
import type { ContainerKill, PodActions } from '../core/compute-actions.ts';
import { containerHash } from '../core/container-hash.ts';
import { podDns, type DnsSettings } from '../core/dns.ts';
import type { FieldContext } from '../core/downward-api.ts';
import { ConfigurationError, environmentOf, type ReferencedObjects } from '../core/environment-variables.ts';
import { DEFAULT_GRACE_SECONDS, describePod, findContainer, fullNameOf, isSidecar, sidecarsOf, uidOf, usesHostNetwork } from '../core/pod-spec.ts';
import type { ContainerResize } from '../core/resize.ts';
import { probeGraceSeconds } from '../core/probe-state.ts';
import { podCgroupParent } from '../core/resources.ts';
import type { WaitingReason } from '../core/pod-status.ts';
import { containerConfig, podLogFolder, sandboxConfig } from '../core/runtime-config.ts';
import { liveContainers, newestContainer, type RuntimeContainer, type RuntimePod } from '../core/runtime-pod.ts';
import { httpGet, runCommand, type HandlerTarget } from './handlers.ts';
import type { ImagePuller } from './image-puller.ts';
import { linkLog, logLinkOf, mountsOf } from './pod-files.ts';
import { errorText, type Runtime } from './runtime.ts';
import { StartFailure } from './start-failure.ts';
import type { Volumes } from './volumes.ts';

/** A container gets at least this long to end by itself. Seconds. Source: minimumGracePeriodInSeconds. */
const LEAST_GRACE_SECONDS = 2;
/** Added to the grace for the call that stops a container. Milliseconds. Source: runtimeRequestTimeout. */
const STOP_MARGIN_MS = 120_000;
const SANDBOX_TIMEOUT_MS = 240_000;
const HOOK_TIMEOUT_MS = 60_000;

export interface PodRunnerOptions extends Environment {
  readonly runtime: Runtime;
  readonly puller: ImagePuller;
  readonly volumes: Volumes;
  readonly crashLimits: BackOffLimits;
  readonly logsRoot: string;
  readonly cgroupRoot: string;
  readonly cgroupsPerQos: boolean;
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  readonly hostDns: DnsSettings;
  readonly memoryCapacity: number;
  readonly cpuPeriodUs: number;
  /** Makes the pod's cgroup and sets its limits. */
  readonly limitPod: (pod: Pod, cgroupParent: string) => Promise<void>;
  /** What the runtime calls a RuntimeClass; rejects for one that is not there. */
  readonly runtimeHandler: (runtimeClass: string) => Promise<string>;
  /** Bytes; 0 when it is not known. */
  readonly memoryUsageOf: (containerId: string) => Promise<number>;
  readonly services: (pod: Pod) => Promise<readonly Service[]>;
  /** `container` undefined: about the pod itself. */
  readonly onEvent: (pod: Pod, container: string | undefined, type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

export interface RunInputs {
  readonly pod: Pod;
  readonly runtimePod: RuntimePod;
  readonly actions: PodActions;
  readonly objects: ReferencedObjects;
  /** Without the pod's addresses, which are known once it has a sandbox. */
  readonly context: FieldContext;
  readonly signal: AbortSignal;
}

export interface RunOutcome {
  /** Containers that a start was tried for: undefined when it worked. */
  readonly starts: ReadonlyMap<string, WaitingReason | undefined>;
  /** When to come back because of a failure; undefined: nothing failed. Milliseconds. */
  readonly retryAfterMs: number | undefined;
}

interface Started {
  readonly sandboxId: string;
  readonly config: Sent<PodSandboxConfig>;
  readonly podIPs: readonly string[];
}

export class PodRunner {
  readonly #options: PodRunnerOptions;
  readonly #backOff: BackOff;

  constructor(options: PodRunnerOptions) {
    this.#options = options;
    this.#backOff = new BackOff(options.crashLimits);
  }

  /** Throws when the sandbox cannot be made or something cannot be killed; failed starts of containers are told in the outcome. */
  async carryOut(inputs: RunInputs): Promise<RunOutcome> {
    const { pod, runtimePod, actions } = inputs;
    if (actions.killPod) {
      if (actions.createSandbox && runtimePod.sandboxes.length > 0) this.#options.onEvent(pod, undefined, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
      await this.killPod(pod, runtimePod, undefined, inputs.signal);
    } else {
      await Promise.all(actions.containersToKill.map((kill) => this.#killOne(pod, runtimePod, kill, inputs.signal)));
    }
    const wanted = [...actions.ephemeralContainersToStart, ...actions.initContainersToStart, ...actions.containersToStart];
    const starts = new Map<string, WaitingReason | undefined>();
    if (wanted.length === 0 && !actions.createSandbox) return { starts, retryAfterMs: undefined };
    inputs.signal.throwIfAborted();
    const sandbox = await this.#sandbox(inputs);
    let retryAfterMs: number | undefined;
    for (const container of wanted) {
      inputs.signal.throwIfAborted();
      const failure = await this.#tryStart(inputs, container, sandbox);
      starts.set(container.name, failure && { reason: failure.reason, message: failure.message });
      if (!failure) continue;
      const delayMs = failure.retryAfterMs ?? FAILED_SYNC_MS;
      retryAfterMs = Math.min(retryAfterMs ?? Infinity, delayMs);
      // Init containers go one by one; the others are tried whatever befalls their neighbours.
      if (actions.initContainersToStart.includes(container) && !isSidecar(container)) break;
    }
    return { starts, retryAfterMs };
  }

  get cpuPeriodUs(): number {
    return this.#options.cpuPeriodUs;
  }

  /** Changes containers while they run, then the pod's own cgroup. Returns what went wrong; undefined: nothing. */
  async resize(pod: Pod, resizes: readonly ContainerResize[]): Promise<string | undefined> {
    const { runtime, memoryUsageOf, limitPod, cgroupRoot, cgroupsPerQos } = this.#options;
    for (const { id, container, resources } of resizes) {
      const { memoryLimitInBytes: limit } = resources;
      const usage = limit > 0 ? await memoryUsageOf(id) : 0;
      // The kernel would kill it, or refuse.
      if (limit > 0 && usage > limit) return `cannot decrease memory limit of container ${container.name} to ${limit}: it is below the current usage ${usage}`;
      try {
        await runtime.cri.updateContainerResources({ containerId: id, linux: resources });
      } catch (error) {
        return `failed to resize container ${container.name}: ${errorText(error)}`;
      }
    }
    if (resizes.length > 0) await limitPod(pod, podCgroupParent(pod, cgroupRoot, cgroupsPerQos));
    return undefined;
  }

  /** All containers in parallel, sidecars after the others in reverse order, then the sandboxes. `graceSeconds` undefined: the pod's own. */
  async killPod(pod: Pod, runtimePod: RuntimePod, graceSeconds: number | undefined, signal: AbortSignal): Promise<void> {
    const sidecars = sidecarsOf(pod).map(({ name }) => name);
    const live = liveContainers(runtimePod);
    const startedMs = this.#steadyMs();
    const stop = (container: RuntimeContainer): Promise<void> =>
      this.#stopContainer({ pod, container, message: '', graceSeconds: graceSeconds ?? graceOf(pod), signal, startedMs });
    await Promise.all(live.filter(({ name }) => !sidecars.includes(name)).map(stop));
    for (const name of sidecars.reverse()) {
      const container = live.find((one) => one.name === name);
      if (container) await stop(container);
    }
    for (const { id, isReady } of runtimePod.sandboxes) {
      if (!isReady && runtimePod.sandboxes[0]?.id !== id) continue;
      await this.#options.runtime.cri.stopPodSandbox({ podSandboxId: id }, { signal }).catch(ignoreNotFound);
    }
  }

  /** A running pod that nobody asked for, known by its labels only. */
  async killOrphan(runtimePod: RuntimePod, signal: AbortSignal): Promise<void> {
    const { cri } = this.#options.runtime;
    await Promise.all(liveContainers(runtimePod).map(({ id }) => cri.stopContainer({ containerId: id, timeout: LEAST_GRACE_SECONDS }, { signal }).catch(ignoreNotFound)));
    for (const { id } of runtimePod.sandboxes) await cri.stopPodSandbox({ podSandboxId: id }, { signal }).catch(ignoreNotFound);
  }

  #steadyMs(): number {
    return steadily(this.#options.clock).nowMs();
  }

  async #killOne(pod: Pod, runtimePod: RuntimePod, kill: ContainerKill, signal: AbortSignal): Promise<void> {
    const container = runtimePod.containers.find(({ id }) => id === kill.containerId);
    const spec = findContainer(pod, kill.name);
    if (!container || !spec) return;
    const probe = kill.reason === 'livenessProbe' ? 'liveness' : kill.reason === 'startupProbe' ? 'startup' : undefined;
    const graceSeconds = pod.metadata.deletionGracePeriodSeconds ?? (probe ? probeGraceSeconds(pod, spec, probe) : undefined) ?? graceOf(pod);
    await this.#stopContainer({ pod, container, message: kill.message, graceSeconds, signal, startedMs: this.#steadyMs() });
  }

  async #stopContainer({ pod, container, message, graceSeconds, signal, startedMs }: StopInputs): Promise<void> {
    const { runtime, onEvent } = this.#options;
    onEvent(pod, container.name, 'Normal', 'Killing', message === '' ? `Stopping container ${container.name}` : message);
    const spec = findContainer(pod, container.name);
    const preStop = spec?.lifecycle?.preStop;
    const deadlineMs = startedMs + graceSeconds * 1000;
    if (preStop && spec && graceSeconds > 0 && container.state === 'running') {
      const withinMs = Math.max(0, deadlineMs - this.#steadyMs());
      const problem = await this.#runHook(preStop, { runtime, container: spec, containerId: container.id, host: this.#hostOf(pod, []) }, withinMs, signal);
      if (problem !== undefined) onEvent(pod, container.name, 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
    }
    const leftSeconds = Math.max(LEAST_GRACE_SECONDS, Math.ceil((deadlineMs - this.#steadyMs()) / 1000));
    await runtime.cri.stopContainer({ containerId: container.id, timeout: leftSeconds }, { timeoutMs: leftSeconds * 1000 + STOP_MARGIN_MS, signal }).catch(ignoreNotFound);
  }

  /** Addresses by which hooks reach their pod over HTTP: filled in when a sandbox is at hand. */
  readonly #addresses = new Map<string, string>();
  #hostOf(pod: Pod, podIPs: readonly string[]): string {
    if (podIPs[0] !== undefined) this.#addresses.set(uidOf(pod), podIPs[0]);
    return usesHostNetwork(pod) ? '127.0.0.1' : this.#addresses.get(uidOf(pod)) ?? pod.status?.podIP ?? '127.0.0.1';
  }
  forget(uid: string): void {
    this.#addresses.delete(uid);
    this.#backOff.collect(this.#options.clock.nowMs());
  }

  /** Returns what went wrong; undefined: nothing. */
  async #runHook(hook: LifecycleHandler, target: HandlerTarget, withinMs: number, signal: AbortSignal): Promise<string | undefined> {
    const { clock, log } = this.#options;
    try {
      if (hook.exec) {
        const { result, output } = await runCommand(hook.exec, target, Math.max(1000, withinMs));
        return result === 'success' ? undefined : output;
      }
      if (hook.httpGet) {
        const { result, output } = await httpGet(hook.httpGet, target, Math.max(1000, withinMs), 'kube-lifecycle/1.36');
        return result === 'success' ? undefined : output;
      }
      if (hook.sleep) await clock.sleep(Math.min(hook.sleep.seconds * 1000, withinMs), signal);
      return undefined;
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn({ err: error, container: target.container.name }, 'lifecycle hook failed');
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #sandbox({ pod, runtimePod, actions }: RunInputs): Promise<Started> {
    const { runtime, logsRoot, cgroupRoot, cgroupsPerQos, clusterDns, clusterDomain, hostDns, onEvent } = this.#options;
    const dns = podDns({ pod, host: hostDns, clusterDns, clusterDomain });
    const config = sandboxConfig({
      pod, attempt: actions.attempt, logsRoot, dns: { servers: dns.servers, searches: dns.searches, options: dns.options }, clusterDomain,
      cgroupParent: podCgroupParent(pod, cgroupRoot, cgroupsPerQos),
    });
    if (!actions.createSandbox) {
      const [current] = runtimePod.sandboxes;
      return { sandboxId: actions.sandboxId, config, podIPs: current?.ips ?? [] };
    }
    for (const { reason, message } of dns.warnings) onEvent(pod, undefined, 'Warning', reason, reason === 'MissingClusterDNS' ? `pod: ${JSON.stringify(describePod(pod))}. ${message}` : message);
    await mkdir(join(logsRoot, podLogFolder(pod)), { recursive: true, mode: 0o755 });
    await this.#options.limitPod(pod, config.linux?.cgroupParent ?? '');
    let sandboxId: string;
    try {
      const runtimeHandler = pod.spec.runtimeClassName ? await this.#options.runtimeHandler(pod.spec.runtimeClassName) : '';
      ({ podSandboxId: sandboxId } = await runtime.cri.runPodSandbox({ config, runtimeHandler }, { timeoutMs: SANDBOX_TIMEOUT_MS }));
    } catch (error) {
      onEvent(pod, undefined, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${errorText(error)}`);
      throw new Error(`cannot create sandbox of ${fullNameOf(pod)}: ${errorText(error)}`, { cause: error });
    }
    if (usesHostNetwork(pod)) return { sandboxId, config, podIPs: [] };
    const { status } = await runtime.cri.podSandboxStatus({ podSandboxId: sandboxId });
    const { ip = '', additionalIps = [] } = status?.network ?? {};
    return { sandboxId, config, podIPs: ip === '' ? [] : [ip, ...additionalIps.map((one) => one.ip)] };
  }

  async #tryStart(inputs: RunInputs, container: Container, sandbox: Started): Promise<StartFailure | undefined> {
    const { pod } = inputs;
    try {
      this.#checkBackOff(inputs, container);
      await this.#start(inputs, container, sandbox);
      return undefined;
    } catch (error) {
      if (inputs.signal.aborted) throw error;
      if (!(error instanceof StartFailure)) throw error;
      if (error.eventText !== undefined) this.#options.onEvent(pod, container.name, 'Warning', 'Failed', `Error: ${error.eventText}`);
      return error;
    }
  }

  #checkBackOff({ pod, runtimePod }: RunInputs, container: Container): void {
    const last = runtimePod.containers.find(({ name, state }) => name === container.name && state === 'exited');
    if (!last) return;
    const nowMs = this.#options.clock.nowMs();
    const key = `${pod.metadata.name}/${uidOf(pod)}/${container.name}/${containerHash(container)}`;
    const waitMs = this.#backOff.remainingSinceMs(key, last.finishedAtMs, { wallMs: nowMs, steadyMs: this.#steadyMs() });
    if (waitMs > 0) {
      this.#options.onEvent(pod, container.name, 'Warning', 'BackOff', `Back-off restarting failed container ${container.name} in pod ${describePod(pod)}`);
      throw new StartFailure('CrashLoopBackOff', `back-off ${goSeconds(this.#backOff.delayMs(key))} restarting failed container=${container.name} pod=${describePod(pod)}`, { retryAfterMs: waitMs });
    }
    this.#backOff.next(key, last.finishedAtMs, nowMs);
  }

  async #start(inputs: RunInputs, container: Container, sandbox: Started): Promise<void> {
    const { pod, objects, signal } = inputs;
    const { runtime, puller, onEvent, logsRoot } = this.#options;
    const image = await puller.ensure(pod, container, sandbox.config, objects, signal);
    const restartCount = await this.#restartCount(inputs, container);
    const config = await this.#containerConfig(inputs, container, { sandbox, image, restartCount }).catch((error: unknown) => {
      if (!(error instanceof ConfigurationError)) throw error;
      throw new StartFailure('CreateContainerConfigError', error.message, { eventText: error.message, cause: error });
    });
    await mkdir(join(logsRoot, podLogFolder(pod), container.name), { recursive: true, mode: 0o755 });
    let containerId: string;
    try {
      ({ containerId } = await runtime.cri.createContainer({ podSandboxId: sandbox.sandboxId, config, sandboxConfig: sandbox.config }));
    } catch (error) {
      throw startFailure('CreateContainerError', error);
    }
    onEvent(pod, container.name, 'Normal', 'Created', 'Container created');
    try {
      await runtime.cri.startContainer({ containerId });
    } catch (error) {
      throw startFailure('RunContainerError', error);
    }
    onEvent(pod, container.name, 'Normal', 'Started', 'Container started');
    await linkLog(logLinkOf(pod, container.name, containerId), join(logsRoot, podLogFolder(pod), container.name, `${restartCount}.log`));
    await this.#postStart(inputs, container, containerId, sandbox);
  }

  async #postStart({ pod, signal }: RunInputs, container: Container, containerId: string, sandbox: Started): Promise<void> {
    const hook = container.lifecycle?.postStart;
    const host = this.#hostOf(pod, sandbox.podIPs);
    if (!hook) return;
    const { runtime, onEvent } = this.#options;
    const problem = await this.#runHook(hook, { runtime, container, containerId, host }, HOOK_TIMEOUT_MS, signal);
    if (problem === undefined) return;
    onEvent(pod, container.name, 'Warning', 'FailedPostStartHook', 'PostStartHook failed');
    onEvent(pod, container.name, 'Normal', 'Killing', 'FailedPostStartHook');
    await runtime.cri.stopContainer({ containerId, timeout: Math.max(LEAST_GRACE_SECONDS, graceOf(pod)) }, { timeoutMs: graceOf(pod) * 1000 + STOP_MARGIN_MS, signal }).catch(ignoreNotFound);
    throw new StartFailure('PostStartHookError', 'PostStartHook failed', { eventText: undefined });
  }

  /** After the last known instance; where the runtime has forgotten it (a reboot), after the last log. */
  async #restartCount({ pod, runtimePod }: RunInputs, { name }: Container): Promise<number> {
    const newest = newestContainer(runtimePod, name);
    if (newest) return newest.restartCount + 1;
    const logs = await readdir(join(this.#options.logsRoot, podLogFolder(pod), name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const counts = logs.flatMap((file) => /^(\d+)\.log/.exec(file)?.[1] ?? []).map(Number);
    return counts.length === 0 ? 0 : Math.max(...counts) + 1;
  }

  async #containerConfig({ pod, runtimePod, objects, context }: RunInputs, container: Container, { sandbox, image, restartCount }: Prepared): Promise<ReturnType<typeof containerConfig>> {
    const { services, volumes, clusterDomain, memoryCapacity, cpuPeriodUs } = this.#options;
    checkNonRoot(pod, container, image);
    const podIPs = usesHostNetwork(pod) ? context.hostIPs : sandbox.podIPs;
    const environment = environmentOf({ pod, container, services: await services(pod), objects, context: { ...context, podIPs } });
    const mounts = await mountsOf({ pod, container, volumes, environment, podIPs, clusterDomain, restartCount });
    const { targetContainerName } = container as EphemeralContainer;
    const targetId = targetContainerName === undefined ? undefined : newestContainer(runtimePod, targetContainerName)?.id;
    return containerConfig({ pod, container, restartCount, environment, mounts, imageRef: image.id, memoryCapacity, cpuPeriodUs, ...(targetId === undefined ? {} : { targetId }) });
  }
}

/** Wait before a failed sync is tried again; the worker adds jitter. Milliseconds. Source: backOffPeriod. */
export const FAILED_SYNC_MS = 10_000;

interface Prepared {
  readonly sandbox: Started;
  readonly image: Image;
  readonly restartCount: number;
}
interface StopInputs {
  readonly pod: Pod;
  readonly container: RuntimeContainer;
  readonly message: string;
  readonly graceSeconds: number;
  readonly signal: AbortSignal;
  readonly startedMs: number;
}

/** The runtime's message alone: the gRPC code is shown for pulls only. */
function startFailure(reason: string, error: unknown): StartFailure {
  const text = error instanceof Error ? error.message : String(error);
  return new StartFailure(reason, text, { eventText: text, cause: error });
}

const graceOf = (pod: Pod): number => pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** Source: verifyRunAsNonRoot. */
function checkNonRoot(pod: Pod, container: Container, image: Image): void {
  const mustNotBeRoot = container.securityContext?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot;
  if (mustNotBeRoot !== true) return;
  const user = container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  const where = `(pod: ${JSON.stringify(describePod(pod))}, container: ${container.name})`;
  if (user === 0) throw new ConfigurationError(`container's runAsUser breaks non-root policy ${where}`);
  if (user !== undefined) return;
  if (image.uid?.value === 0 || (image.uid === undefined && image.username === '')) throw new ConfigurationError(`container has runAsNonRoot and image will run as root ${where}`);
  if (image.username !== '') throw new ConfigurationError(`container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${where}`);
}
