// Watches over what the node runs short of, tells its conditions, frees what nobody uses, and ends pods when that is not
// enough. Source: pkg/kubelet/eviction/eviction_manager.go.
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Pod, PodCondition } from '#lib/kinds/types/core-v1.ts';
import { evictionMessage, ranked, reclaimText, storageExcess, type PodUsage } from '../core/eviction/ranking.ts';
import { isMet, noThresholdState, pressureOf, resourceOf, thresholdRound, type Threshold, type ThresholdState } from '../core/eviction/thresholds.ts';
import type { Pressure } from '../core/node-status.ts';
import { DEFAULT_GRACE_SECONDS, fullNameOf, isCriticalPod, uidOf } from '../core/pod-spec.ts';
import type { NodeStats } from './node-stats.ts';
import type { EndReason, PodWorker } from './pod-worker.ts';
import type { PodWorkers } from './pod-workers.ts';

/** Milliseconds. Source: evictionMonitoringPeriod, podCleanupTimeout, podCleanupPollFreq. */
const ROUND_MS = 10_000;
const CLEANUP_TIMEOUT_MS = 30_000;
const CLEANUP_LOOK_MS = 1_000;
/** What a pod gets at a hard threshold, and over its storage limit. Seconds. Source: immediateEvictionGracePeriodSeconds. */
const IMMEDIATE_GRACE_SECONDS = 1;

export const disruptionTarget = (message: string): PodCondition => ({ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message });

export interface EvictionOptions extends Environment {
  readonly stats: NodeStats;
  readonly workers: () => PodWorkers;
  readonly thresholds: readonly Threshold[];
  readonly transitionMs: number;
  readonly maxPodGraceSeconds: number;
  readonly isolatesLocalStorage: boolean;
  /** Removes dead containers and unused images. */
  readonly freeDisk: () => Promise<void>;
  readonly onPressures: (pressures: ReadonlySet<Pressure>) => void;
  readonly onPodEvent: (pod: Pod, reason: string, message: string) => void;
  readonly onNodeEvent: (reason: string, message: string) => void;
  readonly signal: AbortSignal;
}

export class EvictionManager {
  readonly #options: EvictionOptions;
  #state: ThresholdState = noThresholdState;
  #pressures: ReadonlySet<Pressure> = new Set();

  constructor(options: EvictionOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { clock, log, signal } = this.#options;
    while (!signal.aborted) {
      const evicted = await this.#round().catch((error: unknown): PodWorker[] => {
        if (!signal.aborted) log.error({ err: error }, 'eviction manager: cannot look at the node');
        return [];
      });
      if (evicted.length > 0) await this.#cleanedUp(evicted);
      else await clock.sleep(ROUND_MS, signal).catch(() => undefined);
    }
  }

  /** Resolves with the pods it ended. */
  async #round(): Promise<PodWorker[]> {
    const { stats, thresholds, transitionMs, clock, log, onPressures, onNodeEvent, isolatesLocalStorage } = this.#options;
    const observations = await stats.observations();
    const { state, pressures, due } = thresholdRound(thresholds, observations, this.#state, { nowMs: steadily(clock).nowMs(), transitionMs });
    this.#state = state;
    if ([...pressures].sort().join() !== [...this.#pressures].sort().join()) {
      log.warn({ pressures: [...pressures] }, 'pressure on the node changed');
      this.#pressures = pressures;
      onPressures(pressures);
    }
    const active = this.#active();
    if (isolatesLocalStorage && active.some(({ pod }) => mayExceedStorage(pod))) {
      const evicted = await this.#evictForStorage(active);
      if (evicted.length > 0) return evicted;
    }
    const [threshold] = due;
    if (!threshold) return [];
    const resource = resourceOf(threshold.signal);
    log.warn({ signal: threshold.signal, observed: observations.get(threshold.signal) }, 'eviction threshold is met');
    onNodeEvent('EvictionThresholdMet', reclaimText(threshold));
    if (pressureOf(threshold.signal) === 'DiskPressure') {
      await this.#options.freeDisk();
      const after = await stats.observations();
      if (!due.some((one) => isMet(one, after, true))) return []; // that was enough
    }
    const usages = await stats.podUsages();
    for (const pod of ranked(active.map((worker) => worker.pod), resource, (one) => usages.get(uidOf(one)))) {
      const worker = active.find(({ uid }) => uid === uidOf(pod));
      const grace = threshold.graceMs === 0 ? IMMEDIATE_GRACE_SECONDS : Math.min(this.#options.maxPodGraceSeconds, pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS);
      if (worker && this.#evict(worker, grace, evictionMessage(resource, pod, threshold, observations, usages.get(uidOf(pod))))) return [worker];
    }
    log.error('eviction manager: there is no pod that may be ended');
    return [];
  }

  #active(): PodWorker[] {
    return this.#options.workers().all().filter(({ stage }) => stage === 'syncing');
  }

  async #evictForStorage(active: readonly PodWorker[]): Promise<PodWorker[]> {
    const usages: ReadonlyMap<string, PodUsage> = await this.#options.stats.podUsages();
    return active.filter((worker) => {
      const usage = usages.get(worker.uid);
      const message = usage && storageExcess(worker.pod, usage);
      return message !== undefined && this.#evict(worker, IMMEDIATE_GRACE_SECONDS, message);
    });
  }

  #evict(worker: PodWorker, graceSeconds: number, message: string): boolean {
    const { log, onPodEvent } = this.#options;
    if (isCriticalPod(worker.pod)) {
      log.error({ pod: fullNameOf(worker.pod) }, 'eviction manager: cannot evict a critical pod');
      return false;
    }
    const reason: EndReason = { reason: 'Evicted', message, graceSeconds, conditions: [disruptionTarget(message)] };
    onPodEvent(worker.pod, reason.reason, message);
    log.info({ pod: fullNameOf(worker.pod), message }, 'evicting pod');
    worker.end(reason);
    return true;
  }

  /** What an ended pod frees must be seen before another one is ended. */
  async #cleanedUp(evicted: readonly PodWorker[]): Promise<void> {
    const { clock, signal } = this.#options;
    const endMs = steadily(clock).nowMs() + CLEANUP_TIMEOUT_MS;
    while (!signal.aborted && steadily(clock).nowMs() < endMs && evicted.some(({ stage }) => stage !== 'finished')) await clock.sleep(CLEANUP_LOOK_MS, signal).catch(() => undefined);
  }
}

/** Only then are its files counted. */
function mayExceedStorage({ spec }: Pod): boolean {
  return (spec.volumes ?? []).some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined) || spec.containers.some(({ resources }) => resources?.limits?.['ephemeral-storage'] !== undefined);
}
