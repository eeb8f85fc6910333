// Checks of ResourceQuotas. Source: pkg/apis/core/validation (ValidateResourceQuotaSpec), pkg/apis/core/helper.
import { invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { MUST_NOT_BE_NEGATIVE, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import type { ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement } from '../types/core-v1.ts';

const OBJECT_COUNTS = ['pods', 'resourcequotas', 'services', 'replicationcontrollers', 'secrets', 'persistentvolumeclaims', 'configmaps', 'services.nodeports', 'services.loadbalancers'];
const POD_RESOURCES = [
  'cpu', 'memory', 'ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory', 'limits.ephemeral-storage',
];
const STANDARD = new Set([...OBJECT_COUNTS, ...POD_RESOURCES, 'requests.storage']);
const HUGE_PAGES = /^(requests\.)?hugepages-/;
const POD_SCOPES = ['Terminating', 'NotTerminating', 'NotBestEffort', 'PriorityClass', 'CrossNamespacePodAffinity'];
const SCOPES = [...POD_SCOPES, 'BestEffort', 'VolumeAttributesClass'];
/** Scopes that are either so or not so, and take no values. */
const PLAIN_SCOPES = ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort', 'CrossNamespacePodAffinity'];
const CONFLICTS = [['BestEffort', 'NotBestEffort'], ['Terminating', 'NotTerminating']] as const;

function validateName(name: string, path: string): FieldError[] {
  const errors = checked(path, name, qualifiedNameProblems);
  return !name.includes('/') && !STANDARD.has(name) && !HUGE_PAGES.test(name) ? [...errors, invalid(path, name, 'must be a standard resource for quota')] : errors;
}

const isWhole = (name: string): boolean => OBJECT_COUNTS.includes(name) || name.startsWith('count/') || HUGE_PAGES.test(name);

function validateAmount(name: string, amount: string, path: string): FieldError[] {
  const { nanos } = parseQuantity(amount);
  const errors: FieldError[] = nanos < 0n ? [invalid(path, amount, MUST_NOT_BE_NEGATIVE)] : [];
  if (isWhole(name) && nanos % 1_000_000_000n !== 0n) errors.push(invalid(path, amount, 'must be an integer'));
  return errors;
}
function validateAmounts(amounts: Readonly<Record<string, string>> | undefined, path: string): FieldError[] {
  return Object.entries(amounts ?? {}).flatMap(([name, amount]) => [...validateName(name, `${path}[${name}]`), ...validateAmount(name, amount, `${path}[${name}]`)]);
}

/** Whether a scope says anything about a resource. */
function applies(scope: string, resource: string): boolean {
  if (scope === 'BestEffort') return resource === 'pods';
  if (scope === 'VolumeAttributesClass') return resource === 'persistentvolumeclaims' || resource === 'requests.storage';
  return !POD_SCOPES.includes(scope) || resource === 'pods' || POD_RESOURCES.includes(resource) || HUGE_PAGES.test(resource);
}
const hasConflict = (scopes: ReadonlySet<string>): boolean => CONFLICTS.some((pair) => pair.every((scope) => scopes.has(scope)));

function validateScopes({ scopes = [], hard = {} }: ResourceQuotaSpec): FieldError[] {
  const path = 'spec.scopes.scopes';
  const errors = scopes.flatMap((scope) => [
    ...(SCOPES.includes(scope) ? [] : [invalid(path, scopes, 'unsupported scope')]),
    ...Object.keys(hard).filter((name) => !applies(scope, name)).map(() => invalid(path, scopes, 'unsupported scope applied to resource')),
  ]);
  return hasConflict(new Set(scopes)) ? [...errors, invalid(path, scopes, 'conflicting scopes')] : errors;
}

function validateRequirement({ scopeName, operator, values = [] }: ScopedResourceSelectorRequirement, hard: Readonly<Record<string, string>>, path: string): FieldError[] {
  const errors: FieldError[] = SCOPES.includes(scopeName) ? [] : [invalid(`${path}.scopeName`, scopeName ?? '', 'unsupported scope')];
  errors.push(...Object.keys(hard).filter((name) => !applies(scopeName, name)).map(() => invalid(path, { scopeName, operator, values }, 'unsupported scope applied to resource')));
  if (PLAIN_SCOPES.includes(scopeName) && operator !== 'Exists') {
    const names = ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort'].map((name) => `ResourceQuotaScope${name}`).join(', ');
    errors.push(invalid(`${path}.operator`, operator ?? '', `must be 'Exists' when scope is any of ${names} or ResourceQuotaScopeCrossNamespacePodAffinity`));
  }
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(`${path}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) errors.push(invalid(`${path}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"));
  } else {
    errors.push(invalid(`${path}.operator`, operator ?? '', 'not a valid selector operator'));
  }
  return errors;
}

function validateScopeSelector({ scopeSelector, hard = {} }: ResourceQuotaSpec): FieldError[] {
  const requirements = scopeSelector?.matchExpressions ?? [];
  const path = 'spec.scopeSelector.matchExpressions.matchExpressions';
  const errors = requirements.flatMap((one) => validateRequirement(one, hard, path));
  return hasConflict(new Set(requirements.map(({ scopeName }) => scopeName))) ? [...errors, invalid(path, requirements, 'conflicting scopes')] : errors;
}

export const validateQuota = ({ spec }: ResourceQuota): FieldError[] => [...validateAmounts(spec.hard, 'spec.hard'), ...validateScopes(spec), ...validateScopeSelector(spec)];

export function validateQuotaUpdate({ spec: next }: ResourceQuota, { spec: previous }: ResourceQuota): FieldError[] {
  const sorted = (scopes: readonly string[] | undefined): string[] => [...(scopes ?? [])].sort();
  return unchanged(sorted(next.scopes), sorted(previous.scopes), 'spec.scopes');
}

export const validateQuotaStatusUpdate = ({ status }: ResourceQuota): FieldError[] => [...validateAmounts(status?.hard, 'status.hard'), ...validateAmounts(status?.used, 'status.used')];
