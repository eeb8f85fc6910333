// What roles and bindings have in common. Source: pkg/apis/rbac/v1/defaults.go, pkg/apis/rbac/validation.
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import type { Column } from '../define-kind.ts';
import type { ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject } from '../types/rbac-v1.ts';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';
type Binding = RoleBinding | ClusterRoleBinding;

export function defaultBinding(binding: Binding): void {
  // A body may leave out what the type requires.
  binding.roleRef ??= { kind: '', name: '' };
  binding.roleRef.apiGroup ||= RBAC_GROUP;
  for (const subject of binding.subjects ?? []) {
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= RBAC_GROUP;
  }
}

export function validateRule(rule: PolicyRule, path: string, { namespaced }: { readonly namespaced: boolean }): FieldError[] {
  const { verbs = [], apiGroups = [], resources = [], nonResourceURLs = [] } = rule;
  const errors: FieldError[] = verbs.length === 0 ? [required(`${path}.verbs`, 'verbs must contain at least one value')] : [];
  if (nonResourceURLs.length > 0) {
    if (namespaced) errors.push(invalid(`${path}.nonResourceURLs`, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'));
    if (apiGroups.length + resources.length + (rule.resourceNames ?? []).length > 0) {
      errors.push(invalid(`${path}.nonResourceURLs`, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'));
    }
    return errors;
  }
  if (apiGroups.length === 0) errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
  if (resources.length === 0) errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'));
  return errors;
}

function validateSubject({ kind, name, namespace, apiGroup }: Subject, path: string, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = name ? [] : [required(`${path}.name`)];
  switch (kind) {
    case 'ServiceAccount':
      if (name) errors.push(...checked(`${path}.name`, name, dnsSubdomainProblems));
      if (apiGroup) errors.push(notSupported(`${path}.apiGroup`, apiGroup, ['']));
      if (!namespaced && !namespace) errors.push(required(`${path}.namespace`));
      break;
    case 'User': case 'Group':
      if (apiGroup !== RBAC_GROUP) errors.push(notSupported(`${path}.apiGroup`, apiGroup ?? '', [RBAC_GROUP]));
      break;
    default:
      errors.push(notSupported(`${path}.kind`, kind ?? '', ['ServiceAccount', 'User', 'Group']));
  }
  return errors;
}

function validateRoleRef({ apiGroup, kind, name }: RoleRef, kinds: readonly string[]): FieldError[] {
  const errors: FieldError[] = apiGroup === RBAC_GROUP ? [] : [notSupported('roleRef.apiGroup', apiGroup ?? '', [RBAC_GROUP])];
  if (!kinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind ?? '', kinds));
  return [...errors, ...(name ? checked('roleRef.name', name, pathSegmentProblems) : [required('roleRef.name')])];
}

export function validateBinding({ roleRef, subjects = [] }: Binding, kinds: readonly string[], { namespaced }: { readonly namespaced: boolean }): FieldError[] {
  return [...validateRoleRef(roleRef, kinds), ...subjects.flatMap((subject, index) => validateSubject(subject, `subjects[${index}]`, namespaced))];
}

/** As upstream prints its internal type. */
const internalRoleRef = ({ apiGroup, kind, name }: RoleRef): unknown => ({ APIGroup: apiGroup, Kind: kind, Name: name });

export function validateBindingUpdate(next: Binding, previous: Binding): FieldError[] {
  return semanticEqual(next.roleRef, previous.roleRef) ? [] : [invalid('roleRef', internalRoleRef(next.roleRef), 'cannot change roleRef')];
}

export function bindingColumns<T extends Binding>(): Column<T>[] {
  const namesOf = ({ subjects }: T, kind: string): string => (subjects ?? []).filter((one) => one.kind === kind)
    .map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name)).join(', ');
  return [
    nameColumn(),
    textColumn('Role', ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`),
    ageColumn(),
    textColumn('Users', (binding) => namesOf(binding, 'User'), 1),
    textColumn('Groups', (binding) => namesOf(binding, 'Group'), 1),
    textColumn('ServiceAccounts', (binding) => namesOf(binding, 'ServiceAccount'), 1),
  ];
}
