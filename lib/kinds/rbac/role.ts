// Role of rbac.authorization.k8s.io/v1: what may be done in a namespace.
import { pathSegmentProblems } from '#lib/machinery/names.ts';
import { defineKind } from '../define-kind.ts';
import type { Role } from '../types/rbac-v1.ts';
import { validateRule } from './rbac-rules.ts';

export const roleKind = defineKind<Role>({
  group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'Role', plural: 'roles', singular: 'role', scope: 'Namespaced',
  schema: 'io.k8s.api.rbac.v1.Role',
  storageVersionHash: '7FuwZcIIItM=',
  validateName: pathSegmentProblems,
  validate: ({ rules = [] }) => rules.flatMap((rule, index) => validateRule(rule, `rules[${index}]`, { namespaced: true })),
  allowCreateOnUpdate: true,
});
