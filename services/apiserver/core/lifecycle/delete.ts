// What a DELETE does to an object: goes at once, is marked and waits (for a grace period or finalizers), or nothing new.
// Source: apiserver pkg/registry/rest/delete.go (BeforeDelete), pkg/registry/generic/registry/store.go (Delete).
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { DeleteOptions } from '#lib/kinds/types/meta-v1.ts';
import { conflict } from '#lib/machinery/status-error.ts';
import { formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';

export type DeletePlan =
  | { readonly action: 'remove' }
  /** Store `object` instead: deletion has begun. */
  | { readonly action: 'mark'; readonly object: KubernetesObject }
  /** Deletion is under way already. */
  | { readonly action: 'keep' };

export const FINALIZER_ORPHAN = 'orphan';
export const FINALIZER_FOREGROUND = 'foregroundDeletion';

/** Throws Conflict. The message names the Kind where others name the resource. */
export function checkDeletePreconditions(kind: AnyKind, { metadata }: KubernetesObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const named = { group: kind.group, plural: kind.kind };
  if (uid !== undefined && uid !== metadata.uid) {
    throw conflict(named, metadata.name, `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid ?? ''}). The object might have been deleted and then recreated`);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw conflict(named, metadata.name, `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion ?? ''}). The object might have been modified`);
  }
}

function garbageCollectionFinalizers(kind: AnyKind, finalizers: readonly string[], options: DeleteOptions): string[] {
  const others = finalizers.filter((one) => one !== FINALIZER_ORPHAN && one !== FINALIZER_FOREGROUND);
  const { orphanDependents, propagationPolicy } = options;
  if (orphanDependents !== undefined) return orphanDependents ? [...others, FINALIZER_ORPHAN] : others;
  if (propagationPolicy === 'Orphan') return [...others, FINALIZER_ORPHAN];
  if (propagationPolicy === 'Foreground') return [...others, FINALIZER_FOREGROUND];
  if (propagationPolicy === 'Background') return others;
  if (finalizers.includes(FINALIZER_ORPHAN)) return [...others, FINALIZER_ORPHAN];
  if (finalizers.includes(FINALIZER_FOREGROUND)) return [...others, FINALIZER_FOREGROUND];
  return kind.defaultPropagation === 'Orphan' ? [...others, FINALIZER_ORPHAN] : others;
}

/** Events live and die alone. */
const collectsGarbage = (kind: AnyKind): boolean => kind.kind !== 'Event';

const sameNames = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((one) => right.includes(one));

interface GracePlan {
  readonly state: 'not-graceful' | 'graceful' | 'pending';
  readonly deletionTimestamp?: string;
  readonly seconds?: number;
  readonly isFirst?: boolean;
}

function planGrace(kind: AnyKind, object: KubernetesObject, requested: number | undefined, nowMs: number): GracePlan {
  if (!kind.gracePeriodSeconds) return { state: 'not-graceful' };
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = object.metadata;
  if (deletionTimestamp !== undefined) {
    if (deletionGracePeriodSeconds === 0) return { state: 'not-graceful' };
    if (requested === undefined || requested >= deletionGracePeriodSeconds) return { state: 'pending' };
    const oldMs = parseTimeOrUndefined(deletionTimestamp) ?? nowMs;
    const shortenedMs = oldMs + (requested - deletionGracePeriodSeconds) * 1000;
    if (shortenedMs >= nowMs) return { state: 'graceful', deletionTimestamp: formatTime(shortenedMs), seconds: requested };
    return { state: 'graceful', deletionTimestamp: formatTime(nowMs), seconds: requested === 0 ? 0 : 1 };
  }
  const seconds = kind.gracePeriodSeconds(object, requested);
  if (seconds === undefined) return { state: 'not-graceful' };
  return { state: 'graceful', deletionTimestamp: formatTime(nowMs + seconds * 1000), seconds, isFirst: true };
}

/** Throws Conflict when a precondition does not hold. `object` is not changed. */
export function planDelete(kind: AnyKind, object: KubernetesObject, options: DeleteOptions, nowMs: number): DeletePlan {
  checkDeletePreconditions(kind, object, options);
  const { gracePeriodSeconds } = options;
  const grace = planGrace(kind, object, gracePeriodSeconds !== undefined && gracePeriodSeconds < 0 ? 1 : gracePeriodSeconds, nowMs);
  if (grace.state === 'pending') return { action: 'keep' };

  const before = object.metadata.finalizers ?? [];
  const finalizers = collectsGarbage(kind) ? garbageCollectionFinalizers(kind, before, options) : before;
  const metadata = { ...object.metadata, finalizers: finalizers.length === 0 ? undefined : finalizers };
  const raiseGeneration = (): void => {
    if ((metadata.generation ?? 0) > 0) metadata.generation = (metadata.generation ?? 0) + 1;
  };
  if (grace.state === 'graceful') {
    if (grace.seconds === 0 && finalizers.length === 0) return { action: 'remove' };
    metadata.deletionTimestamp = grace.deletionTimestamp;
    metadata.deletionGracePeriodSeconds = grace.seconds;
    if (grace.isFirst) raiseGeneration();
    return { action: 'mark', object: { ...object, metadata } };
  }
  if (finalizers.length === 0) return { action: 'remove' };
  if (metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0 && sameNames(before, finalizers)) return { action: 'keep' };
  if (metadata.deletionTimestamp === undefined) raiseGeneration();
  const alreadyMs = metadata.deletionTimestamp === undefined ? undefined : parseTimeOrUndefined(metadata.deletionTimestamp);
  if (alreadyMs === undefined || alreadyMs > nowMs) metadata.deletionTimestamp = formatTime(nowMs);
  metadata.deletionGracePeriodSeconds = 0;
  return { action: 'mark', object: { ...object, metadata } };
}

/** Whether an update has taken away the last thing a deletion waited for. */
export function shouldDeleteAfterUpdate(next: KubernetesObject, previous: KubernetesObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = previous.metadata;
  return deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0 && (next.metadata.finalizers ?? []).length === 0;
}
