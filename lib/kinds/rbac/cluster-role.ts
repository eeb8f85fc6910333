// ClusterRole of rbac.authorization.k8s.io/v1: what may be done anywhere, or with what has no namespace.
import { invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { pathSegmentProblems } from '#lib/machinery/names.ts';
import { validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { defineKind } from '../define-kind.ts';
import type { ClusterRole } from '../types/rbac-v1.ts';
import { validateRule } from './rbac-rules.ts';

function validate({ rules = [], aggregationRule }: ClusterRole): FieldError[] {
  const errors = rules.flatMap((rule, index) => validateRule(rule, `rules[${index}]`, { namespaced: false }));
  if (aggregationRule === undefined) return errors;
  const path = 'aggregationRule.clusterRoleSelectors';
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) errors.push(required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil'));
  selectors.forEach((selector, index) => {
    const problems = validateLabelSelector(selector, `${path}[${index}]`);
    errors.push(...problems);
    if (problems.length > 0) errors.push(invalid(`${path}[${index}]`, selector, 'invalid label selector.'));
  });
  return errors;
}

export const clusterRoleKind = defineKind<ClusterRole>({
  group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'ClusterRole', plural: 'clusterroles', singular: 'clusterrole', scope: 'Cluster',
  schema: 'io.k8s.api.rbac.v1.ClusterRole',
  storageVersionHash: 'bYE5ZWDrJ44=',
  validateName: pathSegmentProblems,
  validate,
  allowCreateOnUpdate: true,
});
