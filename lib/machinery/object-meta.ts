// What metadata must satisfy on create and update, whatever the kind. Source: apimachinery pkg/api/validation/objectmeta.go.
import type { ManagedFieldsEntry, ObjectMeta, OwnerReference, LabelSelector, LabelSelectorRequirement } from '#lib/kinds/types/meta-v1.ts';
import { semanticEqual } from './deep-equal.ts';
import { forbidden, invalid, required, tooLong, type FieldError } from './field-error.ts';
import { asPrefix, byteLength, dnsLabelProblems, dnsSubdomainProblems, FIELD_IS_IMMUTABLE, labelValueProblems, MUST_NOT_BE_NEGATIVE, qualifiedNameProblems } from './names.ts';

/** All annotations of an object together; bytes of keys and values. */
const MAX_ANNOTATIONS_BYTES = 256 * 1024;
const STANDARD_FINALIZERS = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

const each = (problems: readonly string[], field: string, value: unknown): FieldError[] => problems.map((text) => invalid(field, value, text));

/** `invalid` for every problem that a check of lib/machinery/names.ts finds. */
export function checked(field: string, value: string, check: (value: string) => string[]): FieldError[] {
  return each(check(value), field, value);
}

export function validateLabels(labels: Readonly<Record<string, string>> | undefined, field: string): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [...each(qualifiedNameProblems(key), field, key), ...each(labelValueProblems(value), field, value)]);
}

export function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  let totalBytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...each(qualifiedNameProblems(key.toLowerCase()), field, key));
    totalBytes += byteLength(key) + byteLength(value);
  }
  if (totalBytes > MAX_ANNOTATIONS_BYTES) errors.push(tooLong(field, MAX_ANNOTATIONS_BYTES));
  return errors;
}

function validateOwnerReferences(references: readonly OwnerReference[] | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  let firstController: string | undefined;
  for (const reference of references ?? []) {
    const { apiVersion, kind, name, uid } = reference;
    if (!apiVersion) errors.push(invalid(`${field}.apiVersion`, apiVersion ?? '', 'version must not be empty'));
    if (!kind) errors.push(invalid(`${field}.kind`, kind ?? '', 'must not be empty'));
    if (!name) errors.push(invalid(`${field}.name`, name ?? '', 'must not be empty'));
    if (!uid) errors.push(invalid(`${field}.uid`, uid ?? '', 'must not be empty'));
    if (apiVersion === 'v1' && kind === 'Event') errors.push(invalid(field, reference, '/v1, Kind=Event is disallowed from being an owner'));
    if (reference.controller !== true) continue;
    if (firstController === undefined) firstController = `${kind}/${name}`;
    else errors.push(invalid(field, references, `Only one reference can have Controller set to true. Found "true" in references for ${firstController} and ${kind}/${name}`));
  }
  return errors;
}

function validateFinalizers(finalizers: readonly string[] | undefined, field: string): FieldError[] {
  const errors = (finalizers ?? []).flatMap((finalizer) => each(qualifiedNameProblems(finalizer), field, finalizer));
  if (finalizers?.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(invalid(field, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'));
  }
  (finalizers ?? []).forEach((finalizer, index) => {
    // a domain alone is allowed for definitions and custom resources, and harms nobody elsewhere
    if (!finalizer.includes('/') && !finalizer.includes('.') && !STANDARD_FINALIZERS.has(finalizer)) {
      errors.push(invalid(`${field}[${index}]`, finalizer, 'name is neither a standard finalizer name nor is it fully qualified'));
    }
  });
  return errors;
}

export function validateFieldManager(manager: string | undefined, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (byteLength(manager ?? '') > 128) errors.push(tooLong(field, 128));
  let position = 0;
  for (const character of manager ?? '') {
    const code = character.codePointAt(0) ?? 0;
    if (/\p{C}|[\p{Zl}\p{Zp}]/u.test(character)) {
      const point = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
      errors.push(invalid(field, manager, `invalid character ${point} (at position ${position})`));
    }
    position += byteLength(character);
  }
  return errors;
}

function validateManagedFields(entries: readonly ManagedFieldsEntry[] | undefined, field: string): FieldError[] {
  return (entries ?? []).flatMap(({ operation, fieldsType, manager, subresource }, index) => {
    const errors: FieldError[] = [];
    if (operation !== 'Apply' && operation !== 'Update') errors.push(invalid(`${field}[${index}].operation`, operation ?? '', 'must be `Apply` or `Update`'));
    if (fieldsType !== undefined && fieldsType !== '' && fieldsType !== 'FieldsV1') errors.push(invalid(`${field}[${index}].fieldsType`, fieldsType, 'must be `FieldsV1`'));
    errors.push(...validateFieldManager(manager, `${field}[${index}].manager`));
    if (byteLength(subresource ?? '') > 256) errors.push(tooLong(`${field}[${index}].subresource`, 256));
    return errors;
  });
}

export interface ObjectMetaRules {
  readonly namespaced: boolean;
  /** What is wrong with a name; default: DNS-1123 subdomain. */
  readonly validateName?: ((name: string) => string[]) | undefined;
}

/** On create. */
export function validateObjectMeta(metadata: Readonly<ObjectMeta>, { namespaced, validateName = dnsSubdomainProblems }: ObjectMetaRules, field = 'metadata'): FieldError[] {
  const errors: FieldError[] = [];
  if (metadata.generateName) errors.push(...each(asPrefix(validateName)(metadata.generateName), `${field}.generateName`, metadata.generateName));
  if (!metadata.name) errors.push(required(`${field}.name`, 'name or generateName is required'));
  else errors.push(...each(validateName(metadata.name), `${field}.name`, metadata.name));
  if (!namespaced) {
    if (metadata.namespace) errors.push(forbidden(`${field}.namespace`, 'not allowed on this type'));
  } else if (!metadata.namespace) {
    errors.push(required(`${field}.namespace`));
  } else {
    errors.push(...each(dnsLabelProblems(metadata.namespace), `${field}.namespace`, metadata.namespace));
  }
  if ((metadata.generation ?? 0) < 0) errors.push(invalid(`${field}.generation`, metadata.generation, MUST_NOT_BE_NEGATIVE));
  return [
    ...errors,
    ...validateLabels(metadata.labels, `${field}.labels`),
    ...validateAnnotations(metadata.annotations, `${field}.annotations`),
    ...validateOwnerReferences(metadata.ownerReferences, `${field}.ownerReferences`),
    ...validateFinalizers(metadata.finalizers, `${field}.finalizers`),
    ...validateManagedFields(metadata.managedFields, `${field}.managedFields`),
  ];
}

const IMMUTABLE = ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const;

/** On update. */
export function validateObjectMetaUpdate(next: Readonly<ObjectMeta>, previous: Readonly<ObjectMeta>, field = 'metadata'): FieldError[] {
  const errors: FieldError[] = [];
  if (previous.deletionTimestamp !== undefined) {
    const added = (next.finalizers ?? []).filter((finalizer) => !previous.finalizers?.includes(finalizer)).sort();
    if (added.length > 0) {
      const list = `[]string{${added.map((one) => JSON.stringify(one)).join(', ')}}`;
      errors.push(forbidden(`${field}.finalizers`, `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`));
    }
  }
  if (!next.resourceVersion) errors.push(invalid(`${field}.resourceVersion`, next.resourceVersion ?? '', 'must be specified for an update'));
  if ((next.generation ?? 0) < 0) errors.push(invalid(`${field}.generation`, next.generation, MUST_NOT_BE_NEGATIVE));
  if ((next.generation ?? 0) < (previous.generation ?? 0)) errors.push(invalid(`${field}.generation`, next.generation ?? 0, 'must not be decremented'));
  for (const name of IMMUTABLE) {
    if (next[name] !== previous[name]) errors.push(invalid(`${field}.${name}`, next[name], FIELD_IS_IMMUTABLE));
  }
  return [
    ...errors,
    ...validateLabels(next.labels, `${field}.labels`),
    ...validateAnnotations(next.annotations, `${field}.annotations`),
    ...validateOwnerReferences(next.ownerReferences, `${field}.ownerReferences`),
    ...validateFinalizers(next.finalizers, `${field}.finalizers`),
    ...validateManagedFields(next.managedFields, `${field}.managedFields`),
  ];
}

/** `field is immutable` when the values differ. */
export function unchanged(next: unknown, previous: unknown, field: string): FieldError[] {
  return semanticEqual(next, previous) ? [] : [invalid(field, next ?? null, FIELD_IS_IMMUTABLE)];
}

function validateSelectorRequirement({ key, operator, values = [] }: Readonly<LabelSelectorRequirement>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) errors.push(forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
  } else {
    errors.push(invalid(`${field}.operator`, operator ?? '', 'not a valid selector operator'));
  }
  errors.push(...each(qualifiedNameProblems(key ?? ''), `${field}.key`, key ?? ''));
  values.forEach((value, index) => errors.push(...each(labelValueProblems(value), `${field}.values[${index}]`, value)));
  return errors;
}

export function validateLabelSelector(selector: Readonly<LabelSelector> | undefined, field: string): FieldError[] {
  if (selector === undefined) return [];
  return [
    ...validateLabels(selector.matchLabels, `${field}.matchLabels`),
    ...(selector.matchExpressions ?? []).flatMap((one, index) => validateSelectorRequirement(one, `${field}.matchExpressions[${index}]`)),
  ];
}
