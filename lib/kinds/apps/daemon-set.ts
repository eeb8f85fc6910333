// DaemonSet of apps/v1: one pod on every node that fits.
import { canonicalJson } from '#lib/machinery/hash.ts';
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { percentOf } from '#lib/machinery/int-or-percent.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, countColumn, labelsText, nameColumn, selectorColumn, templateColumns, textColumn } from '../columns.ts';
import { defaultPodTemplate } from '../core/pod-defaults.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { DaemonSet, DaemonSetUpdateStrategy } from '../types/apps-v1.ts';
import { atMostHundredPercent, intOrPercent, notNegative } from '../validation.ts';
import { validateCollisionCount, validateSelector, validateWorkloadTemplate } from './workload-validation.ts';

/** Grows with the template; what is left of a field that older versions had in the spec. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

function applyDefaults(daemonSet: DaemonSet): void {
  // A body may leave out what the type requires.
  const spec = (daemonSet.spec ??= {} as DaemonSet['spec']);
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ||= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
    spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
}

const templateGeneration = ({ metadata }: DaemonSet): number => Number(metadata.annotations?.[TEMPLATE_GENERATION] ?? 0) || 0;
function setTemplateGeneration(daemonSet: DaemonSet, generation: number): void {
  daemonSet.metadata.annotations = { ...daemonSet.metadata.annotations, [TEMPLATE_GENERATION]: String(generation) };
}

function prepareForUpdate(next: DaemonSet, previous: DaemonSet): void {
  keepStatus(next, previous);
  const before = templateGeneration(previous);
  const isChanged = canonicalJson(next.spec.template) !== canonicalJson(previous.spec.template);
  setTemplateGeneration(next, isChanged ? before + 1 : before);
}

const isZero = (value: number | string | undefined): boolean => ((typeof value === 'string' ? percentOf(value) : value) ?? 0) === 0;

function validateUpdateStrategy(strategy: DaemonSetUpdateStrategy | undefined): FieldError[] {
  const path = 'spec.updateStrategy';
  const { type = '', rollingUpdate } = strategy ?? {};
  if (type === 'OnDelete') return [];
  if (type !== 'RollingUpdate') return [notSupported(path, { Type: type, RollingUpdate: rollingUpdate ?? null }, ['RollingUpdate', 'OnDelete'])];
  if (rollingUpdate === undefined) return [required(`${path}.rollingUpdate`)];
  const { maxUnavailable, maxSurge } = rollingUpdate;
  const errors = [
    ...intOrPercent(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`),
    ...intOrPercent(maxSurge, `${path}.rollingUpdate.maxSurge`),
    ...atMostHundredPercent(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`),
    ...atMostHundredPercent(maxSurge, `${path}.rollingUpdate.maxSurge`),
  ];
  if (!isZero(maxUnavailable) && !isZero(maxSurge)) errors.push(invalid(`${path}.rollingUpdate.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'));
  if (isZero(maxUnavailable) && isZero(maxSurge)) errors.push(required(`${path}.rollingUpdate.maxUnavailable`, 'cannot be 0 when maxSurge is 0'));
  return errors;
}

const validate = ({ spec }: DaemonSet): FieldError[] => [
  // That it is missing shows only in what it does not match, as upstream has it.
  ...(spec.selector === undefined ? [] : validateSelector(spec.selector, 'daemonset')),
  ...validateWorkloadTemplate(spec.template, spec.selector, 'DaemonSet'),
  ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
  ...notNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
  ...validateUpdateStrategy(spec.updateStrategy),
];

const STATUS_COUNTS = [
  'currentNumberScheduled', 'numberMisscheduled', 'desiredNumberScheduled', 'numberReady', 'observedGeneration', 'updatedNumberScheduled', 'numberAvailable', 'numberUnavailable',
] as const;

export const daemonSetKind = defineKind<DaemonSet>({
  group: 'apps', version: 'v1', kind: 'DaemonSet', plural: 'daemonsets', singular: 'daemonset', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.DaemonSet',
  shortNames: ['ds'],
  categories: ['all'],
  storageVersionHash: 'dd7pWHUlMKQ=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (daemonSet) => {
    daemonSet.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
    setTemplateGeneration(daemonSet, Math.max(1, templateGeneration(daemonSet)));
  },
  prepareForUpdate,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateUpdate: (next, previous) => unchanged(next.spec.selector, previous.spec.selector, 'spec.selector'),
  validateStatusUpdate: ({ status }, previous) => [
    ...STATUS_COUNTS.flatMap((name) => notNegative(status?.[name], `status.${name}`)),
    ...validateCollisionCount(status?.collisionCount, previous.status?.collisionCount),
  ],
  generation: 'spec-change',
  columns: [
    nameColumn(),
    countColumn('Desired', ({ status }) => status?.desiredNumberScheduled),
    countColumn('Current', ({ status }) => status?.currentNumberScheduled),
    countColumn('Ready', ({ status }) => status?.numberReady),
    countColumn('Up-to-date', ({ status }) => status?.updatedNumberScheduled),
    countColumn('Available', ({ status }) => status?.numberAvailable),
    textColumn('Node Selector', ({ spec }) => labelsText(spec.template?.spec?.nodeSelector)),
    ageColumn(),
    ...templateColumns<DaemonSet>(({ spec }) => spec.template),
    selectorColumn(({ spec }) => spec.selector),
  ],
});
