// Checks of PersistentVolumeClaims, and those that volumes share. Source: pkg/apis/core/validation.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems } from '#lib/machinery/names.ts';
import { checked, unchanged, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { compareQuantities, parseQuantity } from '#lib/machinery/quantity.ts';
import { keep } from '../strategy.ts';
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedObjectReference } from '../types/core-v1.ts';
import { goDiff } from './spec-diff.ts';
import { BETA_CLASS } from './volume-columns.ts';

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
const VOLUME_MODES = ['Block', 'Filesystem'];
const MUST_BE_POSITIVE = 'must be greater than zero';

const isPositive = (amount: string): boolean => parseQuantity(amount).nanos > 0n;
export const validatePositive = (amount: string, path: string): FieldError[] => (isPositive(amount) ? [] : [invalid(path, amount, MUST_BE_POSITIVE)]);

export function validateAccessModes(modes: readonly string[], path: string): FieldError[] {
  const errors = modes.filter((mode) => !ACCESS_MODES.includes(mode)).map((mode) => notSupported(path, mode, ACCESS_MODES));
  const isShared = modes.some((mode) => mode !== 'ReadWriteOncePod');
  return isShared && modes.includes('ReadWriteOncePod') ? [...errors, forbidden(path, 'may not use ReadWriteOncePod with other access modes')] : errors;
}

export const validateVolumeMode = (mode: string | undefined, path: string): FieldError[] =>
  (mode === undefined || VOLUME_MODES.includes(mode) ? [] : [notSupported(path, mode, VOLUME_MODES)]);
export const validateClassName = (name: string | undefined, path: string): FieldError[] => (name ? checked(path, name, dnsSubdomainProblems) : []);

function validateDataSource({ apiGroup = '', kind, name, namespace }: TypedObjectReference, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!name) errors.push(required(`${path}.name`));
  if (!kind) errors.push(required(`${path}.kind`));
  if (apiGroup === '' && kind !== 'PersistentVolumeClaim') errors.push(invalid(path, kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
  if (apiGroup !== '') errors.push(...checked(`${path}.apiGroup`, apiGroup, dnsSubdomainProblems));
  if (namespace) errors.push(...checked(`${path}.namespace`, namespace, dnsSubdomainProblems));
  return errors;
}

function validateDataSources({ dataSource, dataSourceRef }: PersistentVolumeClaimSpec, path: string): FieldError[] {
  const errors = [
    ...(dataSource === undefined ? [] : validateDataSource(dataSource, `${path}.dataSource`)),
    ...(dataSourceRef === undefined ? [] : validateDataSource(dataSourceRef, `${path}.dataSourceRef`)),
  ];
  if (dataSource === undefined || dataSourceRef === undefined) return errors;
  if (dataSourceRef.namespace) return [...errors, invalid(path, dataSource, 'may not be specified when dataSourceRef.namespace is specified')];
  const isSame = (dataSource.apiGroup ?? '') === (dataSourceRef.apiGroup ?? '') && dataSource.kind === dataSourceRef.kind && dataSource.name === dataSourceRef.name;
  return isSame ? errors : [...errors, invalid(path, dataSource, 'must match dataSourceRef')];
}

export function validateClaimSpec(spec: PersistentVolumeClaimSpec, path: string): FieldError[] {
  const { accessModes = [] } = spec;
  const storage = spec.resources?.requests?.['storage'];
  return [
    ...(accessModes.length === 0 ? [required(`${path}.accessModes`, 'at least 1 access mode is required')] : []),
    ...validateLabelSelector(spec.selector, `${path}.selector`),
    ...validateAccessModes(accessModes, `${path}.accessModes`),
    ...(storage === undefined ? [required(`${path}.resources[storage]`)] : validatePositive(storage, `${path}.resources[storage]`)),
    ...validateClassName(spec.storageClassName, `${path}.storageClassName`),
    ...validateVolumeMode(spec.volumeMode, `${path}.volumeMode`),
    ...validateDataSources(spec, path),
    ...validateClassName(spec.volumeAttributesClassName, `${path}.volumeAttributesClassName`),
  ];
}

/** `next` with everything that may change put back as it was. */
function withUpdatesUndone({ metadata, spec, status }: PersistentVolumeClaim, { metadata: oldMetadata, spec: old }: PersistentVolumeClaim): PersistentVolumeClaimSpec {
  const undone = structuredClone(spec);
  // The binder names the volume, once; a class may be filled in where there was none.
  if (!old.volumeName) keep(undone, old, 'volumeName');
  const wasUnset = old.storageClassName === undefined && oldMetadata.annotations?.[BETA_CLASS] === undefined;
  const fromAnnotation = old.storageClassName === undefined && oldMetadata.annotations?.[BETA_CLASS] === spec.storageClassName && metadata.annotations?.[BETA_CLASS] === undefined;
  if (wasUnset || fromAnnotation) keep(undone, old, 'storageClassName');
  if (status?.phase === 'Bound') {
    if (undone.resources !== undefined) undone.resources = { ...undone.resources, requests: old.resources?.requests };
    keep(undone, old, 'volumeAttributesClassName');
  }
  return undone;
}

export function validateClaimUpdate(next: PersistentVolumeClaim, previous: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  const undone = withUpdatesUndone(next, previous);
  if (!semanticEqual(undone, previous.spec)) {
    const diff = goDiff(previous.spec, undone, 'core.PersistentVolumeClaimSpec');
    errors.push(forbidden('spec', `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${diff}`));
  }
  const [own, old] = [next, previous].map(({ spec }) => spec.resources?.requests?.['storage'] ?? '0') as [string, string];
  // A wish that could not be fulfilled may be taken back, to more than there is.
  if (compareQuantities(own, old) < 0 && compareQuantities(own, previous.status?.capacity?.['storage'] ?? '0') <= 0) {
    errors.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'));
  }
  const path = 'spec.volumeAttributesClassName';
  const { volumeAttributesClassName: attributes } = next.spec;
  if (previous.status?.currentVolumeAttributesClassName !== undefined && attributes !== previous.spec.volumeAttributesClassName) {
    if (attributes === undefined) errors.push(forbidden(path, 'update to nil is forbidden when status.currentVolumeAttributesClassName is not nil'));
    else if (attributes === '') errors.push(forbidden(path, 'update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil'));
  }
  return [...errors, ...unchanged(next.spec.volumeMode, previous.spec.volumeMode, 'volumeMode')];
}

const RESIZE_STATUSES = ['ControllerResizeInProgress', 'ControllerResizeInfeasible', 'NodeResizeInProgress', 'NodeResizeInfeasible', 'NodeResizePending'];

export function validateClaimStatusUpdate({ spec, status = {} }: PersistentVolumeClaim): FieldError[] {
  return [
    ...((spec.accessModes ?? []).length === 0 ? [required('Spec.accessModes')] : []),
    ...Object.entries(status.capacity ?? {}).flatMap(([name, amount]) => (parseQuantity(amount).nanos < 0n ? [invalid(`status.capacity[${name}]`, amount, 'must be greater than or equal to 0')] : [])),
    ...Object.values(status.allocatedResourceStatuses ?? {}).flatMap((one) => (RESIZE_STATUSES.includes(one) ? [] : [notSupported('status.allocatedResourceStatuses', one, RESIZE_STATUSES)])),
  ];
}
