// What every create and update goes through between admission and storage: system fields, the kind's strategy, validation.
// Source: apiserver pkg/registry/rest/{create,update,meta}.go.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { validateCreate } from '#lib/kinds/validation.ts';
import { sameContent } from '#lib/machinery/deep-equal.ts';
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { validateObjectMetaUpdate } from '#lib/machinery/object-meta.ts';
import { conflict, failure, invalidObject, MODIFIED } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';

/** Longest part of generateName that is used. Source: apiserver pkg/storage/names. */
const MAX_GENERATED_PREFIX = 58;

export interface CreateContext {
  readonly namespace: string;
  readonly nowMs: number;
  readonly uid: string;
  /** Five random letters, for generateName. */
  readonly suffix: string;
}

/** Changes `object` in place; throws Invalid and others as StatusError. */
export function prepareCreate(kind: AnyKind, object: KubernetesObject, { namespace, nowMs, uid, suffix }: CreateContext): void {
  const { metadata } = object;
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '') {
    throw failure(500, undefined, 'resourceVersion should not be set on objects to be created');
  }
  if (kind.namespaced) metadata.namespace = namespace;
  else delete metadata.namespace;
  for (const field of ['deletionTimestamp', 'deletionGracePeriodSeconds', 'selfLink', 'generation', 'resourceVersion'] as const) delete metadata[field];
  metadata.creationTimestamp = formatTime(nowMs);
  metadata.uid = uid;
  if ((metadata.name ?? '') === '' && metadata.generateName) metadata.name = metadata.generateName.slice(0, MAX_GENERATED_PREFIX) + suffix;
  metadata.name ??= ''; // as in Go: refused, but checks may look at it
  if (kind.generation === 'spec-change' || kind.generation === 'constant') metadata.generation = 1;
  kind.prepareForCreate?.(object);
  const errors = validateCreate(kind, object);
  if (errors.length > 0) throw invalidObject(kind, metadata.name ?? '', errors);
}

/** How an update treats the object: the main endpoint, /status, or a subresource's own rules. */
export interface UpdateRules {
  readonly prepare: (kind: AnyKind, next: KubernetesObject, previous: KubernetesObject) => void;
  readonly validate: (kind: AnyKind, next: KubernetesObject, previous: KubernetesObject) => FieldError[];
}

type WithStatus = KubernetesObject & { status?: unknown };

export const mainRules: UpdateRules = {
  prepare: (kind, next, previous) => {
    if (kind.subresources['status']) {
      const { status } = previous as WithStatus;
      if (status === undefined) delete (next as WithStatus).status;
      else (next as WithStatus).status = status;
    }
    kind.prepareForUpdate?.(next, previous);
    raiseGeneration(kind, next, previous);
  },
  validate: (kind, next, previous) => [...(kind.validate?.(next) ?? []), ...(kind.validateUpdate?.(next, previous) ?? [])],
};

/** One more for every change of what is asked for. */
export function raiseGeneration(kind: AnyKind, next: KubernetesObject, previous: KubernetesObject): void {
  if (kind.generation !== 'spec-change' || next.metadata.generation !== previous.metadata.generation) return;
  const isNew = !sameContent(desired(next), desired(previous)) || (kind.raisesGeneration?.(next, previous) ?? false);
  if (isNew) next.metadata.generation = (previous.metadata.generation ?? 0) + 1;
}

export const statusRules: UpdateRules = {
  prepare: (kind, next, previous) => {
    if (kind.prepareForStatusUpdate) return kind.prepareForStatusUpdate(next, previous);
    const { status } = next as WithStatus;
    for (const key of Object.keys(next)) delete (next as unknown as Record<string, unknown>)[key];
    Object.assign(next, previous, { metadata: { ...previous.metadata } });
    if (status === undefined) delete (next as WithStatus).status;
    else (next as WithStatus).status = status;
  },
  validate: (kind, next, previous) => kind.validateStatusUpdate?.(next, previous) ?? [],
};

/** Everything a user asks for: all but metadata and status. */
function desired(object: KubernetesObject): Record<string, unknown> {
  const { metadata: _metadata, status: _status, ...rest } = object as WithStatus;
  return rest;
}

/** Changes `next` in place, never `previous`; throws Conflict and Invalid as StatusError. */
export function prepareUpdate(kind: AnyKind, next: KubernetesObject, previous: KubernetesObject, rules: UpdateRules): void {
  const { metadata } = next;
  const old = previous.metadata;
  if (metadata.uid !== undefined && metadata.uid !== '' && metadata.uid !== old.uid) {
    throw conflict(kind, old.name, `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${old.uid ?? ''}`);
  }
  const version = metadata.resourceVersion;
  if (version !== undefined && version !== '' && version !== '0') {
    if (!/^\d+$/.test(version)) throw invalidObject(kind, old.name, [invalid('metadata.resourceVersion', version, `strconv.ParseUint: parsing "${version}": invalid syntax`)]);
    if (version !== old.resourceVersion) throw conflict(kind, old.name, MODIFIED);
  } else if (kind.allowUnconditionalUpdate === false) {
    throw invalidObject(kind, old.name, [invalid('metadata.resourceVersion', 0, 'must be specified for an update')]);
  }
  metadata.resourceVersion = old.resourceVersion;
  for (const field of ['uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'generation', 'selfLink'] as const) {
    if (old[field] === undefined) delete metadata[field];
    else (metadata as unknown as Record<string, unknown>)[field] = old[field];
  }
  const { managedFields } = metadata;
  rules.prepare(kind, next, previous);
  // whoever owns what was settled before; it stands above what the rules keep
  if (managedFields === undefined) delete next.metadata.managedFields;
  else next.metadata.managedFields = managedFields;
  const errors = [...validateObjectMetaUpdate(metadata === next.metadata ? metadata : next.metadata, old), ...rules.validate(kind, next, previous)];
  if (errors.length > 0) throw invalidObject(kind, old.name, errors);
}
