// Checks that the workload kinds share: selector, template, replica counts. Source: pkg/apis/apps/validation.
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { validatePodTemplate } from '../core/pod-validation.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';
import type { LabelSelector } from '../types/meta-v1.ts';
import { notNegative } from '../validation.ts';

/** `emptyName` is how upstream's message calls the kind, which is not always right: a ReplicaSet is called deployment. */
export function validateSelector(selector: LabelSelector | undefined, emptyName: string): FieldError[] {
  if (selector === undefined) return [required('spec.selector')];
  const errors = validateLabelSelector(selector, 'spec.selector');
  const isEmpty = Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0;
  if (isEmpty) errors.push(invalid('spec.selector', selector, `empty selector is invalid for ${emptyName}`));
  return errors;
}

const isUsable = (selector: LabelSelector | undefined): boolean => validateLabelSelector(selector, '').length === 0;

/** The template must be found by the selector and run for ever. `kind` as in the message on activeDeadlineSeconds. */
export function validateWorkloadTemplate(template: PodTemplateSpec | undefined, selector: LabelSelector | undefined, kind: string): FieldError[] {
  const path = 'spec.template';
  const errors: FieldError[] = [];
  const labels = template?.metadata?.labels;
  // An absent selector selects nothing, hence not these pods either.
  if (isUsable(selector) && !labelSelector(selector).matches(labels)) {
    errors.push(invalid(`${path}.metadata.labels`, labels ?? null, '`selector` does not match template `labels`'));
  }
  errors.push(...validatePodTemplate(template, path));
  const { restartPolicy, activeDeadlineSeconds } = template?.spec ?? {};
  if (restartPolicy !== 'Always') errors.push(notSupported(`${path}.spec.restartPolicy`, restartPolicy ?? '', ['Always']));
  if (activeDeadlineSeconds !== undefined) errors.push(forbidden(`${path}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kind} is not Supported`));
  return errors;
}

/** None below zero. */
export function validateCounts(status: object, names: readonly string[]): FieldError[] {
  return names.flatMap((name) => notNegative((status as Record<string, number | undefined>)[name], `status.${name}`));
}
/** None above the number of all. */
export function validateAtMostReplicas(status: object, names: readonly string[]): FieldError[] {
  const counts = status as Record<string, number | undefined>;
  const errors = names.flatMap((name) => ((counts[name] ?? 0) > (counts['replicas'] ?? 0) ? [invalid(`status.${name}`, counts[name], 'cannot be greater than status.replicas')] : []));
  if ((counts['availableReplicas'] ?? 0) > (counts['readyReplicas'] ?? 0)) errors.push(invalid('status.availableReplicas', counts['availableReplicas'], 'cannot be greater than readyReplicas'));
  return errors;
}
/** The count of collisions only grows: names depend on it. */
export function validateCollisionCount(next: number | undefined, previous: number | undefined): FieldError[] {
  return previous !== undefined && (next ?? 0) < previous ? [invalid('status.collisionCount', next ?? 0, 'cannot be decremented')] : [];
}
