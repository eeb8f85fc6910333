// Keeps the pods of each StatefulSet, which have names, storage and an order of their own.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, owned, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { controllerRevisionKind } from '#lib/kinds/apps/controller-revision.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import type { StatefulSet, StatefulSetStatus } from '#lib/kinds/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import { isControlledBy } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { nextAvailableMs } from '../../core/pod-state.ts';
import { claim } from '../../edge/claim.ts';
import { attempted, isNamespaceTerminating, slowStart } from '../../edge/pod-control.ts';
import { syncHistory, truncateHistory } from './history.ts';
import { claimNamesOf, claimsOf, hasIdentity, identityLabels, isMemberOf, ordinalOf, podNameOf, volumesWithClaims } from './identity.ts';
import { planStatefulSet, statefulSetStatus, type Step } from './plan.ts';
import { isStaleFor, planClaimOwners } from './retention.ts';

const STALE_CLAIM_POLL_MS = 1_000;

function adoptersOf(pod: Readonly<Pod>, cache: CacheReader): string[] {
  return cache.list(statefulSetKind, pod.metadata.namespace)
    .filter((set) => isMemberOf(set, pod) && !labelSelector(set.spec.selector).isEmpty && labelSelector(set.spec.selector).matches(pod.metadata.labels)).map(keyOf);
}

export const statefulSetController = (workers: number): Controller => defineController({
  name: 'statefulset-controller',
  queueName: 'statefulset',
  reconciles: statefulSetKind,
  alsoWatches: [owned(podKind, { adopters: adoptersOf }), owned(controllerRevisionKind)],
  reads: [anyKind(persistentVolumeClaimKind)],
  workers,
  async reconcile({ namespace, name }, context) {
    const set = context.cache.get(statefulSetKind, namespace, name);
    if (!set) return done;
    return reconcileSet(set, context);
  },
});

async function reconcileSet(set: Readonly<StatefulSet>, context: ReconcileContext) {
  const { cache, api, clock } = context;
  const history = await syncHistory(set, context);
  const selector = labelSelector(set.spec.selector);
  const claimed = await claim({ owner: set, ownerKind: statefulSetKind, kind: podKind, selector, isAdoptable: (pod) => isMemberOf(set, pod) }, cache, api);
  const pods = claimed.filter((pod) => isMemberOf(set, pod));
  const plan = planStatefulSet({
    set, pods, current: history.current, update: history.update, nowMs: clock.nowMs(),
    hasRightOwners: (pod) => claimsIn(set, ordinalOf(pod), cache).every((one) => planClaimOwners(one, set, pod).ownerReferences === undefined),
    isClaimStale: (ordinal) => claimsIn(set, ordinal, cache).some((one) => isStaleFor(one, { metadata: { name: podNameOf(set, ordinal) } }, podKind)),
  });
  const made: Pod[] = [];
  const failure = await attempted(carryOut(plan.steps, set, made, context));
  const deleted = new Set(plan.steps.flatMap((step) => (step.type === 'delete' && step.why === 'update' ? [step.pod.metadata.uid] : [])));
  // What is on its way out for an update counts as current no longer, as soon as it was told to go.
  const now = pods.map((pod) => (deleted.has(pod.metadata.uid) && !failure ? { ...pod, metadata: { ...pod.metadata, deletionTimestamp: 'now' } } : pod));
  await writeStatus(set, statefulSetStatus({ set, pods: [...now, ...made], current: history.current, update: history.update, nowMs: clock.nowMs() }, history.collisionCount), context);
  await truncateHistory(set, history, pods, context);
  if (failure) throw failure;
  const waitMs = nextAvailableMs(pods, set.spec.minReadySeconds ?? 0, clock.nowMs());
  // A stale claim that blocks a pod goes by the garbage collector's hand, of which no event tells us.
  if (plan.isBlockedByClaim) return retryAfterMs(Math.min(STALE_CLAIM_POLL_MS, waitMs ?? STALE_CLAIM_POLL_MS));
  return waitMs === undefined ? done : retryAfterMs(waitMs);
}

const claimsIn = (set: Readonly<StatefulSet>, ordinal: number, cache: CacheReader): Readonly<PersistentVolumeClaim>[] =>
  claimNamesOf(set, ordinal).flatMap((name) => cache.get(persistentVolumeClaimKind, set.metadata.namespace, name) ?? []);

/** Ordered sets step by step, parallel ones in growing batches; throws the first error. */
async function carryOut(steps: readonly Step[], set: Readonly<StatefulSet>, made: Pod[], context: ReconcileContext): Promise<void> {
  if (set.spec.podManagementPolicy !== 'Parallel') {
    for (const step of steps) await take(step, set, made, context);
    return;
  }
  // A claim must belong to its pod before that pod goes.
  for (const phase of [steps.filter(({ type }) => type !== 'delete'), steps.filter(({ type }) => type === 'delete')]) {
    await slowStart(phase.length, async (index) => take(phase[index] as Step, set, made, context));
  }
}

async function take(step: Step, set: Readonly<StatefulSet>, made: Pod[], context: ReconcileContext): Promise<void> {
  switch (step.type) {
    case 'create': return createStatefulPod(step, set, made, context);
    case 'provide-claims': return provideClaims(step.ordinal, step.pod.metadata.name, set, context);
    case 'own-claims': return ownClaims(step.ordinal, step.pod, set, context);
    case 'repair': {
      await provideClaims(step.ordinal, step.pod.metadata.name, set, context);
      await ownClaims(step.ordinal, step.pod, set, context);
      return repair(step.ordinal, step.pod, set, context);
    }
    case 'delete': return telling('delete', step.pod.metadata.name, set, context, async () => {
      await context.api.delete(podKind, step.pod).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    });
  }
}

async function createStatefulPod({ ordinal, pod }: Extract<Step, { type: 'create' }>, set: Readonly<StatefulSet>, made: Pod[], context: ReconcileContext): Promise<void> {
  const name = podNameOf(set, ordinal);
  await provideClaims(ordinal, name, set, context);
  await telling('create', name, set, context, async () => {
    try {
      made.push(await context.api.create(podKind, pod));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      // Our own pod that the cache does not show yet, or a stranger of that name, which must go first.
      const live = await context.api.getLive(podKind, set.metadata.namespace, name);
      if (!isControlledBy(live, set)) throw error;
      made.push(live);
    }
  });
}

/** Does something to a pod and says how it went, in upstream's words. */
async function telling(verb: 'create' | 'update' | 'delete', pod: string, set: Readonly<StatefulSet>, { events }: ReconcileContext, action: () => Promise<void>): Promise<void> {
  const suffix = `${verb[0]?.toUpperCase() ?? ''}${verb.slice(1)}`;
  try {
    await action();
  } catch (error) {
    if (isNamespaceTerminating(error)) return;
    events.event(referenceTo(set), 'Warning', `Failed${suffix}`, `${verb} Pod ${pod} in StatefulSet ${set.metadata.name} failed error: ${String(error instanceof Error ? error.message : error)}`);
    throw error;
  }
  events.event(referenceTo(set), 'Normal', `Successful${suffix}`, `${verb} Pod ${pod} in StatefulSet ${set.metadata.name} successful`);
}

async function provideClaims(ordinal: number, pod: string, set: Readonly<StatefulSet>, { cache, api, events }: ReconcileContext): Promise<void> {
  for (const wanted of claimsOf(set, ordinal)) {
    const name = wanted.metadata.name ?? '';
    const existing = cache.get(persistentVolumeClaimKind, set.metadata.namespace, name);
    if (existing?.metadata.deletionTimestamp !== undefined) throw new Error(`pvc ${name} is being deleted`);
    if (existing) continue;
    const policy = planClaimOwners(wanted as PersistentVolumeClaim, set, { metadata: { name: pod }, spec: { containers: [] } });
    try {
      await api.create(persistentVolumeClaimKind, { ...wanted, metadata: { ...wanted.metadata, ...(policy.ownerReferences ? { ownerReferences: policy.ownerReferences } : {}) } });
    } catch (error) {
      if (isAlreadyExists(error)) continue;
      if (isNamespaceTerminating(error)) throw error;
      events.event(referenceTo(set), 'Warning', 'FailedCreate', `create Claim ${name} for Pod ${pod} in StatefulSet ${set.metadata.name} failed error: ${String(error instanceof Error ? error.message : error)}`);
      throw error;
    }
    events.event(referenceTo(set), 'Normal', 'SuccessfulCreate', `create Claim ${name} Pod ${pod} in StatefulSet ${set.metadata.name} success`);
  }
}

async function ownClaims(ordinal: number, pod: Readonly<Pod>, set: Readonly<StatefulSet>, { cache, api, events }: ReconcileContext): Promise<void> {
  for (const existing of claimsIn(set, ordinal, cache)) {
    const { ownerReferences, isConflicting } = planClaimOwners(existing, set, pod);
    if (isConflicting) {
      events.event(referenceTo(set), 'Warning', 'ConflictingController', `PersistentVolumeClaim ${existing.metadata.name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim`);
    }
    if (ownerReferences) await api.update(persistentVolumeClaimKind, { ...existing, metadata: { ...existing.metadata, ownerReferences } });
  }
}

async function repair(ordinal: number, pod: Readonly<Pod>, set: Readonly<StatefulSet>, context: ReconcileContext): Promise<void> {
  if (hasIdentity(set, pod)) return;
  await telling('update', pod.metadata.name, set, context, async () => {
    await context.api.update(podKind, {
      ...pod,
      metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...identityLabels(set, ordinal) } },
      spec: { ...pod.spec, volumes: volumesWithClaims(set, ordinal, pod.spec.volumes ?? []) },
    });
  });
}

async function writeStatus(set: Readonly<StatefulSet>, status: StatefulSetStatus, { api }: ReconcileContext): Promise<void> {
  if (semanticEqual(status, set.status)) return;
  await api.updateStatus(statefulSetKind, { ...set, status }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error; // deleted meanwhile
  });
}
