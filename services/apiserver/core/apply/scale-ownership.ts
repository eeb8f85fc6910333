// Who owns the replicas of a workload, as its Scale shows it, and back again.
// Source: apimachinery pkg/util/managedfields/scalehandler.go.
import type { ManagedFieldsEntry } from '#lib/kinds/types/meta-v1.ts';
import { difference, hasPath, isEmptySet, setOf, type FieldSet } from './field-set.ts';

const SCALE_VERSION = 'autoscaling/v1';
/** The same path in every workload and in Scale. */
const REPLICAS = ['f:spec', 'f:replicas'];
const ONLY_REPLICAS = setOf(REPLICAS);

const ownsReplicas = ({ fieldsV1 }: ManagedFieldsEntry): boolean => hasPath((fieldsV1 ?? {}) as FieldSet, REPLICAS);
const sameOwner = (left: ManagedFieldsEntry, right: ManagedFieldsEntry): boolean =>
  left.manager === right.manager && left.operation === right.operation && (left.subresource ?? '') === (right.subresource ?? '');

export function entriesOfScale(parent: readonly ManagedFieldsEntry[] | undefined): ManagedFieldsEntry[] | undefined {
  const entries = (parent ?? []).filter(ownsReplicas).map((entry) => ({ ...entry, apiVersion: SCALE_VERSION, fieldsV1: ONLY_REPLICAS as Record<string, unknown> }));
  return entries.length === 0 ? undefined : entries;
}

/** The workload's entries after `scale` has been written. `apiVersion`: the workload's. */
export function entriesWithScale(parent: readonly ManagedFieldsEntry[] | undefined, scale: readonly ManagedFieldsEntry[] | undefined, apiVersion: string): ManagedFieldsEntry[] | undefined {
  const owners = (scale ?? []).filter(ownsReplicas);
  const kept = (parent ?? []).flatMap((entry) => {
    if (!ownsReplicas(entry) || owners.some((owner) => sameOwner(owner, entry))) return [entry];
    const rest = difference(entry.fieldsV1 as FieldSet, ONLY_REPLICAS);
    return isEmptySet(rest) ? [] : [{ ...entry, fieldsV1: rest as Record<string, unknown> }];
  });
  const gained = owners.filter((owner) => !kept.some((entry) => sameOwner(owner, entry) && ownsReplicas(entry)));
  // upstream writes no time here
  const entries = [...kept, ...gained.map(({ time: _time, ...owner }) => ({ ...owner, apiVersion, fieldsV1: ONLY_REPLICAS as Record<string, unknown> }))];
  return entries.length === 0 ? undefined : entries;
}
