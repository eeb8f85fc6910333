// The ControllerRevisions of a StatefulSet. Source: stateful_set_control.go (getStatefulSetRevisions, truncateHistory).
import type { ReconcileContext } from '#lib/controller/define-controller.ts';
import { controllerRevisionKind } from '#lib/kinds/apps/controller-revision.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import type { ControllerRevision, StatefulSet } from '#lib/kinds/types/apps-v1.ts';
import type { Pod, PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { controllerOf, controllerReference } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { revisionHash } from '#lib/machinery/hash.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { claim } from '../../edge/claim.ts';
import { revisionOf } from './identity.ts';
import type { Revision } from './plan.ts';

const HASH_LABEL = 'controller.kubernetes.io/hash';

const patchOf = ({ spec }: Readonly<StatefulSet>): Record<string, unknown> => ({ spec: { template: { ...spec.template, $patch: 'replace' } } });

function asRevision({ metadata, data }: Readonly<ControllerRevision>): Revision {
  const { $patch: _, ...template } = (data as { spec: { template: PodTemplateSpec & { $patch?: string } } }).spec.template;
  return { name: metadata.name, template };
}

export interface History {
  readonly all: readonly Readonly<ControllerRevision>[];
  readonly current: Revision;
  readonly update: Revision;
  readonly collisionCount: number;
}

/** Finds or makes the revision of the present template; the one that the status calls current may be an earlier one. */
export async function syncHistory(set: Readonly<StatefulSet>, { cache, api }: ReconcileContext): Promise<History> {
  const claimed = await claim({ owner: set, ownerKind: statefulSetKind, kind: controllerRevisionKind, selector: labelSelector(set.spec.selector) }, cache, api);
  const all = [...claimed].sort((left, right) => left.revision - right.revision || (left.metadata.name < right.metadata.name ? -1 : 1));
  const data = patchOf(set);
  let collisionCount = set.status?.collisionCount ?? 0;
  const newest = all.at(-1);
  const equal = all.filter((revision) => semanticEqual(revision.data, data)).at(-1);
  const next = (newest?.revision ?? 0) + 1;
  let update: Readonly<ControllerRevision>;
  if (equal && equal === newest) {
    update = equal;
  } else if (equal) {
    update = await api.update(controllerRevisionKind, { ...equal, revision: next });
  } else {
    for (;;) {
      const made = await createRevision(set, data, next, collisionCount, { api });
      if (made) {
        update = made;
        break;
      }
      collisionCount += 1;
    }
    all.push(update);
  }
  const current = all.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update;
  return { all, current: asRevision(current), update: asRevision(update), collisionCount };
}

/** Undefined when another template has taken the name. */
async function createRevision(set: Readonly<StatefulSet>, data: Record<string, unknown>, revision: number, collisionCount: number, { api }: Pick<ReconcileContext, 'api'>): Promise<ControllerRevision | undefined> {
  const hash = revisionHash(data, collisionCount);
  const name = `${set.metadata.name}-${hash}`;
  const { namespace } = set.metadata;
  try {
    return await api.create(controllerRevisionKind, {
      metadata: {
        name, namespace, annotations: { ...set.metadata.annotations }, labels: { ...set.spec.template.metadata?.labels, [HASH_LABEL]: hash },
        ownerReferences: [controllerReference(set, statefulSetKind)],
      },
      data, revision,
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const existing = await api.getLive(controllerRevisionKind, namespace, name);
    return controllerOf(existing)?.uid === set.metadata.uid && semanticEqual(existing.data, data) ? existing : undefined;
  }
}

/** Deletes the oldest revisions beyond the limit that neither the status nor a pod names. */
export async function truncateHistory(set: Readonly<StatefulSet>, { all, current, update }: History, pods: readonly Readonly<Pod>[], { api }: ReconcileContext): Promise<void> {
  const live = new Set([current.name, update.name, ...pods.map(revisionOf)]);
  const idle = all.filter(({ metadata }) => !live.has(metadata.name));
  const limit = set.spec.revisionHistoryLimit ?? 10;
  for (const revision of idle.slice(0, Math.max(0, idle.length - limit))) {
    await api.delete(controllerRevisionKind, revision).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}
