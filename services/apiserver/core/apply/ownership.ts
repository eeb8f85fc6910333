// Who owns which fields after an update or an apply: steals, conflicts and what an apply takes away.
// Source: structured-merge-diff v6 merge/update.go.
import { compareTyped, withoutFields, type Comparison } from './compare.ts';
import { difference, EMPTY_SET, intersection, isEmptySet, pathsOf, recursiveDifference, union, type FieldSet } from './field-set.ts';
import { mergeTyped, removeItems } from './merge.ts';
import type { MergeType } from './merge-schema.ts';
import { equalValues, fieldSetOf, withNamedFields, type Json } from './typed-value.ts';

export interface Owner {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
  /** As in the object; undefined for an entry that a client has sent without. */
  readonly time: string | undefined;
  readonly fields: FieldSet;
}

/** By identity: see `ownerKey`. */
export type Owners = ReadonlyMap<string, Owner>;

/** Appliers are the same whatever version they apply in. */
export const ownerKey = ({ manager, operation, apiVersion, subresource }: Pick<Owner, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string =>
  `${operation}\n${operation === 'Apply' ? '' : apiVersion}\n${subresource}\n${manager}`;

/** An object as a version of the API shows it. */
export interface VersionedType {
  readonly type: MergeType;
  readonly convert: (object: Json) => Json;
  /** Fields that the endpoint does not let anybody change. */
  readonly resetFields: FieldSet;
}

export interface Versions {
  /** That of the request; it is served. */
  readonly apiVersion: string;
  /** Undefined: the version is not served any more. */
  readonly of: (apiVersion: string) => VersionedType | undefined;
}

export interface Conflict {
  readonly owner: Owner;
  readonly path: readonly string[];
}

export class ConflictsError extends Error {
  override readonly name = 'ConflictsError';
  readonly conflicts: readonly Conflict[];
  constructor(conflicts: readonly Conflict[]) {
    super(`${conflicts.length} conflicts`);
    this.conflicts = conflicts;
  }
}

function versioned(versions: Versions): VersionedType {
  const own = versions.of(versions.apiVersion);
  if (!own) throw new Error(`the version ${versions.apiVersion} is not served`);
  return own;
}

interface Change {
  readonly owners: Map<string, Owner>;
  readonly comparison: Comparison;
}

/** Takes what has changed from everybody but `self`; without `force` that is refused. Throws ConflictsError. */
function steal(live: Json, next: Json, owners: Owners, options: { readonly versions: Versions; readonly self: string; readonly force: boolean }): Change {
  const { versions, self, force } = options;
  const comparisons = new Map<string, Comparison | undefined>();
  const comparisonIn = (apiVersion: string): Comparison | undefined => {
    if (comparisons.has(apiVersion)) return comparisons.get(apiVersion);
    const version = versions.of(apiVersion);
    const isOwn = apiVersion === versions.apiVersion;
    const comparison = version && withoutFields(compareTyped(isOwn ? live : version.convert(live), isOwn ? next : version.convert(next), version.type), version.resetFields);
    comparisons.set(apiVersion, comparison);
    return comparison;
  };
  const comparison = comparisonIn(versions.apiVersion) as Comparison;
  const result = new Map(owners);
  const conflicts: Conflict[] = [];
  for (const [key, owner] of owners) {
    if (key === self) continue;
    const theirs = comparisonIn(owner.apiVersion);
    if (!theirs) {
      result.delete(key); // a version that is gone
      continue;
    }
    const { removed, modified, added } = theirs;
    const changed = union(modified, added);
    const lost = isEmptySet(changed) ? EMPTY_SET : intersection(owner.fields, changed);
    if (!isEmptySet(lost)) conflicts.push(...(force ? [] : pathsOf(lost).map((path) => ({ owner, path }))));
    if (isEmptySet(lost) && isEmptySet(removed)) continue;
    const fields = difference(difference(owner.fields, lost), removed);
    if (isEmptySet(fields)) result.delete(key);
    else result.set(key, { ...owner, fields });
  }
  if (conflicts.length > 0) throw new ConflictsError(conflicts);
  return { owners: result, comparison };
}

/**
 * The owners after a write that is no apply. `self` owns all it has changed but `unowned`, besides what it had; its
 * time is new only then.
 */
export function ownAfterUpdate(live: Json, next: Json, owners: Owners, options: { readonly versions: Versions; readonly self: Owner; readonly unowned: FieldSet }): Map<string, Owner> {
  const { versions, self, unowned } = options;
  const key = ownerKey(self);
  const { owners: after, comparison } = steal(live, next, owners, { versions, self: key, force: true });
  const { removed, modified, added } = comparison;
  const own = owners.get(key);
  const kept = own ? difference(own.fields, removed) : EMPTY_SET;
  const gained = difference(union(modified, added), unowned);
  const fields = union(kept, gained);
  if (isEmptySet(fields)) after.delete(key);
  else if (!isEmptySet(gained)) after.set(key, { ...self, fields });
  else if (own) after.set(key, { ...own, fields });
  return after;
}

export interface Applied {
  /** Undefined: nothing has changed. */
  readonly object: Json | undefined;
  readonly owners: Map<string, Owner>;
}

/** Merges `config` into `live` and drops what `self` has applied before and does not any more. Throws ConflictsError, TypedError. */
export function ownAfterApply(live: Json, config: Json, owners: Owners, options: { readonly versions: Versions; readonly self: Owner; readonly force: boolean }): Applied {
  const { versions, self, force } = options;
  const { type, resetFields } = versioned(versions);
  const key = ownerKey(self);
  const merged = mergeTyped(live, config, type) as Json;
  const last = owners.get(key);
  const applied: Owner = { ...self, time: last?.time, fields: recursiveDifference(fieldSetOf(config, type), resetFields) };
  const claims = new Map(owners).set(key, applied);
  const next = last ? prune(merged, { owners: claims, last, versions }) : merged;
  const { owners: after } = steal(live, next, claims, { versions, self: key, force });
  if (isEmptySet(applied.fields)) after.delete(key);
  return { object: equalValues(live, next) ? undefined : next, owners: after };
}

/** Removes what was applied last time, is not this time, and nobody else owns. */
function prune(merged: Json, { owners, last, versions }: { readonly owners: Owners; readonly last: Owner; readonly versions: Versions }): Json {
  const version = versions.of(last.apiVersion);
  if (isEmptySet(last.fields) || !version) return merged;
  const full = last.apiVersion === versions.apiVersion ? merged : version.convert(merged);
  const { type } = version;
  const named = (set: FieldSet): FieldSet => withNamedFields(set, type);
  const fullFields = named(fieldSetOf(full, type));
  let pruned = (removeItems(full, named(last.fields), type) ?? {}) as Json;
  // what others own comes back
  let owned: FieldSet = EMPTY_SET;
  for (const owner of owners.values()) {
    const fields = owner.apiVersion === last.apiVersion ? owner.fields : fieldsInVersion(owner, { merged, versions, apiVersion: last.apiVersion });
    owned = union(owned, fields);
  }
  pruned = (removeItems(full, difference(fullFields, union(named(fieldSetOf(pruned, type)), named(owned))), type) ?? {}) as Json;
  // and what was never this applier's
  const dangling = intersection(difference(fullFields, named(fieldSetOf(pruned, type))), named(last.fields));
  pruned = (removeItems(full, dangling, type) ?? {}) as Json;
  const own = versions.of(versions.apiVersion);
  return last.apiVersion === versions.apiVersion || !own ? pruned : own.convert(pruned);
}

/** The fields of an owner in another version: those of the parts of the object it owns. */
function fieldsInVersion(owner: Owner, { merged, versions, apiVersion }: { readonly merged: Json; readonly versions: Versions; readonly apiVersion: string }): FieldSet {
  const [from, to] = [versions.of(owner.apiVersion), versions.of(apiVersion)];
  if (!from || !to) return EMPTY_SET;
  const inTheirs = from.convert(merged);
  const rest = (removeItems(inTheirs, withNamedFields(owner.fields, from.type), from.type) ?? {}) as Json;
  return difference(fieldSetOf(to.convert(inTheirs), to.type), fieldSetOf(to.convert({ ...rest, apiVersion: inTheirs['apiVersion'], kind: inTheirs['kind'], metadata: rest['metadata'] ?? {} }), to.type));
}
