// Rolls Deployments from one pod template to the next by scaling their ReplicaSets.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, owned, retryAfterMs, type Controller, type Outcome, type ReconcileContext } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Deployment, DeploymentCondition, ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { claim } from '../../edge/claim.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';
import { annotationsDiffer, isScalingEvent, planCleanUp, planRecreate, planRollingUpdate, planScale, replicasOfNew, type Rollout, type Scale } from './plan.ts';
import { annotationsOfNew, HASH_LABEL, isRollingUpdate, isSameTemplate, newReplicaSetOf, oldestFirst, replicasAnnotations, replicaSetFor, replicasOf, REVISION, revisionOf, ROLLBACK_TO } from './replica-sets.ts';
import { conditionOf, hasProgressDeadline, isComplete, newCondition, rolloutStatus, baseStatus, timeToDeadlineMs, withCondition } from './status.ts';

/** Source: deployment_controller.go: pod deletions matter to Recreate, which waits for the last old pod. */
function deploymentOfPod(pod: Readonly<Pod>, cache: CacheReader): string[] {
  const owner = controllerOf(pod);
  const replicaSet = owner?.kind === 'ReplicaSet' ? cache.get(replicaSetKind, pod.metadata.namespace, owner.name) : undefined;
  const deployment = replicaSet && controllerOf(replicaSet);
  if (!deployment || deployment.kind !== 'Deployment') return [];
  const found = cache.get(deploymentKind, pod.metadata.namespace, deployment.name);
  return found && !isRollingUpdate(found) ? [keyOf(found)] : [];
}

function adoptersOf(replicaSet: Readonly<ReplicaSet>, cache: CacheReader): string[] {
  return cache.list(deploymentKind, replicaSet.metadata.namespace)
    .filter(({ spec }) => !labelSelector(spec.selector).isEmpty && labelSelector(spec.selector).matches(replicaSet.metadata.labels)).map(keyOf);
}

export const deploymentController = (workers: number): Controller => defineController({
  name: 'deployment-controller',
  queueName: 'deployment',
  reconciles: deploymentKind,
  alsoWatches: [
    owned(replicaSetKind, { adopters: adoptersOf }),
    mapped(podKind, deploymentOfPod, { isRelevantUpdate: (next, previous) => next.status?.phase !== previous.status?.phase }),
  ],
  workers,
  async reconcile({ namespace, name }, context) {
    const cached = context.cache.get(deploymentKind, namespace, name);
    if (!cached) return done;
    const selector = labelSelector(cached.spec.selector);
    if (selector.isEmpty) {
      context.events.event(referenceTo(cached), 'Warning', 'SelectingAll', 'This deployment is selecting all pods. A non-empty selector is required.');
      await writeStatus(cached, { ...cached.status, observedGeneration: cached.metadata.generation }, context);
      return done;
    }
    const replicaSets = await claim({ owner: cached, ownerKind: deploymentKind, kind: replicaSetKind, selector }, context.cache, context.api);
    return new DeploymentSync(structuredClone(cached), replicaSets, context).run();
  },
});

async function writeStatus(deployment: Readonly<Deployment>, status: Deployment['status'], { api }: ReconcileContext): Promise<Deployment | undefined> {
  try {
    return await api.updateStatus(deploymentKind, { ...deployment, status });
  } catch (error) {
    if (isNotFound(error)) return undefined; // deleted meanwhile
    throw error;
  }
}

/** One pass over one Deployment. Holds the objects as this pass has written them. */
class DeploymentSync {
  #deployment: Deployment;
  /** What the server has, for telling whether a status needs writing. */
  #written: Readonly<Deployment>;
  #replicaSets: Readonly<ReplicaSet>[];
  readonly #context: ReconcileContext;

  constructor(deployment: Deployment, replicaSets: readonly Readonly<ReplicaSet>[], context: ReconcileContext) {
    this.#deployment = deployment;
    this.#written = structuredClone(deployment);
    this.#replicaSets = [...replicaSets].sort(oldestFirst);
    this.#context = context;
  }

  async run(): Promise<Outcome> {
    if (this.#deployment.metadata.deletionTimestamp !== undefined) return this.#finish(baseStatus(this.#rollout(), this.#nowMs()));
    this.#notePauseOrResume();
    if (this.#deployment.spec.paused === true) return this.#scaleOnly();
    if (this.#deployment.metadata.annotations?.[ROLLBACK_TO] !== undefined) return this.#rollBack();
    if (isScalingEvent(this.#rollout())) return this.#scaleOnly();
    return isRollingUpdate(this.#deployment) ? this.#rollingUpdate() : this.#recreate();
  }

  #nowMs(): number {
    return this.#context.clock.nowMs();
  }
  #rollout(): Rollout {
    const newReplicaSet = newReplicaSetOf(this.#deployment, this.#replicaSets);
    return { deployment: this.#deployment, newReplicaSet, oldReplicaSets: this.#replicaSets.filter((replicaSet) => replicaSet !== newReplicaSet) };
  }
  #setCondition(condition: DeploymentCondition): void {
    this.#deployment.status = { ...this.#deployment.status, conditions: withCondition(this.#deployment.status?.conditions ?? [], condition) };
  }

  async #rollingUpdate(): Promise<Outcome> {
    await this.#syncNewReplicaSet(true);
    await this.#perform(planRollingUpdate(this.#rollout()));
    return this.#finishRollout();
  }

  async #recreate(): Promise<Outcome> {
    await this.#syncNewReplicaSet(false);
    const { cache } = this.#context;
    const step = planRecreate(this.#rollout(), (replicaSet) => cache.ownedBy(replicaSet, podKind));
    if (step.type === 'scale-down') await this.#perform(step.scales);
    if (step.type === 'scale-up') {
      await this.#syncNewReplicaSet(true);
      const { newReplicaSet } = this.#rollout();
      const wanted = replicasOf(this.#deployment);
      if (newReplicaSet && replicasOf(newReplicaSet) !== wanted) await this.#perform([{ replicaSet: newReplicaSet, replicas: wanted }]);
    }
    return this.#finishRollout();
  }

  /** Paused, or the size was changed: no template moves on. */
  async #scaleOnly(): Promise<Outcome> {
    await this.#syncNewReplicaSet(false);
    await this.#perform(planScale(this.#rollout()));
    if (this.#deployment.spec.paused === true && this.#deployment.metadata.annotations?.[ROLLBACK_TO] === undefined) await this.#cleanUp();
    return this.#finish(baseStatus(this.#rollout(), this.#nowMs()));
  }

  async #finishRollout(): Promise<Outcome> {
    const rollout = this.#rollout();
    const status = rolloutStatus(rollout, this.#nowMs());
    if (isComplete(this.#deployment, status)) await this.#cleanUp();
    return this.#finish(status);
  }

  async #finish(status: NonNullable<Deployment['status']>): Promise<Outcome> {
    const hasNewRevision = this.#written.metadata.annotations?.[REVISION] !== this.#deployment.metadata.annotations?.[REVISION];
    if (hasNewRevision || !semanticEqual(status, this.#written.status)) await writeStatus(this.#deployment, status, this.#context);
    const waitMs = timeToDeadlineMs(this.#deployment, status, this.#nowMs());
    return waitMs === undefined ? done : retryAfterMs(waitMs);
  }

  /** Finds the ReplicaSet of the current template, brings its annotations up to date, or creates it. */
  async #syncNewReplicaSet(mayCreate: boolean): Promise<void> {
    const { newReplicaSet, oldReplicaSets } = this.#rollout();
    const revision = Math.max(0, ...oldReplicaSets.map(revisionOf)) + 1;
    if (newReplicaSet) {
      const annotations = annotationsOfNew(this.#deployment, newReplicaSet, revision);
      const { minReadySeconds } = this.#deployment.spec;
      if (!semanticEqual(annotations, newReplicaSet.metadata.annotations) || (newReplicaSet.spec.minReadySeconds ?? 0) !== (minReadySeconds ?? 0)) {
        await this.#updateReplicaSet(newReplicaSet, { annotations, minReadySeconds: minReadySeconds ?? 0 });
      }
      if (hasProgressDeadline(this.#deployment) && !conditionOf(this.#deployment.status, 'Progressing')) {
        this.#setCondition(newCondition('Progressing', 'True', 'FoundNewReplicaSet', `Found new replica set "${newReplicaSet.metadata.name}"`, this.#nowMs()));
      }
      this.#setRevision(annotations[REVISION]);
    } else if (mayCreate) {
      await this.#createReplicaSet(revision);
    }
  }

  async #createReplicaSet(revision: number): Promise<void> {
    const { api, events } = this.#context;
    const draft = replicaSetFor(this.#deployment, revision, replicasOfNew(this.#deployment, this.#replicaSets, 0));
    const name = draft.metadata.name ?? '';
    let created: ReplicaSet;
    let isNew = true;
    try {
      created = await api.create(replicaSetKind, draft);
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      if (!isAlreadyExists(error)) {
        const message = `Failed to create new replica set "${name}": ${error instanceof Error ? error.message : String(error)}`;
        if (hasProgressDeadline(this.#deployment)) {
          this.#setCondition(newCondition('Progressing', 'False', 'ReplicaSetCreateError', message, this.#nowMs()));
          await this.#flushStatus();
        }
        events.event(referenceTo(this.#deployment), 'Warning', 'ReplicaSetCreateError', message);
        throw error;
      }
      const existing = await api.getLive(replicaSetKind, this.#deployment.metadata.namespace, name);
      if (controllerOf(existing)?.uid !== this.#deployment.metadata.uid || !isSameTemplate(existing.spec.template, this.#deployment.spec.template)) {
        // Another template has this hash: the count becomes part of the next one.
        this.#deployment.status = { ...this.#deployment.status, collisionCount: (this.#deployment.status?.collisionCount ?? 0) + 1 };
        await this.#flushStatus();
        throw error;
      }
      created = existing;
      isNew = false;
    }
    if (isNew && replicasOf(created) > 0) {
      events.event(referenceTo(this.#deployment), 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${name} from 0 to ${replicasOf(created)}`);
    }
    this.#replicaSets = [...this.#replicaSets, created].sort(oldestFirst);
    if (isNew && hasProgressDeadline(this.#deployment)) {
      this.#setCondition(newCondition('Progressing', 'True', 'NewReplicaSetCreated', `Created new replica set "${name}"`, this.#nowMs()));
    }
    this.#setRevision(created.metadata.annotations?.[REVISION] ?? String(revision));
  }

  /** Written together with the status, whose endpoint takes annotations too: that way the generation stays. */
  #setRevision(revision: string | undefined): void {
    if (revision === undefined) return;
    const { metadata } = this.#deployment;
    this.#deployment = { ...this.#deployment, metadata: { ...metadata, annotations: { ...metadata.annotations, [REVISION]: revision } } };
  }

  async #updateDeployment(annotations: Record<string, string>, template = this.#deployment.spec.template): Promise<void> {
    const { status, metadata, spec } = this.#deployment;
    const updated = await this.#context.api.update(deploymentKind, { ...this.#deployment, metadata: { ...metadata, annotations }, spec: { ...spec, template } });
    this.#written = structuredClone(updated);
    this.#deployment = { ...updated, status }; // conditions set in this pass are not written yet
  }

  /** Writes the conditions set so far, when the pass is about to end with an error. */
  async #flushStatus(): Promise<void> {
    const written = await writeStatus(this.#deployment, this.#deployment.status, this.#context);
    if (written) this.#written = written;
  }

  async #perform(scales: readonly Scale[]): Promise<void> {
    const { events } = this.#context;
    for (const { replicaSet, replicas } of scales) {
      const before = replicasOf(replicaSet);
      if (before === replicas && !annotationsDiffer(replicaSet, this.#deployment)) continue;
      await this.#updateReplicaSet(replicaSet, { replicas, annotations: { ...replicaSet.metadata.annotations, ...replicasAnnotations(this.#deployment) } });
      if (before === replicas) continue;
      events.event(referenceTo(this.#deployment), 'Normal', 'ScalingReplicaSet', `Scaled ${replicas > before ? 'up' : 'down'} replica set ${replicaSet.metadata.name} from ${before} to ${replicas}`);
    }
  }

  async #updateReplicaSet(replicaSet: Readonly<ReplicaSet>, { annotations, ...spec }: { annotations: Record<string, string>; replicas?: number; minReadySeconds?: number }): Promise<void> {
    const updated = await this.#context.api.update(replicaSetKind, { ...replicaSet, metadata: { ...replicaSet.metadata, annotations }, spec: { ...replicaSet.spec, ...spec } });
    this.#replicaSets = this.#replicaSets.map((one) => (one.metadata.uid === updated.metadata.uid ? updated : one));
  }

  async #cleanUp(): Promise<void> {
    for (const replicaSet of planCleanUp(this.#rollout())) {
      await this.#context.api.delete(replicaSetKind, replicaSet).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }
  }

  #notePauseOrResume(): void {
    if (!hasProgressDeadline(this.#deployment)) return;
    const reason = conditionOf(this.#deployment.status, 'Progressing')?.reason;
    if (reason === 'ProgressDeadlineExceeded') return; // being late is not forgotten by pausing
    const isPaused = this.#deployment.spec.paused === true;
    if (isPaused && reason !== 'DeploymentPaused') this.#setCondition(newCondition('Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused', this.#nowMs()));
    if (!isPaused && reason === 'DeploymentPaused') this.#setCondition(newCondition('Progressing', 'Unknown', 'DeploymentResumed', 'Deployment is resumed', this.#nowMs()));
  }

  /** `kubectl rollout undo` of old: the wanted revision (0: the last) stands in an annotation. */
  async #rollBack(): Promise<Outcome> {
    const { events } = this.#context;
    await this.#syncNewReplicaSet(true);
    const { [ROLLBACK_TO]: text, ...annotations } = this.#deployment.metadata.annotations ?? {};
    const asked = Number(text);
    const revisions = this.#replicaSets.map(revisionOf).sort((left, right) => right - left);
    const revision = asked === 0 ? revisions[1] ?? 0 : asked;
    const target = revision === 0 ? undefined : this.#replicaSets.find((replicaSet) => revisionOf(replicaSet) === revision);
    const tell = (type: 'Normal' | 'Warning', reason: string, message: string) => events.event(referenceTo(this.#deployment), type, reason, message);
    if (!target?.spec.template) {
      tell('Warning', 'DeploymentRollbackRevisionNotFound', asked === 0 ? 'Unable to find last revision.' : 'Unable to find the revision to rollback to.');
      await this.#updateDeployment(annotations);
    } else if (isSameTemplate(target.spec.template, this.#deployment.spec.template)) {
      tell('Warning', 'DeploymentRollbackTemplateUnchanged', `The rollback revision contains the same template as current deployment "${this.#deployment.metadata.name}"`);
      await this.#updateDeployment(annotations);
    } else {
      const template = structuredClone(target.spec.template);
      delete template.metadata?.labels?.[HASH_LABEL];
      await this.#updateDeployment(annotations, template);
      tell('Normal', 'DeploymentRollback', `Rolled back deployment "${this.#deployment.metadata.name}" to revision ${revision}`);
    }
    return done; // the changed Deployment comes back as an event
  }
}
