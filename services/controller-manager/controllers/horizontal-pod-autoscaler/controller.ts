// Sets the size of workloads by their metrics, every 15 s.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { objectPath } from '#lib/api-client/client.ts';
import { defineController, done, retryAfterMs, type Controller, type Outcome, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { horizontalPodAutoscalerKind } from '#lib/kinds/autoscaling/horizontal-pod-autoscaler.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { replicationControllerKind } from '#lib/kinds/core/replication-controller.ts';
import { anyKind, type AnyKind } from '#lib/kinds/define-kind.ts';
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus } from '#lib/kinds/types/autoscaling-v2.ts';
import type { Scale } from '#lib/kinds/types/autoscaling-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { parseLabelSelector, SelectorError, type Selector } from '#lib/machinery/selectors.ts';
import { isNotFound, qualifiedResource, StatusError } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { discover } from '../../edge/discovery.ts';
import { decide, newMemory, noteChange, type Memory } from './limits.ts';
import { evaluate, InvalidMetric } from './metrics.ts';
import { toleranceOf } from './replicas.ts';

export interface AutoscalerSettings {
  readonly workers: number;
  readonly periodMs: number;
  readonly downscaleStabilizationMs: number;
  readonly tolerance: number;
  readonly cpuInitializationMs: number;
  readonly initialReadinessDelayMs: number;
}

interface Known extends Memory {
  /** Selector of the target, to find autoscalers that pull at the same pods. */
  selector?: Selector;
}

export function horizontalPodAutoscalerController(settings: AutoscalerSettings): Controller {
  const memory = new Map<string, Known>();
  return defineController({
    name: 'horizontal-pod-autoscaler-controller',
    serviceAccount: 'horizontal-pod-autoscaler',
    eventSource: 'horizontal-pod-autoscaler',
    queueName: 'horizontalpodautoscaler',
    reconciles: horizontalPodAutoscalerKind,
    isRelevantUpdate: (next, previous) => !semanticEqual(next.spec, previous.spec),
    reads: [anyKind(podKind)],
    workers: settings.workers,
    async reconcile({ namespace, name }, context) {
      const key = `${namespace}/${name}`;
      const autoscaler = context.cache.get(horizontalPodAutoscalerKind, namespace, name);
      if (!autoscaler) {
        memory.delete(key);
        return done;
      }
      const known = memory.get(key) ?? newMemory();
      memory.set(key, known);
      return new Evaluation(structuredClone(autoscaler), known, memory, settings, context).run();
    },
  });
}

/** Said in events and conditions; the evaluation ends here and comes again after the period. */
class Unable extends Error {
  override readonly name = 'Unable';
}

/** Group and kind of a target whose resource is known without asking. */
const TARGETS = [anyKind(deploymentKind), anyKind(replicaSetKind), anyKind(statefulSetKind), anyKind(replicationControllerKind)];

async function kindOf(apiVersion: string | undefined, kind: string, { api }: ReconcileContext): Promise<AnyKind> {
  const group = apiVersion?.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const is = (one: AnyKind) => one.group === group && one.kind === kind;
  const found = TARGETS.find(is) ?? (await discover((method, path) => api.request(method, path))).kinds.find(is);
  if (!found) throw new Unable(`no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`);
  return found;
}

class Evaluation {
  readonly #hpa: HorizontalPodAutoscaler;
  readonly #before: HorizontalPodAutoscalerStatus | undefined;
  readonly #status: HorizontalPodAutoscalerStatus;
  readonly #known: Known;
  readonly #others: ReadonlyMap<string, Known>;
  readonly #settings: AutoscalerSettings;
  readonly #context: ReconcileContext;

  constructor(hpa: HorizontalPodAutoscaler, known: Known, others: ReadonlyMap<string, Known>, settings: AutoscalerSettings, context: ReconcileContext) {
    this.#hpa = hpa;
    this.#before = structuredClone(hpa.status);
    this.#status = hpa.status ??= { desiredReplicas: 0 };
    this.#known = known;
    this.#others = others;
    this.#settings = settings;
    this.#context = context;
  }

  async run(): Promise<Outcome> {
    try {
      await this.#evaluate();
    } catch (error) {
      if (!(error instanceof Unable)) throw error;
      this.#context.log.debug({ autoscaler: this.#hpa.metadata.name, err: error }, 'cannot autoscale for now');
    } finally {
      await this.#writeStatus();
    }
    return retryAfterMs(this.#settings.periodMs);
  }

  async #evaluate(): Promise<void> {
    const { minReplicas = 1, maxReplicas } = this.#hpa.spec;
    const nowMs = this.#context.clock.nowMs();
    const { scale, path } = await this.#scale();
    this.#condition('AbleToScale', 'True', 'SucceededGetScale', "the HPA controller was able to get the target's current scale");
    const current = scale.spec?.replicas ?? 0;
    if (this.#known.recommendations.length === 0) this.#known.recommendations.push({ count: current, atMs: nowMs });
    this.#status.currentReplicas = current;
    let metrics: MetricStatus[] = [];
    let wanted = current;
    let reason = '';
    if (current === 0 && minReplicas !== 0) {
      this.#condition('ScalingActive', 'False', 'ScalingDisabled', 'scaling is disabled since the replica count of the target is zero');
    } else if (current > maxReplicas) {
      [wanted, reason] = [maxReplicas, 'Current number of replicas above Spec.MaxReplicas'];
    } else if (current < minReplicas) {
      [wanted, reason] = [minReplicas, 'Current number of replicas below Spec.MinReplicas'];
    } else {
      const proposal = await this.#proposal(scale);
      metrics = proposal.metrics;
      reason = proposal.replicas > current ? `${proposal.name} above target` : proposal.replicas < current ? 'All metrics below target' : '';
      const decision = decide(this.#hpa, this.#known, { currentReplicas: current, wanted: proposal.replicas, downscaleStabilizationMs: this.#settings.downscaleStabilizationMs, nowMs });
      this.#condition('AbleToScale', 'True', decision.ableToScale.reason, decision.ableToScale.message);
      this.#condition('ScalingLimited', decision.limited.isLimited ? 'True' : 'False', decision.limited.reason, decision.limited.message);
      wanted = decision.replicas;
    }
    if (wanted !== current) await this.#rescale(scale, path, wanted, reason, nowMs);
    this.#status.desiredReplicas = wanted;
    this.#status.currentMetrics = metrics;
  }

  async #scale(): Promise<{ scale: Scale; path: string }> {
    const { apiVersion, kind, name } = this.#hpa.spec.scaleTargetRef;
    try {
      const path = objectPath(await kindOf(apiVersion, kind, this.#context), this.#hpa.metadata.namespace, name, 'scale');
      return { path, scale: await this.#context.api.request<Scale>('GET', path) };
    } catch (error) {
      if (!(error instanceof StatusError || error instanceof Unable)) throw error;
      this.#tell('Warning', 'FailedGetScale', error.message);
      this.#condition('AbleToScale', 'False', 'FailedGetScale', `the HPA controller was unable to get the target's current scale: ${error.message}`);
      throw new Unable(error.message);
    }
  }

  async #rescale(scale: Scale, path: string, replicas: number, reason: string, nowMs: number): Promise<void> {
    const current = scale.spec?.replicas ?? 0;
    try {
      await this.#context.api.request('PUT', path, { ...scale, spec: { ...scale.spec, replicas } });
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      this.#tell('Warning', 'FailedRescale', `New size: ${replicas}; reason: ${reason}; error: ${error.message}`);
      this.#condition('AbleToScale', 'False', 'FailedUpdateScale', `the HPA controller was unable to update the target scale: ${error.message}`);
      throw new Unable(error.message);
    }
    this.#condition('AbleToScale', 'True', 'SucceededRescale', `the HPA controller was able to update the target scale to ${replicas}`);
    this.#tell('Normal', 'SuccessfulRescale', `New size: ${replicas}; reason: ${reason}`);
    this.#status.lastScaleTime = formatTime(nowMs);
    noteChange(this.#hpa, this.#known, replicas - current, nowMs);
  }

  /** The largest of what the metrics ask for. When one is unknown the count never goes down for it. */
  async #proposal(scale: Scale): Promise<{ replicas: number; name: string; metrics: MetricStatus[] }> {
    const { api, cache, clock } = this.#context;
    const { namespace = '' } = this.#hpa.metadata;
    const { selector: text, parsed } = this.#selector(scale);
    const pods = cache.list(podKind, namespace).filter(({ metadata }) => parsed.matches(metadata.labels));
    this.#refuseRivals(text, pods);
    const { behavior, metrics: specs = [] } = this.#hpa.spec;
    const context = {
      api, namespace, selector: text, pods, specReplicas: scale.spec?.replicas ?? 0, statusReplicas: scale.status?.replicas ?? 0, nowMs: clock.nowMs(),
      settings: {
        cpuInitializationMs: this.#settings.cpuInitializationMs, initialReadinessDelayMs: this.#settings.initialReadinessDelayMs,
        tolerances: { up: toleranceOf(behavior?.scaleUp, this.#settings.tolerance), down: toleranceOf(behavior?.scaleDown, this.#settings.tolerance) },
      },
      resourceOf: async (apiVersion: string | undefined, kind: string) => qualifiedResource(await kindOf(apiVersion, kind, this.#context)),
    };
    let best = { replicas: 0, name: '' };
    const metrics: MetricStatus[] = [];
    const invalid: InvalidMetric[] = [];
    for (const spec of specs) {
      try {
        const result = await evaluate(spec, context);
        metrics.push(result.status);
        if (best.name === '' || result.replicas > best.replicas) best = result;
      } catch (error) {
        if (!(error instanceof InvalidMetric)) throw error;
        this.#tell('Warning', error.reason, error.message);
        invalid.push(error);
        metrics.push({ type: '' });
      }
    }
    const [first] = invalid;
    if (first && (invalid.length >= specs.length || best.replicas < context.specReplicas)) {
      this.#condition('ScalingActive', 'False', first.reason, `the HPA was unable to compute the replica count: ${first.message}`);
      const message = `invalid metrics (${invalid.length} invalid out of ${specs.length}), first error is: ${first.outer}`;
      this.#status.currentMetrics = metrics;
      this.#tell('Warning', 'FailedComputeMetricsReplicas', message);
      throw new Unable(message);
    }
    this.#condition('ScalingActive', 'True', 'ValidMetricFound', `the HPA was able to successfully calculate a replica count from ${best.name}`);
    return { replicas: best.replicas, name: best.name, metrics };
  }

  #selector(scale: Scale): { selector: string; parsed: Selector } {
    const selector = scale.status?.selector ?? '';
    const refuse = (reason: string, event: string, message: string): Unable => {
      this.#tell('Warning', event, reason);
      this.#condition('ScalingActive', 'False', 'InvalidSelector', message);
      this.#tell('Warning', 'FailedComputeMetricsReplicas', reason);
      return new Unable(reason);
    };
    if (selector === '') throw refuse('selector is required', 'SelectorRequired', "the HPA target's scale is missing a selector");
    try {
      const parsed = parseLabelSelector(selector);
      this.#known.selector = parsed;
      return { selector, parsed };
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      const message = `couldn't convert selector into a corresponding internal selector object: ${error.message}`;
      throw refuse(message, 'InvalidSelector', message);
    }
  }

  /** Two autoscalers over the same pods would pull to and fro. */
  #refuseRivals(selector: string, pods: readonly { readonly metadata: { readonly labels?: Readonly<Record<string, string>> | undefined } }[]): void {
    const { namespace = '', name } = this.#hpa.metadata;
    const rivals = [...this.#others].filter(([key, other]) => key.startsWith(`${namespace}/`) && other.selector && pods.some(({ metadata }) => other.selector?.matches(metadata.labels))).map(([key]) => key);
    if (rivals.length <= 1) return;
    const message = `pods by selector ${selector} are controlled by multiple HPAs: [${[`${namespace}/${name}`, ...rivals.filter((key) => key !== `${namespace}/${name}`)].join(' ')}]`;
    this.#tell('Warning', 'AmbiguousSelector', message);
    this.#condition('ScalingActive', 'False', 'AmbiguousSelector', message);
    this.#tell('Warning', 'FailedComputeMetricsReplicas', message);
    throw new Unable(message);
  }

  #condition(type: string, status: 'True' | 'False', reason: string, message: string): void {
    const conditions = (this.#status.conditions ??= []);
    const known: HorizontalPodAutoscalerCondition | undefined = conditions.find((condition) => condition.type === type);
    const time = formatTime(this.#context.clock.nowMs());
    if (!known) conditions.push({ type, status, reason, message, lastTransitionTime: time });
    else Object.assign(known, { status, reason, message, ...(known.status === status ? {} : { lastTransitionTime: time }) });
  }

  #tell(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.events.event(referenceTo(this.#hpa), type, reason, message);
  }

  async #writeStatus(): Promise<void> {
    if (semanticEqual(this.#before, this.#status)) return;
    await this.#context.api.updateStatus(horizontalPodAutoscalerKind, this.#hpa).catch((error: unknown) => {
      if (!isNotFound(error)) throw error; // deleted meanwhile
    });
  }
}
