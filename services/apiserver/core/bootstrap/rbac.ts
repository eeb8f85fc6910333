// The RBAC objects of a fresh cluster, and how they are put back at each start without touching what people added.
// Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy, component-helpers auth/rbac/reconciliation.
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '#lib/kinds/types/rbac-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import data from './rbac.json' with { type: 'json' };

const GROUP = 'rbac.authorization.k8s.io';
const CONTROLLER_PREFIX = 'system:controller:';
const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate';
const labels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
const annotations = { [AUTOUPDATE]: 'true' };

interface RoleData {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly rules?: readonly PolicyRule[];
  readonly aggregationRule?: ClusterRole['aggregationRule'];
}
interface BindingData {
  readonly name: string;
  readonly namespace?: string;
  readonly roleRef: RoleBinding['roleRef'];
  readonly subjects?: readonly Subject[];
}

const metadataOf = (one: RoleData | BindingData) => ({
  name: one.name, ...(one.namespace === undefined ? {} : { namespace: one.namespace }),
  labels: { ...labels, ...('labels' in one ? one.labels : {}) }, annotations: { ...annotations, ...('annotations' in one ? one.annotations : {}) },
});

const clusterRole = (one: RoleData): ClusterRole => ({
  apiVersion: `${GROUP}/v1`, kind: 'ClusterRole', metadata: metadataOf(one),
  ...(one.aggregationRule ? { aggregationRule: one.aggregationRule } : {}), rules: [...(one.rules ?? [])],
});
const clusterRoleBinding = (one: BindingData): ClusterRoleBinding => ({
  apiVersion: `${GROUP}/v1`, kind: 'ClusterRoleBinding', metadata: metadataOf(one), roleRef: one.roleRef, subjects: [...(one.subjects ?? [])],
});

const clusterRoleData = [...data.clusterRoles, ...data.controllerClusterRoles] as readonly RoleData[];
const controllerBinding = ({ name }: RoleData): BindingData => ({
  name, roleRef: { apiGroup: GROUP, kind: 'ClusterRole', name },
  subjects: [{ kind: 'ServiceAccount', name: name.slice(CONTROLLER_PREFIX.length), namespace: 'kube-system' }],
});

/** Fresh copies: callers may change them. */
export function bootstrapRbac() {
  const copy = structuredClone(data) as unknown as { clusterRoleBindings: BindingData[]; roles: RoleData[]; roleBindings: BindingData[]; controllerClusterRoles: RoleData[] };
  return {
    clusterRoles: structuredClone(clusterRoleData).map(clusterRole),
    clusterRoleBindings: [...copy.clusterRoleBindings, ...copy.controllerClusterRoles.map(controllerBinding)].map(clusterRoleBinding),
    roles: copy.roles.map((one): Role => ({ apiVersion: `${GROUP}/v1`, kind: 'Role', metadata: metadataOf(one), rules: [...(one.rules ?? [])] })),
    roleBindings: copy.roleBindings.map((one): RoleBinding => ({ apiVersion: `${GROUP}/v1`, kind: 'RoleBinding', metadata: metadataOf(one), roleRef: one.roleRef, subjects: [...(one.subjects ?? [])] })),
  };
}

interface Labelled {
  metadata: { labels?: Record<string, string> | undefined; annotations?: Record<string, string> | undefined };
}

const isLeftAlone = ({ metadata }: Labelled): boolean => metadata.annotations?.[AUTOUPDATE] === 'false';

function withMissing<T extends Labelled>(existing: T, expected: T): T {
  const { metadata } = existing;
  return { ...existing, metadata: { ...metadata, labels: { ...expected.metadata.labels, ...metadata.labels }, annotations: { ...expected.metadata.annotations, ...metadata.annotations } } };
}

/** The role with the permissions put back that it lacks; undefined when there is nothing to do. */
export function reconcileRole<T extends Role | ClusterRole>(existing: T, expected: T): T | undefined {
  if (isLeftAlone(existing)) return undefined;
  const next = withMissing(existing, expected);
  if ('aggregationRule' in expected && expected.aggregationRule) {
    (next as ClusterRole).aggregationRule ??= expected.aggregationRule; // its rules are the controller's
  } else {
    const rules = existing.rules ?? [];
    const missing = (expected.rules ?? []).filter((rule) => !rules.some((one) => semanticEqual(one, rule)));
    next.rules = [...rules, ...missing];
  }
  return semanticEqual(next, existing) ? undefined : next;
}

/** `recreate`: the role a binding points to cannot be changed in place. */
export function reconcileBinding<T extends RoleBinding | ClusterRoleBinding>(existing: T, expected: T): { update?: T; recreate?: T } {
  if (isLeftAlone(existing)) return {};
  const subjects = existing.subjects ?? [];
  const same = (left: Subject, right: Subject): boolean => left.kind === right.kind && left.name === right.name && (left.namespace ?? '') === (right.namespace ?? '');
  const missing = (expected.subjects ?? []).filter((one) => !subjects.some((known) => same(known, one)));
  const next = { ...withMissing(existing, expected), subjects: [...subjects, ...missing] };
  const { kind, name } = existing.roleRef;
  if (kind !== expected.roleRef.kind || name !== expected.roleRef.name) return { recreate: { ...expected, subjects: next.subjects } };
  return semanticEqual(next, existing) ? {} : { update: next };
}
