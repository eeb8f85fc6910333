// The ControllerRevisions of a DaemonSet: one per pod template it ever had, numbered.
// Source: pkg/controller/daemon/update.go (constructHistory, snapshot, cleanupHistory).
import type { ReconcileContext } from '#lib/controller/define-controller.ts';
import { controllerRevisionKind } from '#lib/kinds/apps/controller-revision.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import type { ControllerRevision, DaemonSet } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { controllerOf, controllerReference } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { revisionHash } from '#lib/machinery/hash.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { claim } from '../../edge/claim.ts';
import { HASH_LABEL } from './plan.ts';

/** What a revision holds: a patch that puts the template back. */
const patchOf = ({ spec }: Readonly<DaemonSet>): Record<string, unknown> => ({ spec: { template: { ...spec.template, $patch: 'replace' } } });

export interface History {
  readonly current: Readonly<ControllerRevision>;
  readonly old: readonly Readonly<ControllerRevision>[];
}

/** Finds or creates the revision of the current template. Throws after a hash collision; the next try has another name. */
export async function syncHistory(daemonSet: Readonly<DaemonSet>, context: ReconcileContext): Promise<History> {
  const { cache, api } = context;
  const revisions = await claim({ owner: daemonSet, ownerKind: daemonSetKind, kind: controllerRevisionKind, selector: labelSelector(daemonSet.spec.selector) }, cache, api);
  const data = patchOf(daemonSet);
  const matching = revisions.filter((revision) => semanticEqual(revision.data, data)).sort((left, right) => right.revision - left.revision);
  const old = revisions.filter((revision) => !matching.includes(revision));
  const number = Math.max(0, ...old.map(({ revision }) => revision)) + 1;
  const [existing] = matching;
  if (!existing) return { current: await createRevision(daemonSet, data, number, context), old };
  if (existing.revision >= number) return { current: existing, old };
  return { current: await api.update(controllerRevisionKind, { ...existing, revision: number }), old };
}

async function createRevision(daemonSet: Readonly<DaemonSet>, data: Record<string, unknown>, revision: number, { api }: ReconcileContext): Promise<ControllerRevision> {
  const hash = revisionHash(data, daemonSet.status?.collisionCount);
  const name = `${daemonSet.metadata.name}-${hash}`;
  const { namespace } = daemonSet.metadata;
  try {
    return await api.create(controllerRevisionKind, {
      metadata: {
        name, namespace, annotations: { ...daemonSet.metadata.annotations },
        labels: { ...daemonSet.spec.template.metadata?.labels, [HASH_LABEL]: hash },
        ownerReferences: [controllerReference(daemonSet, daemonSetKind)],
      },
      data, revision,
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const existing = await api.getLive(controllerRevisionKind, namespace, name);
    if (controllerOf(existing)?.uid === daemonSet.metadata.uid && semanticEqual(existing.data, data)) return existing;
    const live = await api.getLive(daemonSetKind, namespace, daemonSet.metadata.name);
    const status = { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0, ...live.status };
    await api.updateStatus(daemonSetKind, { ...live, status: { ...status, collisionCount: (live.status?.collisionCount ?? 0) + 1 } });
    throw error;
  }
}

/** Deletes the oldest revisions beyond the limit that no pod runs any more. */
export async function cleanUpHistory(daemonSet: Readonly<DaemonSet>, old: readonly Readonly<ControllerRevision>[], pods: readonly Readonly<Pod>[], { api }: ReconcileContext): Promise<void> {
  const excess = old.length - (daemonSet.spec.revisionHistoryLimit ?? 10);
  if (excess <= 0) return;
  const live = new Set(pods.map(({ metadata }) => metadata.labels?.[HASH_LABEL]));
  const idle = [...old].filter(({ metadata }) => !live.has(metadata.labels?.[HASH_LABEL])).sort((left, right) => left.revision - right.revision);
  for (const revision of idle.slice(0, excess)) {
    await api.delete(controllerRevisionKind, revision).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}
