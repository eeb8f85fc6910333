// PriorityClass of scheduling.k8s.io/v1: a name for how much a pod matters.
import { forbidden, type FieldError } from '#lib/machinery/field-error.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, countColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';
import { oneOf } from '../validation.ts';

const HIGHEST_USER_PRIORITY = 1_000_000_000;
/** Source: pkg/apis/scheduling/v1/helpers.go. */
const SYSTEM_CLASSES: Readonly<Record<string, number>> = { 'system-cluster-critical': 2_000_000_000, 'system-node-critical': 2_000_001_000 };

/** Why a class with a system name is not one of the known ones. */
function systemNameProblem({ metadata, value, globalDefault }: PriorityClass): string | undefined {
  const known = SYSTEM_CLASSES[metadata.name];
  if (known === undefined) return `${metadata.name} is not a known system priority class`;
  if (value !== known) return `value of ${metadata.name} PriorityClass must be ${known}`;
  return globalDefault === true ? `globalDefault of ${metadata.name} PriorityClass must be false` : undefined;
}

function validateCreate(priorityClass: PriorityClass): FieldError[] {
  if (priorityClass.metadata.name.startsWith('system-')) {
    const problem = systemNameProblem(priorityClass);
    return problem === undefined ? [] : [forbidden('metadata.name', `priority class names with 'system-' prefix are reserved for system use only. error: ${problem}`)];
  }
  const isTooHigh = (priorityClass.value ?? 0) > HIGHEST_USER_PRIORITY;
  return isTooHigh ? [forbidden('value', `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`)] : [];
}

export const priorityClassKind = defineKind<PriorityClass>({
  group: 'scheduling.k8s.io', version: 'v1', kind: 'PriorityClass', plural: 'priorityclasses', singular: 'priorityclass', scope: 'Cluster',
  schema: 'io.k8s.api.scheduling.v1.PriorityClass',
  shortNames: ['pc'],
  storageVersionHash: '1QwjyaZjj3Y=',
  applyDefaults: (priorityClass) => {
    priorityClass.preemptionPolicy ??= 'PreemptLowerPriority';
    priorityClass.value ??= 0;
  },
  validate: ({ preemptionPolicy }) => (preemptionPolicy === undefined ? [] : oneOf(preemptionPolicy, ['PreemptLowerPriority', 'Never'], 'preemptionPolicy')),
  validateCreate,
  validateUpdate: (next, previous) => [
    ...(next.value === previous.value ? [] : [forbidden('value', 'may not be changed in an update.')]),
    ...unchanged(next.preemptionPolicy, previous.preemptionPolicy, 'preemptionPolicy'),
  ],
  generation: 'constant',
  columns: [
    nameColumn(),
    countColumn('Value', ({ value }) => value),
    { name: 'Global-Default', type: 'boolean', value: ({ globalDefault }) => globalDefault ?? false },
    ageColumn(),
    textColumn('PreemptionPolicy', ({ preemptionPolicy }) => preemptionPolicy ?? ''),
  ],
});
