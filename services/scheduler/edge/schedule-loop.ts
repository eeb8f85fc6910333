// Takes pods off the queue one at a time, decides, and lets the bindings be written side by side.
import { trace, type Span } from '@opentelemetry/api';
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import type { SeriesRecorder } from '#lib/api-client/series-recorder.ts';
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { isConflict, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { failSpan, inSpan } from '#lib/tracing/in-span.ts';
import { chooseNode } from '../core/choose-node.ts';
import type { ClusterState } from '../core/cluster-state.ts';
import { fitErrorText, truncatedNote } from '../core/fit-error.ts';
import type { FilterOutcome, Plugin } from '../core/framework.ts';
import { planPreemption } from '../core/preemption.ts';
import { priorityOf, type SchedulingQueue } from '../core/scheduling-queue.ts';
import { isEmptyPlan, type VolumePlan } from '../core/storage.ts';
import { bindPod, preemptVictim, reportUnscheduled, withdrawNomination } from './binder.ts';
import type { ClusterWatch } from './cluster-watch.ts';
import type { SchedulerMetrics } from './metrics.ts';
import { bindVolumes, VolumesNotBound } from './volume-binder.ts';

export interface ScheduleLoopOptions {
  readonly api: ApiClient;
  readonly environment: Environment;
  readonly state: ClusterState;
  readonly queue: SchedulingQueue;
  readonly watch: ClusterWatch;
  readonly plugins: readonly Plugin[];
  readonly events: SeriesRecorder;
  readonly metrics: SchedulerMetrics;
  readonly schedulerName: string;
}

const tracer = trace.getTracer('k8s.io/kube-scheduler');

/** Longest sleep without looking at the queue; milliseconds. Source: flushing interval of the back-off queue. */
const IDLE_LOOK_MS = 30_000;

export class ScheduleLoop {
  readonly #options: ScheduleLoopOptions;
  #wakeUp: () => void = () => undefined;
  readonly #writing = new Set<Promise<void>>();

  constructor(options: ScheduleLoopOptions) {
    this.#options = options;
  }

  wake(): void {
    this.#wakeUp();
  }

  /** Until the signal aborts; resolves when the last write has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const { queue, environment: { clock } } = this.#options;
    while (!signal.aborted) {
      const pod = queue.pop(clock.nowMs());
      if (pod) this.#scheduleOne(pod, signal);
      else await this.#sleep(Math.min(queue.nextDueMs(clock.nowMs()) ?? IDLE_LOOK_MS, IDLE_LOOK_MS), signal);
    }
    await Promise.all(this.#writing);
  }

  #sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#wakeUp = () => undefined;
        resolve();
      };
      const timer = setTimeout(wake, durationMs);
      signal.addEventListener('abort', wake, { once: true });
      this.#wakeUp = wake;
    });
  }

  #scheduleOne(queued: Pod, signal: AbortSignal): void {
    const { queue, watch } = this.#options;
    const pod = watch.pod(queued.metadata.namespace, queued.metadata.name) ?? queued;
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#sayFailed(pod, `skip schedule deleting pod: ${pod.metadata.namespace ?? ''}/${pod.metadata.name}`);
      return queue.done(pod);
    }
    const { namespace, name, uid, resourceVersion } = pod.metadata;
    const { attempts = 1, waitedMs = 0 } = queue.waitOf(pod, this.#options.environment.clock.nowMs()) ?? {};
    this.#track(inSpan(tracer, 'Scheduling', {
      root: true,
      attributes: {
        [attribute.resource]: 'pods', [attribute.namespace]: namespace, [attribute.podName]: name, [attribute.objectName]: name, [attribute.podUid]: uid, [attribute.uid]: uid,
        [attribute.versionRead]: resourceVersion, [attribute.queuedMs]: waitedMs, 'kubreak.scheduler.attempts': attempts,
      },
    }, (span) => this.#decide(pod, span, signal)));
  }

  #decide(pod: Pod, span: Span, signal: AbortSignal): Promise<void> {
    const { queue, state, watch, plugins, metrics, events, environment: { clock, random, log } } = this.#options;
    const startedMs = clock.nowMs();
    const decision = chooseNode(plugins, pod, watch.view(), random);
    const key = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
    if (decision.kind === 'unschedulable') {
      metrics.attempted('unschedulable', (clock.nowMs() - startedMs) / 1000);
      span.setAttribute(attribute.what, 'no node takes it');
      return this.#reject(pod, decision.outcome, signal);
    }
    const { nodeName, score, feasibleNodes, volumePlan } = decision;
    state.assume(pod, nodeName);
    watch.storage.assumed.assume(volumePlan);
    span.addEvent('node chosen').setAttributes({ [attribute.nodeName]: nodeName, [attribute.what]: `${nodeName}: score ${score}, of ${feasibleNodes} feasible of ${watch.view().nodes.length}` });
    return (async () => {
      try {
        await this.#bindVolumes(pod, nodeName, volumePlan, signal);
        await bindPod(this.#options.api, pod, nodeName, signal);
      } catch (error) {
        watch.storage.assumed.forget(volumePlan);
        failSpan(span, error);
        return this.#bindingFailed(pod, error, startedMs, signal);
      }
      watch.nominations.remove(pod);
      queue.done(pod);
      metrics.attempted('scheduled', (clock.nowMs() - startedMs) / 1000);
      log.info({ pod: key, node: nodeName, score, feasibleNodes }, 'bound pod to node');
      events.event(referenceTo(pod), { type: 'Normal', reason: 'Scheduled', action: 'Binding', note: `Successfully assigned ${key} to ${nodeName}` });
    })();
  }

  #sayFailed(pod: Pod, message: string): void {
    this.#options.events.event(referenceTo(pod), { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note: truncatedNote(message) });
  }

  async #bindVolumes(pod: Pod, nodeName: string, plan: VolumePlan, signal: AbortSignal): Promise<void> {
    if (isEmptyPlan(plan)) return;
    const { api, state, watch } = this.#options;
    const node = state.get(nodeName)?.node;
    if (!node) throw new VolumesNotBound(`binding volumes: failed to get node "${nodeName}": node "${nodeName}" not found`);
    const { namespace, name, uid } = pod.metadata;
    await bindVolumes({ api, storage: watch.storage, pod, node, plan, podExists: () => watch.pod(namespace, name)?.metadata.uid === uid, signal });
  }

  async #bindingFailed(pod: Pod, error: unknown, startedMs: number, signal: AbortSignal): Promise<void> {
    const { queue, state, metrics, environment: { clock, log } } = this.#options;
    if (signal.aborted) return;
    if (!(error instanceof StatusError) && !(error instanceof TransportError) && !(error instanceof VolumesNotBound)) throw error;
    state.forget(pod);
    queue.notify('AssignedPod/Delete', clock.nowMs()); // the room that it was to take is free again
    const isGone = this.#options.watch.pod(pod.metadata.namespace, pod.metadata.name)?.metadata.uid !== pod.metadata.uid;
    if (isNotFound(error) && isGone) return queue.done(pod); // deleted meanwhile
    metrics.attempted('error', (clock.nowMs() - startedMs) / 1000);
    log.warn({ err: error, pod: `${pod.metadata.namespace ?? ''}/${pod.metadata.name}` }, 'binding failed');
    queue.putError(pod, clock.nowMs());
    this.wake();
    if (isConflict(error)) return; // bound by somebody else: the watch will say so
    const message = error instanceof VolumesNotBound ? `running PreBind plugin "VolumeBinding": ${error.message}` : `binding rejected: running Bind plugin "DefaultBinder": ${error.message}`;
    if (isGone) return;
    this.#sayFailed(pod, message);
    await this.#report(pod, { reason: 'SchedulerError', message }, signal);
  }

  async #reject(pod: Pod, outcome: FilterOutcome, signal: AbortSignal): Promise<void> {
    const { api, queue, watch, plugins, events, metrics, environment: { clock, log } } = this.#options;
    const cluster = watch.view();
    const preemption = planPreemption(pod, outcome, { plugins, cluster, budgets: watch.budgets() });
    const message = fitErrorText(cluster.nodes.length, outcome, preemption.kind === 'impossible' ? preemption.message : '');
    const rejectedBy = new Set([...outcome.rejections.values()].map(({ plugin }) => plugin));
    queue.putUnschedulable(pod, cluster.nodes.length === 0 ? new Set(['NodeName']) : rejectedBy, clock.nowMs());
    log.debug({ pod: `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`, message }, 'no node takes the pod');
    this.#sayFailed(pod, message);
    const nominatedNodeName = preemption.kind === 'preempt' ? preemption.nodeName : preemption.isHopeless ? '' : undefined;
    if (preemption.kind === 'preempt') watch.nominations.promise(pod, preemption.nodeName);
    else if (preemption.isHopeless) watch.nominations.remove(pod);
    await this.#report(pod, { reason: 'Unschedulable', message, nominatedNodeName }, signal);
    if (preemption.kind !== 'preempt') return;
    metrics.preempted(preemption.victims.length);
    await this.#withdrawNominations(pod, preemption.nodeName, signal);
    await Promise.all(preemption.victims.map(async (victim) => {
      try {
        await preemptVictim(api, victim, pod, clock.nowMs(), signal);
        events.event(referenceTo(victim), { type: 'Normal', reason: 'Preempted', action: 'Preempting', note: `Preempted by pod ${pod.metadata.uid ?? ''} on node ${preemption.nodeName}`, related: referenceTo(pod) });
      } catch (error) {
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        log.warn({ err: error, pod: victim.metadata.name }, 'cannot preempt pod; tried again with the next attempt');
      }
    }));
  }

  /** Pods that matter less look for another place. */
  async #withdrawNominations(pod: Pod, nodeName: string, signal: AbortSignal): Promise<void> {
    const { api, watch, environment: { log } } = this.#options;
    for (const other of watch.nominations.on(nodeName)) {
      if (priorityOf(other) >= priorityOf(pod)) continue;
      watch.nominations.remove(other);
      try {
        await withdrawNomination(api, other, signal);
      } catch (error) {
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        log.warn({ err: error, pod: other.metadata.name }, 'cannot withdraw the nomination of a pod');
      }
    }
  }

  async #report(pod: Pod, outcome: Parameters<typeof reportUnscheduled>[2], signal: AbortSignal): Promise<void> {
    const { api, environment: { clock, log } } = this.#options;
    try {
      await reportUnscheduled(api, pod, outcome, clock.nowMs(), signal);
    } catch (error) {
      if (isNotFound(error)) return;
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      log.warn({ err: error, pod: pod.metadata.name }, 'cannot write the condition of a pod; written with the next attempt');
    }
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#writing.delete(tracked));
    this.#writing.add(tracked);
  }
}
