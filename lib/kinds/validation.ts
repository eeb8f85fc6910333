// Runs the checks of a kind in upstream's order, metadata first, and small rules that many kinds share.
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { percentOf } from '#lib/machinery/int-or-percent.ts';
import { MUST_NOT_BE_NEGATIVE, percentProblems } from '#lib/machinery/names.ts';
import { validateObjectMeta, validateObjectMetaUpdate } from '#lib/machinery/object-meta.ts';
import type { Kind, KubernetesObject } from './define-kind.ts';

/** Everything wrong with an object that is to be created. */
export function validateCreate<T extends KubernetesObject>(kind: Kind<T>, object: T): FieldError[] {
  const metadata = validateObjectMeta(object.metadata, { namespaced: kind.namespaced, validateName: kind.validateName });
  return [...metadata, ...(kind.validate?.(object) ?? []), ...(kind.validateCreate?.(object) ?? [])];
}

/** Everything wrong with an object that is to replace `previous`. */
export function validateUpdate<T extends KubernetesObject>(kind: Kind<T>, next: T, previous: T): FieldError[] {
  const metadata = validateObjectMetaUpdate(next.metadata, previous.metadata);
  return [...metadata, ...(kind.validate?.(next) ?? []), ...(kind.validateUpdate?.(next, previous) ?? [])];
}

/** Everything wrong with a new status. */
export function validateStatusUpdate<T extends KubernetesObject>(kind: Kind<T>, next: T, previous: T): FieldError[] {
  return [...validateObjectMetaUpdate(next.metadata, previous.metadata), ...(kind.validateStatusUpdate?.(next, previous) ?? [])];
}

export function notNegative(value: number | undefined, field: string): FieldError[] {
  return value !== undefined && value < 0 ? [invalid(field, value, MUST_NOT_BE_NEGATIVE)] : [];
}

/** A value out of a list; absent is `Required value`. */
export function oneOf(value: string | undefined, allowed: readonly string[], field: string): FieldError[] {
  if (value === undefined || value === '') return [required(field)];
  return allowed.includes(value) ? [] : [notSupported(field, value, allowed)];
}

/** A count, or a percentage. */
export function intOrPercent(value: number | string | undefined, field: string): FieldError[] {
  if (value === undefined) return [];
  return typeof value === 'number' ? notNegative(value, field) : percentProblems(value).map((text) => invalid(field, value, text));
}
export function atMostHundredPercent(value: number | string | undefined, field: string): FieldError[] {
  const percent = typeof value === 'string' ? percentOf(value) : undefined;
  return percent !== undefined && percent > 100 ? [invalid(field, value, 'must not be greater than 100%')] : [];
}
