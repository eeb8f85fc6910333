// metadata.managedFields: read, kept up to date on every write, and what server-side apply does with it.
// Source: apimachinery pkg/util/managedfields/internal.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ManagedFieldsEntry } from '#lib/kinds/types/meta-v1.ts';
import { badRequest, failure, StatusError } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { compareTyped } from './compare.ts';
import { difference, EMPTY_SET, formatPath, hasPath, inOrder, isEmptySet, parseSet, setOf, union, type FieldSet } from './field-set.ts';
import { mergeTypeOf } from './merge-schema.ts';
import { ConflictsError, ownAfterApply, ownAfterUpdate, ownerKey, type Applied, type Conflict, type Owner, type Owners, type VersionedType, type Versions } from './ownership.ts';
import { resetFieldsOf } from './reset-fields.ts';
import { equalValues, fieldSetOf, TypedError, validateTyped, type Json } from './typed-value.ts';

/** More owners by update than that, and the oldest become one. */
export const MAX_UPDATE_OWNERS = 10;
const OLD_UPDATES = 'ancient-changes';
const BEFORE_FIRST_APPLY = 'before-first-apply';
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** What ownership has to know about a kind. */
export type OwnedKind = Pick<AnyKind, 'group' | 'version' | 'kind' | 'apiVersion' | 'schema' | 'subresources' | 'storedAs' | 'prepareForStatusUpdate'>;

export interface FieldWrite {
  readonly kind: OwnedKind;
  /** '' for the object itself. */
  readonly subresource: string;
  /** Every kind under which the object is served. */
  readonly versions: readonly OwnedKind[];
  readonly manager: string;
  readonly nowMs: number;
}

/** Never owned by anybody. */
const UNOWNED = setOf(...['apiVersion', 'kind', 'metadata'].map((name) => [`f:${name}`]),
  ...['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'].map((name) => ['f:metadata', `f:${name}`]));

const OPERATIONS: ReadonlySet<unknown> = new Set(['Apply', 'Update']);

/** Undefined when an entry makes no sense. `isTrusted`: written by ourselves. */
function ownersOf(entries: readonly ManagedFieldsEntry[] | undefined, isTrusted: boolean): Map<string, Owner> | undefined {
  const owners = new Map<string, Owner>();
  for (const { manager = '', operation, apiVersion = '', subresource = '', time, fieldsType, fieldsV1 } of entries ?? []) {
    if (!OPERATIONS.has(operation) || apiVersion === '' || fieldsType !== 'FieldsV1') return undefined;
    let fields = (fieldsV1 ?? {}) as FieldSet;
    if (!isTrusted) {
      try {
        fields = parseSet(fields);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        return undefined;
      }
    }
    const owner: Owner = { manager, operation: operation as Owner['operation'], apiVersion, subresource, time, fields };
    owners.set(ownerKey(owner), owner);
  }
  return owners;
}

const isReset = (entries: readonly ManagedFieldsEntry[] | undefined): boolean =>
  entries !== undefined && (entries.length === 0 || (entries.length === 1 && Object.values(entries[0] as object).every((value) => value === undefined)));

const byText = (left: string, right: string): number => (left === right ? 0 : left < right ? -1 : 1);
/** Times are all written alike, to the second. */
const byTime = (left: Owner, right: Owner): number => byText(left.time ?? '', right.time ?? '');

/** `known`: the entries from which the owners were read; those that have not changed are used again. */
function entriesOf(owners: Owners, known: ReadonlyMap<FieldSet, ManagedFieldsEntry>): ManagedFieldsEntry[] | undefined {
  if (owners.size === 0) return undefined;
  return [...owners.values()]
    .sort((a, b) => byText(a.operation, b.operation) || byTime(a, b) || byText(a.manager, b.manager) || byText(a.apiVersion, b.apiVersion) || byText(a.subresource, b.subresource))
    .map((owner) => {
      const { manager, operation, apiVersion, subresource, time, fields } = owner;
      const before = known.get(fields);
      if (before && before.time === time && before.manager === manager && before.apiVersion === apiVersion && before.operation === operation) return before;
      return {
        ...(manager === '' ? {} : { manager }), operation, apiVersion, ...(time === undefined ? {} : { time }), fieldsType: 'FieldsV1',
        fieldsV1: before ? fields : inOrder(fields), ...(subresource === '' ? {} : { subresource }),
      };
    });
}

const entriesByFields = (entries: readonly ManagedFieldsEntry[] | undefined): Map<FieldSet, ManagedFieldsEntry> =>
  new Map((entries ?? []).flatMap((entry) => (entry.fieldsV1 ? [[entry.fieldsV1 as FieldSet, entry] as const] : [])));

const knownVersions = new WeakMap<OwnedKind, Map<string, Versions>>();

/** Made once for a kind and subresource: every write asks. */
function versionsOf({ kind, subresource, versions }: FieldWrite): Versions {
  const ofKind = knownVersions.get(kind) ?? new Map<string, Versions>();
  knownVersions.set(kind, ofKind);
  const known = ofKind.get(subresource);
  if (known) return known;
  const types = new Map<string, VersionedType>([kind, ...versions.filter(({ apiVersion }) => apiVersion !== kind.apiVersion)].map((one) => [one.apiVersion, {
    type: mergeTypeOf(one.schema), resetFields: resetFieldsOf(one, subresource), convert: (object) => (one === kind ? object : convertObject(object, kind, one)),
  }]));
  const made: Versions = { apiVersion: kind.apiVersion, of: (apiVersion) => types.get(apiVersion) };
  ofKind.set(subresource, made);
  return made;
}

function convertObject(object: Json, from: OwnedKind, to: OwnedKind): Json {
  const copy = structuredClone(object) as unknown as KubernetesObject;
  const stored = from.storedAs ? from.storedAs.toStored(copy) : copy;
  return (to.storedAs ? to.storedAs.fromStored(stored) : stored) as unknown as Json;
}

const selfOf = ({ kind, subresource, manager, nowMs }: FieldWrite, operation: Owner['operation'], fields: FieldSet): Owner =>
  ({ manager: manager === '' ? 'unknown' : manager, operation, apiVersion: kind.apiVersion, subresource, time: formatTime(nowMs), fields });

const bare = (object: KubernetesObject | undefined): Json => {
  if (!object) return {};
  if (object.metadata?.managedFields === undefined) return object as unknown as Json;
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { ...object, metadata };
};

function updated(live: KubernetesObject | undefined, next: KubernetesObject, owners: Owners, write: FieldWrite): Owners {
  return capped(ownAfterUpdate(bare(live), bare(next), owners, { versions: versionsOf(write), self: selfOf(write, 'Update', EMPTY_SET), unowned: UNOWNED }));
}

/** Oldest updates of one version become one entry until there are few enough. */
function capped(owners: Map<string, Owner>): Owners {
  const updaters = [...owners].filter(([, { operation }]) => operation === 'Update');
  if (updaters.length <= MAX_UPDATE_OWNERS) return owners;
  updaters.sort(([a, left], [b, right]) => byTime(left, right) || byText(a, b));
  let count = updaters.length;
  const firstOf = new Map<string, string>();
  for (const [key, owner] of updaters) {
    if (count <= MAX_UPDATE_OWNERS) break;
    const { apiVersion } = owner;
    const first = firstOf.get(apiVersion);
    if (first === undefined) {
      firstOf.set(apiVersion, key);
      continue;
    }
    const bucket: Owner = { manager: OLD_UPDATES, operation: 'Update', apiVersion, subresource: '', time: owner.time, fields: {} };
    const bucketKey = ownerKey(bucket);
    const before = owners.get(bucketKey) ?? owners.get(first);
    if (!owners.has(bucketKey)) owners.delete(first);
    owners.delete(key);
    owners.set(bucketKey, { ...bucket, fields: union(owner.fields, before?.fields ?? {}) });
    count -= 1;
  }
  return owners;
}

/**
 * Sets `next.metadata.managedFields` for a create (`live` undefined) or an update. What cannot be compared keeps the
 * entries it had: ownership must not stand in the way of a write.
 */
export function trackUpdate(live: KubernetesObject | undefined, next: KubernetesObject, write: FieldWrite): void {
  const sent = next.metadata.managedFields;
  const stored = live?.metadata.managedFields;
  delete next.metadata.managedFields;
  if (write.subresource === '' && isReset(sent)) return void (live === undefined ? setEntries(next, updated(live, next, new Map(), write), sent) : undefined);
  // most who send entries send back what they were given
  const isEdited = write.subresource === '' && sent !== undefined && sent.length > 0 && !equalValues(sent, stored);
  const edited = isEdited ? ownersOf(sent, false) : undefined;
  const owners = edited && edited.size > 0 ? edited : ownersOf(stored, true) ?? new Map<string, Owner>();
  if (owners.size === 0 && live?.metadata.uid) return; // nobody owned anything, and an update does not start it
  try {
    setEntries(next, updated(live, next, owners, write), stored);
  } catch (error) {
    if (!(error instanceof TypedError)) throw error;
    if (stored) next.metadata.managedFields = stored;
  }
}

function setEntries(object: KubernetesObject, owners: Owners, known: readonly ManagedFieldsEntry[] | undefined): void {
  const entries = entriesOf(owners, entriesByFields(known));
  if (entries) object.metadata.managedFields = entries;
  else delete object.metadata.managedFields;
}

const sameButForTime = (left: readonly ManagedFieldsEntry[] = [], right: readonly ManagedFieldsEntry[] = []): boolean =>
  left.length === right.length && left.every((entry, index) => {
    const other = right[index];
    return entry === other || equalValues({ ...entry, time: undefined }, { ...other, time: undefined });
  });

/** Nothing is new, or nothing but the times of owners. Source: apiserver pkg/endpoints/handlers/fieldmanager/equality.go. */
export function isUnchanged(next: KubernetesObject, live: KubernetesObject, isSame: (left: unknown, right: unknown) => boolean): boolean {
  return isSame(bare(next), bare(live)) && sameButForTime(next.metadata.managedFields, live.metadata.managedFields);
}

export interface ApplyWrite extends FieldWrite {
  readonly force: boolean;
}

const gvkText = ({ group, version, kind }: Pick<AnyKind, 'group' | 'version' | 'kind'>): string => `${group}/${version}, Kind=${kind}`;

/**
 * The object with `config` applied, its managedFields up to date; defaults and admission are still to come. Without
 * `live` it is to be created. Throws Conflict, BadRequest and others as StatusError.
 */
export function applyConfiguration(live: KubernetesObject | undefined, config: Json, write: ApplyWrite): KubernetesObject {
  const { kind, force } = write;
  checkTarget(config, write);
  const type = mergeTypeOf(kind.schema);
  const problems = validateTyped(config, type, { allowDuplicates: false });
  if (problems.length > 0) {
    const { name = '', namespace = '' } = (config['metadata'] ?? {}) as { name?: string; namespace?: string };
    const list = problems.length === 1 ? problems[0] : `errors:\n  ${problems.join('\n  ')}`;
    throw failure(500, undefined, `failed to create typed patch object (${namespace}/${name}; ${gvkText(kind)}): ${list}`);
  }
  const stored = live?.metadata.managedFields;
  let owners: Owners = ownersOf(stored, true) ?? new Map<string, Owner>();
  if (owners.size === 0 && live?.metadata.uid) owners = refusingConflicts(() => updated(undefined, live, new Map(), { ...write, manager: BEFORE_FIRST_APPLY }));
  const base = bare(live);
  const self = selfOf(write, 'Apply', {});
  const run = (isForced: boolean): Applied => {
    const { object, owners: after } = ownAfterApply(base, config, owners, { versions: versionsOf(write), self, force: isForced });
    const key = ownerKey(self);
    const own = after.get(key);
    if (own) {
      const fields = difference(own.fields, UNOWNED);
      if (isEmptySet(fields)) after.delete(key);
      else after.set(key, { ...own, fields, ...(object ? { time: self.time } : {}) });
    }
    return { object, owners: after };
  };
  const { object, owners: after } = refusingConflicts(() => withLastApplied(run, { live, write, force }));
  const next = (object ?? base) as unknown as KubernetesObject;
  const result: KubernetesObject = { ...next, metadata: { ...next.metadata } };
  setEntries(result, after, stored);
  renewLastApplied(result, config, write);
  return result;
}

function checkTarget(config: Json, { kind }: FieldWrite): void {
  const [group, version] = splitVersion(config['apiVersion']);
  if (config['kind'] !== kind.kind || group !== kind.group || version !== kind.version) {
    throw badRequest(`invalid object type: ${gvkText({ group, version, kind: String(config['kind'] ?? '') })}`);
  }
  const metadata = config['metadata'] as { managedFields?: unknown } | null | undefined;
  if (metadata?.managedFields !== undefined && metadata.managedFields !== null) throw badRequest('metadata.managedFields must be nil');
}

function splitVersion(apiVersion: unknown): [group: string, version: string] {
  const text = typeof apiVersion === 'string' ? apiVersion : '';
  const slash = text.indexOf('/');
  return slash < 0 ? ['', text] : [text.slice(0, slash), text.slice(slash + 1)];
}

/** kubectl's own conflicts with what its client-side apply had set are none. Source: lastappliedmanager.go. */
function withLastApplied(run: (isForced: boolean) => Applied, { live, write, force }: { readonly live: KubernetesObject | undefined; readonly write: ApplyWrite; readonly force: boolean }): Applied {
  try {
    return run(force);
  } catch (error) {
    if (write.manager !== 'kubectl' || !(error instanceof ConflictsError) || !live) throw error;
    const allowed = fieldsLastApplied(live, write);
    if (!allowed) throw error;
    const rest = error.conflicts.filter(({ path }) => !hasPath(allowed, path));
    if (rest.length > 0) throw new ConflictsError(rest);
    return run(true);
  }
}

/** What the client-side annotation states and the object still has so. */
function fieldsLastApplied(live: KubernetesObject, { kind }: FieldWrite): FieldSet | undefined {
  const text = live.metadata.annotations?.[LAST_APPLIED];
  if (!text) return undefined;
  let applied: Json;
  try {
    applied = JSON.parse(text) as Json;
  } catch {
    return undefined; // the annotation is a client's: whatever it says
  }
  const type = mergeTypeOf(kind.schema);
  if (applied['apiVersion'] !== kind.apiVersion || validateTyped(applied, type, { allowDuplicates: false }).length > 0) return undefined;
  const { removed, modified, added } = compareTyped(applied, bare(live), type);
  return difference(difference(difference(fieldSetOf(applied, type), modified), added), removed);
}

function renewLastApplied(object: KubernetesObject, config: Json, { manager }: FieldWrite): void {
  if (manager !== 'kubectl' || !object.metadata.annotations?.[LAST_APPLIED]) return;
  const { annotations, ...metadata } = (config['metadata'] ?? {}) as { annotations?: Record<string, string> };
  const { [LAST_APPLIED]: _last, ...others } = annotations ?? {};
  const text = `${JSON.stringify(sortedKeys({ ...config, metadata: { ...metadata, ...(annotations && Object.keys(others).length > 0 ? { annotations: others } : {}) } }))}\n`;
  object.metadata.annotations = { ...object.metadata.annotations, [LAST_APPLIED]: text };
}

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => byText(a, b)).map(([key, item]) => [key, sortedKeys(item)]));
}

function refusingConflicts<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof ConflictsError) throw conflictStatus(error.conflicts);
    if (error instanceof TypedError) throw failure(500, undefined, error.message);
    throw error;
  }
}

function ownerText({ manager, subresource, operation, apiVersion }: Owner): string {
  const text = `${JSON.stringify(manager)}${subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`}`;
  return operation === 'Update' ? `${text} using ${apiVersion}` : text;
}

/** Source: apimachinery pkg/util/managedfields/internal/conflict.go. */
export function conflictStatus(conflicts: readonly Conflict[]): StatusError {
  const causes = conflicts.map(({ owner, path }) => ({ reason: 'FieldManagerConflict', message: `conflict with ${ownerText(owner)}`, field: formatPath(path) }));
  const [only] = conflicts;
  if (conflicts.length === 1 && only) return failure(409, 'Conflict', `Apply failed with 1 conflict: conflict with ${ownerText(only.owner)}: ${formatPath(only.path)}`, { causes });
  const byOwner = new Map<string, { readonly owner: Owner; readonly paths: string[] }>();
  for (const { owner, path } of conflicts) {
    const key = ownerKey(owner);
    const group = byOwner.get(key) ?? { owner, paths: [] };
    byOwner.set(key, group);
    group.paths.push(formatPath(path));
  }
  const lines = [...byOwner].sort(([a], [b]) => byText(a, b)).flatMap(([, { owner, paths }]) => [`conflicts with ${ownerText(owner)}:`, ...paths.map((path) => `- ${path}`)]);
  return failure(409, 'Conflict', `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`, { causes });
}
