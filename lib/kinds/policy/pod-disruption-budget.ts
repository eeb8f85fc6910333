// PodDisruptionBudget of policy/v1: how many pods must stay while others are evicted.
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { ageColumn, countColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { PodDisruptionBudget } from '../types/policy-v1.ts';
import { atMostHundredPercent, intOrPercent, notNegative, oneOf } from '../validation.ts';

function validate({ spec }: PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
    errors.push(invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'));
  }
  for (const name of ['minAvailable', 'maxUnavailable'] as const) {
    errors.push(...intOrPercent(spec[name], `spec.${name}`), ...atMostHundredPercent(spec[name], `spec.${name}`));
  }
  errors.push(...validateLabelSelector(spec.selector, 'spec.selector'));
  if (spec.unhealthyPodEvictionPolicy !== undefined) errors.push(...oneOf(spec.unhealthyPodEvictionPolicy, ['AlwaysAllow', 'IfHealthyBudget'], 'spec.unhealthyPodEvictionPolicy'));
  return errors;
}

const STATUS_COUNTS = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const;

export const podDisruptionBudgetKind = defineKind<PodDisruptionBudget>({
  group: 'policy', version: 'v1', kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets', singular: 'poddisruptionbudget', scope: 'Namespaced',
  schema: 'io.k8s.api.policy.v1.PodDisruptionBudget',
  shortNames: ['pdb'],
  storageVersionHash: 'EVWiDmWqyJw=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (budget) => { budget.spec ??= {}; },
  prepareForCreate: (budget) => { budget.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateStatusUpdate: ({ status }) => STATUS_COUNTS.flatMap((name) => notNegative(status?.[name], `status.${name}`)),
  generation: 'spec-change',
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn(),
    textColumn('Min Available', ({ spec }) => String(spec.minAvailable ?? 'N/A')),
    textColumn('Max Unavailable', ({ spec }) => String(spec.maxUnavailable ?? 'N/A')),
    countColumn('Allowed Disruptions', ({ status }) => status?.disruptionsAllowed),
    ageColumn(),
  ],
});
