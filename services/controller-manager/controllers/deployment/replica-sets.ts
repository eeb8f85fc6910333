// The ReplicaSets of a Deployment: which one is new, their revisions and annotations.
// Source: pkg/controller/deployment/util/deployment_util.go.
import type { NewObject } from '#lib/api-client/client.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import type { Deployment, ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { podTemplateHash } from '#lib/machinery/hash.ts';
import { resolveIntOrPercent } from '#lib/machinery/int-or-percent.ts';
import { createdMs } from '../../core/pod-state.ts';

export const REVISION = 'deployment.kubernetes.io/revision';
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';
export const ROLLBACK_TO = 'deprecated.deployment.rollback.to';
export const HASH_LABEL = 'pod-template-hash';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const NOT_COPIED = new Set([LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, ROLLBACK_TO]);
/** Characters of the revision-history annotation; the oldest go first. */
const MAX_HISTORY_LENGTH = 2000;

export const replicasOf = (owner: { readonly spec: { readonly replicas?: number | undefined } }): number => owner.spec.replicas ?? 1;
export const sumOfReplicas = (replicaSets: readonly Readonly<ReplicaSet>[]): number => replicaSets.reduce((sum, replicaSet) => sum + replicasOf(replicaSet), 0);
export const sumOfActual = (replicaSets: readonly Readonly<ReplicaSet>[]): number => replicaSets.reduce((sum, { status }) => sum + (status?.replicas ?? 0), 0);
export const sumOfReady = (replicaSets: readonly Readonly<ReplicaSet>[]): number => replicaSets.reduce((sum, { status }) => sum + (status?.readyReplicas ?? 0), 0);
export const sumOfAvailable = (replicaSets: readonly Readonly<ReplicaSet>[]): number => replicaSets.reduce((sum, { status }) => sum + (status?.availableReplicas ?? 0), 0);
export const isRollingUpdate = ({ spec }: Readonly<Deployment>): boolean => (spec.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate';

/** Both limits of a rolling update, resolved against the wanted number of replicas. */
export function rollingLimits(deployment: Readonly<Deployment>): { maxSurge: number; maxUnavailable: number } {
  const replicas = replicasOf(deployment);
  if (!isRollingUpdate(deployment)) return { maxSurge: 0, maxUnavailable: 0 };
  const { maxSurge = '25%', maxUnavailable = '25%' } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = resolveIntOrPercent(maxSurge, replicas, 'up');
  let unavailable = resolveIntOrPercent(maxUnavailable, replicas, 'down');
  if (surge === 0 && unavailable === 0) unavailable = 1; // both may round to nothing, and then nothing could move
  return { maxSurge: surge, maxUnavailable: replicas === 0 ? 0 : Math.min(unavailable, replicas) };
}

function withoutHash({ metadata, ...rest }: Readonly<PodTemplateSpec>): PodTemplateSpec {
  const labels = { ...metadata?.labels };
  delete labels[HASH_LABEL];
  return { ...rest, metadata: { ...metadata, labels } as NonNullable<PodTemplateSpec['metadata']> };
}
/** Equal apart from the label that the controller itself adds. */
export function isSameTemplate(left: Readonly<PodTemplateSpec> | undefined, right: Readonly<PodTemplateSpec> | undefined): boolean {
  return semanticEqual(withoutHash(left ?? {}), withoutHash(right ?? {}));
}

export const oldestFirst = (left: Readonly<ReplicaSet>, right: Readonly<ReplicaSet>): number =>
  createdMs(left) - createdMs(right) || (left.metadata.name < right.metadata.name ? -1 : 1);

/** The ReplicaSet of the current template; of several the oldest, so that all controllers agree. */
export function newReplicaSetOf(deployment: Readonly<Deployment>, replicaSets: readonly Readonly<ReplicaSet>[]): Readonly<ReplicaSet> | undefined {
  return [...replicaSets].sort(oldestFirst).find(({ spec }) => isSameTemplate(spec.template, deployment.spec.template));
}

export function revisionOf({ metadata }: { readonly metadata: { readonly annotations?: Record<string, string> | undefined } }): number {
  const number = Number(metadata.annotations?.[REVISION] ?? 0);
  return Number.isSafeInteger(number) ? number : 0;
}

/** The Deployment's annotations for its ReplicaSets, over those that a ReplicaSet has already. */
function copiedAnnotations(deployment: Readonly<Deployment>, existing: Readonly<Record<string, string>>): Record<string, string> {
  const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !NOT_COPIED.has(key));
  return { ...existing, ...Object.fromEntries(copied) };
}

export function replicasAnnotations(deployment: Readonly<Deployment>): Record<string, string> {
  const replicas = replicasOf(deployment);
  return { [DESIRED_REPLICAS]: String(replicas), [MAX_REPLICAS]: String(replicas + rollingLimits(deployment).maxSurge) };
}

/** The annotations of the new ReplicaSet: revision raised, what it was before remembered. */
export function annotationsOfNew(deployment: Readonly<Deployment>, existing: Readonly<ReplicaSet> | undefined, revision: number): Record<string, string> {
  const before = existing?.metadata.annotations ?? {};
  const annotations = copiedAnnotations(deployment, before);
  const oldRevision = before[REVISION];
  if (oldRevision === undefined || Number(oldRevision) < revision) {
    annotations[REVISION] = String(revision);
    if (oldRevision !== undefined && oldRevision !== '') annotations[REVISION_HISTORY] = history(before[REVISION_HISTORY], oldRevision);
  }
  if (!existing) Object.assign(annotations, replicasAnnotations(deployment));
  return annotations;
}

function history(known: string | undefined, revision: string): string {
  const revisions = (known ?? '').split(',').filter((one) => one !== '');
  revisions.push(revision);
  while (revisions.length > 1 && revisions.join(',').length > MAX_HISTORY_LENGTH) revisions.shift();
  return revisions.join(',');
}

export function replicaSetFor(deployment: Readonly<Deployment>, revision: number, replicas: number): NewObject<ReplicaSet> {
  const template = structuredClone(deployment.spec.template);
  const hash = podTemplateHash(template, deployment.status?.collisionCount);
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
  const { selector, minReadySeconds } = deployment.spec;
  return {
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace,
      labels,
      annotations: annotationsOfNew(deployment, undefined, revision),
      ownerReferences: [controllerReference(deployment, deploymentKind)],
    },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } as NonNullable<PodTemplateSpec['metadata']> },
    },
  };
}
