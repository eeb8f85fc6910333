// Keeps one worker for each probe of each container, and the verdicts they come to.
import { trace } from '@opentelemetry/api';
import { LONGEST_TIMER_MS, steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Container, ContainerStatus, Pod, PodStatus, Probe } from '#lib/kinds/types/core-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { noteSpan } from '#lib/tracing/in-span.ts';
import type { ProbeType, ProbeVerdict } from '../core/compute-actions.ts';
import { initContainersOf, isSidecar, isTerminalPhase, uidOf, usesHostNetwork } from '../core/pod-spec.ts';
import { afterProbe, initialProbeState, probeOf, shouldProbe, type ProbeState } from '../core/probe-state.ts';
import { runProbe, type HandlerResult } from './handlers.ts';
import type { Runtime } from './runtime.ts';

const PROBE_TYPES: readonly ProbeType[] = ['liveness', 'readiness', 'startup'];
const TITLES: Readonly<Record<ProbeType, string>> = { liveness: 'Liveness', readiness: 'Readiness', startup: 'Startup' };
/**
 * A program needs a moment until it listens. Upstream asks at once, is refused, and asks again a whole period (a second at
 * least) later; here a startup probe that is refused in the container's first moments is asked again after this time, and the
 * refusal does not count. The limit is one second, and one more since start times are whole seconds. Milliseconds.
 */
const LISTEN_WAIT_MS = 100;
const LISTEN_LIMIT_MS = 2_000;
/** Of what a probe says, for traces. Characters. */
const MAX_OUTPUT = 200;
const tracer = trace.getTracer('k8s.io/kubernetes/pkg/kubelet');
/** Tries of one run when the prober itself fails. Source: maxProbeRetries. */
const TRIES = 3;

export interface ProbeManagerOptions extends Environment {
  readonly runtime: Runtime;
  readonly hostIPs: () => readonly string[];
  /** The status last computed for a pod: probes go by what it says of their container. */
  readonly statusOf: (uid: string) => PodStatus | undefined;
  readonly onVerdict: (uid: string, type: ProbeType, verdict: ProbeVerdict) => void;
  readonly onEvent: (pod: Pod, container: string, reason: 'Unhealthy' | 'ProbeWarning', message: string) => void;
  readonly signal: AbortSignal;
}

interface Worker {
  pod: Pod;
  readonly container: Container;
  readonly type: ProbeType;
  readonly probe: Probe;
  state: ProbeState;
  timer: NodeJS.Timeout | undefined;
  isBusy: boolean;
  isStopped: boolean;
}

export class ProbeManager {
  readonly #options: ProbeManagerOptions;
  readonly #workers = new Map<string, Map<string, Worker>>();
  readonly #startedMs: number;

  constructor(options: ProbeManagerOptions) {
    this.#options = options;
    this.#startedMs = steadily(options.clock).nowMs();
    options.signal.addEventListener('abort', () => {
      for (const uid of [...this.#workers.keys()]) this.removePod(uid);
    }, { once: true });
  }

  /** Starts the workers that are missing; `previous` tells what an earlier kubelet had found out. */
  addPod(pod: Pod, previous: PodStatus | undefined): void {
    const workers = this.#workers.get(uidOf(pod)) ?? new Map<string, Worker>();
    this.#workers.set(uidOf(pod), workers);
    for (const container of [...initContainersOf(pod).filter(isSidecar), ...pod.spec.containers]) {
      for (const type of PROBE_TYPES) {
        const key = `${container.name}/${type}`;
        const probe = probeOf(container, type);
        const known = workers.get(key);
        if (known) known.pod = pod;
        if (!probe || known) continue;
        const worker: Worker = { pod, container, type, probe, state: keptState(type, container, previous), timer: undefined, isBusy: false, isStopped: false };
        workers.set(key, worker);
        this.#schedule(worker, this.#firstDelayMs(probe));
      }
    }
  }

  /** Spreads the probes of all pods over one period after the kubelet itself started. */
  #firstDelayMs(probe: Probe): number {
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    const { clock, random } = this.#options;
    return steadily(clock).nowMs() - this.#startedMs < periodMs && this.#workers.size > 10 ? random.fraction() * periodMs : 0;
  }

  verdict(uid: string, container: string, type: ProbeType, containerId: string): ProbeVerdict | undefined {
    const worker = this.#workers.get(uid)?.get(`${container}/${type}`);
    if (!worker) return undefined;
    return worker.state.containerId === containerId ? worker.state.verdict : initialProbeState(type, containerId).verdict;
  }

  /** By container id alone, as the core asks. */
  verdictById(uid: string, type: ProbeType, containerId: string): ProbeVerdict | undefined {
    for (const worker of this.#workers.get(uid)?.values() ?? []) {
      if (worker.type === type && worker.state.containerId === containerId) return worker.state.verdict;
    }
    return undefined;
  }

  /** Runs the probes of a pod now: its containers changed. */
  trigger(uid: string): void {
    for (const worker of this.#workers.get(uid)?.values() ?? []) {
      if (worker.type !== 'liveness' && worker.state.verdict !== 'success' && !worker.isBusy) this.#schedule(worker, 0);
    }
  }

  stopLivenessAndStartup(uid: string): void {
    for (const [key, worker] of this.#workers.get(uid) ?? []) {
      if (worker.type === 'readiness') continue;
      this.#stop(worker);
      this.#workers.get(uid)?.delete(key);
    }
  }

  removePod(uid: string): void {
    for (const worker of this.#workers.get(uid)?.values() ?? []) this.#stop(worker);
    this.#workers.delete(uid);
  }

  #stop(worker: Worker): void {
    worker.isStopped = true;
    clearTimeout(worker.timer);
  }

  #schedule(worker: Worker, delayMs: number): void {
    clearTimeout(worker.timer);
    if (worker.isStopped || this.#options.signal.aborted) return;
    worker.timer = setTimeout(() => void this.#run(worker), Math.min(delayMs, LONGEST_TIMER_MS));
  }

  async #run(worker: Worker): Promise<void> {
    if (worker.isBusy || worker.isStopped) return;
    worker.isBusy = true;
    const clock = steadily(this.#options.clock);
    const startedMs = clock.nowMs();
    let isTooEarly = false;
    try {
      isTooEarly = await this.#probeOnce(worker);
    } catch (error) {
      this.#options.log.error({ err: error, pod: worker.pod.metadata.name, container: worker.container.name }, 'probe failed unexpectedly');
    } finally {
      worker.isBusy = false;
      const periodMs = isTooEarly ? LISTEN_WAIT_MS : (worker.probe.periodSeconds ?? 10) * 1000;
      this.#schedule(worker, Math.max(0, periodMs - (clock.nowMs() - startedMs)));
    }
  }

  /** Returns whether the container is not listening yet and is to be asked again soon. */
  async #probeOnce(worker: Worker): Promise<boolean> {
    const { clock, statusOf, onVerdict, onEvent } = this.#options;
    const { pod, container, type, probe } = worker;
    const uid = uidOf(pod);
    const status = statusOf(uid);
    if (!status || isTerminalPhase(status.phase)) return false;
    const own = findStatus(status, container.name);
    const containerId = own?.containerID?.replace(/^[^:]*:\/\//, '') ?? '';
    if (!own || containerId === '') return false;
    if (worker.state.containerId !== containerId) worker.state = initialProbeState(type, containerId);
    const startedAt = own.state?.running?.startedAt;
    if (startedAt === undefined && type === 'readiness' && worker.state.verdict !== 'failure') worker.state = { ...worker.state, verdict: 'failure' };
    const sinceStartMs = startedAt === undefined ? 0 : clock.nowMs() - (parseTimeOrUndefined(startedAt) ?? 0);
    // It started when the clock was ahead: nothing is known of how long ago. Upstream does not probe until the clock is there again.
    const runningMs = sinceStartMs < 0 ? Infinity : sinceStartMs;
    const situation = {
      type, probe,
      isRunning: own.state?.running !== undefined,
      runningSeconds: Math.floor(runningMs / 1000),
      isStarted: own.started === true,
      isTerminating: pod.metadata.deletionTimestamp !== undefined,
    };
    if (!shouldProbe(worker.state, situation)) return false;
    const host = usesHostNetwork(pod) ? this.#options.hostIPs()[0] : status.podIP;
    const outcome = await this.#tries(worker, containerId, host ?? '127.0.0.1');
    if (!outcome || worker.isStopped || worker.state.containerId !== containerId) return false;
    if (type === 'startup' && outcome.isRefused === true && startedAt !== undefined && runningMs < LISTEN_LIMIT_MS) return true;
    if (outcome.isWarning === true) onEvent(pod, container.name, 'ProbeWarning', `${TITLES[type]} probe warning: ${outcome.output}`);
    if (outcome.result === 'failure') onEvent(pod, container.name, 'Unhealthy', `${TITLES[type]} probe failed: ${outcome.output}`);
    const before = worker.state.verdict;
    worker.state = afterProbe(worker.state, outcome.result, type, probe);
    if (worker.state.verdict !== before) {
      noteSpan(tracer, 'probe', { attributes: {
        [attribute.uid]: uid, [attribute.podUid]: uid, [attribute.podName]: pod.metadata.name, [attribute.namespace]: pod.metadata.namespace, [attribute.containerName]: container.name,
        [attribute.what]: `${type} of ${container.name}: ${worker.state.verdict}${outcome.result === 'success' || outcome.output === '' ? '' : `, ${outcome.output.slice(0, MAX_OUTPUT)}`}`,
      } });
      onVerdict(uid, type, worker.state.verdict);
    }
    return false;
  }

  async #tries({ pod, container, type, probe }: Worker, containerId: string, host: string): Promise<HandlerResult | undefined> {
    const { runtime, onEvent, log } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await runProbe(probe, { runtime, container, containerId, host });
      } catch (error) {
        if (attempt < TRIES) continue;
        const text = error instanceof Error ? error.message : String(error);
        log.debug({ err: error, container: container.name, type }, 'probe could not be run');
        onEvent(pod, container.name, 'Unhealthy', `${TITLES[type]} probe errored and resulted in unknown state: ${text}`);
        return undefined;
      }
    }
  }
}

const findStatus = (status: PodStatus, name: string): ContainerStatus | undefined =>
  [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find((one) => one.name === name);

/** A kubelet that starts again keeps what its predecessor reported, so that nothing flaps. */
function keptState(type: ProbeType, container: Container, previous: PodStatus | undefined): ProbeState {
  const own = previous && findStatus(previous, container.name);
  const containerId = own?.state?.running ? own.containerID?.replace(/^[^:]*:\/\//, '') ?? '' : '';
  if (containerId === '') return initialProbeState(type, '');
  const kept = type === 'readiness' ? own?.ready === true : type === 'startup' ? own?.started === true : undefined;
  return initialProbeState(type, containerId, kept === true ? 'success' : undefined);
}
