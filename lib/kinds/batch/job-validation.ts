// Checks of Jobs and of the templates in CronJobs. Source: pkg/apis/batch/validation.
import { labelSelector } from '#lib/machinery/selectors.ts';
import { duplicate, invalid, notSupported, required, tooLong, tooMany, type FieldError } from '#lib/machinery/field-error.ts';
import { byteLength, dnsLabelProblems, domainPrefixedPathProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, unchanged, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { validatePodTemplate } from '../core/pod-validation.ts';
import type { Job, JobSpec, JobStatus, PodFailurePolicy, PodFailurePolicyRule, SuccessPolicy } from '../types/batch-v1.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';
import { notNegative } from '../validation.ts';
import { intervals, JOB_LABELS } from './job-labels.ts';

const MAX_INDEXED_PARALLELISM = 100_000;
const MAX_FAILED_INDEXES = 100_000;
const MANY_COMPLETIONS = 100_000;
/** With more completions than MANY_COMPLETIONS and a back-off limit for each index. */
const MAX_OF_MANY = 10_000;
const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;
const MAX_SUCCEEDED_INDEXES_BYTES = 64 * 1024;
const MAX_MANAGED_BY = 63;

const goList = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(' ')}]`;
/** As `oneOf`, with the list of values in the text on a missing one. */
function enumeration(value: string | undefined, allowed: readonly string[], path: string): FieldError[] {
  if (!value) return [required(path, `valid values: ${goList(allowed)}`)];
  return allowed.includes(value) ? [] : [notSupported(path, value, allowed)];
}

const isIndexed = ({ completionMode }: JobSpec): boolean => completionMode === 'Indexed';

/** Which numbers go together with completions by index. */
function validateIndexed(spec: JobSpec, path: string): FieldError[] {
  const { completions, parallelism = 0, maxFailedIndexes, backoffLimitPerIndex } = spec;
  const errors: FieldError[] = [];
  if (completions === undefined) errors.push(required(`${path}.completions`, 'when completion mode is Indexed'));
  if (parallelism > MAX_INDEXED_PARALLELISM) {
    errors.push(invalid(`${path}.parallelism`, parallelism, `must be less than or equal to ${MAX_INDEXED_PARALLELISM} when completion mode is Indexed`));
  }
  if (completions !== undefined && maxFailedIndexes !== undefined && maxFailedIndexes > completions) {
    errors.push(invalid(`${path}.maxFailedIndexes`, maxFailedIndexes, 'must be less than or equal to completions'));
  }
  if (maxFailedIndexes !== undefined && maxFailedIndexes > MAX_FAILED_INDEXES) {
    errors.push(invalid(`${path}.maxFailedIndexes`, maxFailedIndexes, `must be less than or equal to ${MAX_FAILED_INDEXES}`));
  }
  if (completions === undefined || completions <= MANY_COMPLETIONS || backoffLimitPerIndex === undefined) return errors;
  if (maxFailedIndexes === undefined) errors.push(required(`${path}.maxFailedIndexes`, `must be specified when completions is above ${MANY_COMPLETIONS}`));
  const text = `must be less than or equal to ${MAX_OF_MANY} when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`;
  if (parallelism > MAX_OF_MANY) errors.push(invalid(`${path}.parallelism`, parallelism, text));
  if (maxFailedIndexes !== undefined && maxFailedIndexes > MAX_OF_MANY) errors.push(invalid(`${path}.maxFailedIndexes`, maxFailedIndexes, text));
  return errors;
}

function validateExitCodes({ onExitCodes }: PodFailurePolicyRule, path: string, containers: ReadonlySet<string>): FieldError[] {
  if (onExitCodes === undefined) return [];
  const { operator, containerName, values = [] } = onExitCodes;
  const errors = enumeration(operator, ['In', 'NotIn'], `${path}.operator`);
  if (containerName !== undefined && !containers.has(containerName)) {
    errors.push(invalid(`${path}.containerName`, containerName, 'must be one of the container or initContainer names in the pod template'));
  }
  if (values.length === 0) errors.push(invalid(`${path}.values`, values, 'at least one value is required'));
  else if (values.length > MAX_EXIT_CODES) errors.push(tooMany(`${path}.values`, values.length, MAX_EXIT_CODES));
  const seen = new Set<number>();
  let isOrdered = true;
  values.forEach((value, index) => {
    if (operator === 'In' && value === 0) errors.push(invalid(`${path}.values[${index}]`, value, 'must not be 0 for the In operator'));
    if (seen.has(value)) errors.push(duplicate(`${path}.values[${index}]`, value));
    seen.add(value);
    if (index > 0 && (values[index - 1] ?? 0) > value) isOrdered = false;
  });
  if (!isOrdered) errors.push(invalid(`${path}.values`, values, 'must be ordered'));
  return errors;
}

const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore'];

function validateFailureRule(rule: PodFailurePolicyRule, path: string, spec: JobSpec, containers: ReadonlySet<string>): FieldError[] {
  const errors: FieldError[] = [];
  if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex === undefined) {
    errors.push(invalid(`${path}.action`, rule.action, 'requires the backoffLimitPerIndex to be set'));
  } else {
    errors.push(...enumeration(rule.action, ACTIONS, `${path}.action`));
  }
  errors.push(...validateExitCodes(rule, `${path}.onExitCodes`, containers));
  const { onPodConditions = [] } = rule;
  if (onPodConditions.length > MAX_RULES) errors.push(tooMany(`${path}.onPodConditions`, onPodConditions.length, MAX_RULES));
  else {
    onPodConditions.forEach(({ type, status }, index) => {
      const at = `${path}.onPodConditions[${index}]`;
      errors.push(...checked(`${at}.type`, type ?? '', qualifiedNameProblems), ...enumeration(status, ['False', 'True', 'Unknown'], `${at}.status`));
    });
  }
  if (rule.onExitCodes !== undefined && onPodConditions.length > 0) errors.push(invalid(path, rule, 'specifying both OnExitCodes and OnPodConditions is not supported'));
  if (rule.onExitCodes === undefined && onPodConditions.length === 0) errors.push(invalid(path, rule, 'specifying one of OnExitCodes and OnPodConditions is required'));
  return errors;
}

function validateFailurePolicy({ rules = [] }: PodFailurePolicy, path: string, spec: JobSpec): FieldError[] {
  if (rules.length > MAX_RULES) return [tooMany(`${path}.rules`, rules.length, MAX_RULES)];
  const { containers = [], initContainers = [] } = spec.template.spec ?? {};
  const names = new Set([...containers, ...initContainers].map(({ name }) => name));
  return rules.flatMap((rule, index) => validateFailureRule(rule, `${path}.rules[${index}]`, spec, names));
}

function validateSuccessPolicy({ rules = [] }: SuccessPolicy, path: string, { completions }: JobSpec): FieldError[] {
  if (rules.length === 0) return [required(`${path}.rules`, 'at least one rules must be specified when the successPolicy is specified')];
  if (rules.length > MAX_RULES) return [tooMany(`${path}.rules`, rules.length, MAX_RULES)];
  return rules.flatMap(({ succeededCount, succeededIndexes }, index) => {
    const at = `${path}.rules[${index}]`;
    if (succeededCount === undefined && succeededIndexes === undefined) return [required(at, 'at least one of succeededCount or succeededIndexes must be specified')];
    const errors: FieldError[] = [];
    let total: number | undefined;
    if (succeededIndexes !== undefined) {
      if (byteLength(succeededIndexes) > MAX_SUCCEEDED_INDEXES_BYTES) errors.push(tooLong(`${at}.succeededIndexes`, MAX_SUCCEEDED_INDEXES_BYTES));
      const parsed = intervals(succeededIndexes, completions ?? 0);
      if (typeof parsed === 'string') errors.push(invalid(`${at}.succeededIndexes`, succeededIndexes, `error parsing succeededIndexes: ${parsed}`));
      else total = parsed;
    }
    if (succeededCount === undefined) return errors;
    errors.push(...notNegative(succeededCount, `${at}.succeededCount`));
    if (completions !== undefined && succeededCount > completions) {
      errors.push(invalid(`${at}.succeededCount`, succeededCount, `must be less than or equal to ${completions} (the number of specified completions)`));
    }
    if (total !== undefined && succeededCount > total) {
      errors.push(invalid(`${at}.succeededCount`, succeededCount, `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`));
    }
    return errors;
  });
}

function validateRestartPolicy({ template, podFailurePolicy }: JobSpec, path: string): FieldError[] {
  const policy = template.spec?.restartPolicy;
  const at = `${path}.template.spec.restartPolicy`;
  // A pod's own default never fits a job, so that whoever left it out learns what to write.
  if (!policy || policy === 'Always') return [required(at, 'valid values: "OnFailure", "Never"')];
  if (policy !== 'OnFailure' && policy !== 'Never') return [notSupported(at, policy, ['OnFailure', 'Never'])];
  return podFailurePolicy !== undefined && policy !== 'Never' ? [invalid(at, policy, 'only "Never" is supported when podFailurePolicy is specified')] : [];
}

const COUNTS = ['parallelism', 'completions', 'activeDeadlineSeconds', 'backoffLimit', 'ttlSecondsAfterFinished', 'backoffLimitPerIndex', 'maxFailedIndexes'] as const;

/** What Jobs and the templates of CronJobs have in common. */
export function validateJobTemplateSpec(spec: JobSpec, path: string): FieldError[] {
  const errors = COUNTS.flatMap((name) => notNegative(spec[name], `${path}.${name}`));
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) errors.push(required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'));
  if (spec.managedBy !== undefined) {
    errors.push(...checked(`${path}.managedBy`, spec.managedBy, domainPrefixedPathProblems));
    if (byteLength(spec.managedBy) > MAX_MANAGED_BY) errors.push(tooLong(`${path}.managedBy`, MAX_MANAGED_BY));
  }
  const { completionMode = 'NonIndexed' } = spec;
  if (completionMode !== 'NonIndexed' && completionMode !== 'Indexed') errors.push(notSupported(`${path}.completionMode`, completionMode, ['NonIndexed', 'Indexed']));
  if (isIndexed(spec)) errors.push(...validateIndexed(spec, path));
  if (completionMode === 'NonIndexed') {
    for (const name of ['backoffLimitPerIndex', 'maxFailedIndexes', 'successPolicy'] as const) {
      if (spec[name] !== undefined) errors.push(invalid(`${path}.${name}`, spec[name], 'requires indexed completion mode'));
    }
  }
  if (spec.podFailurePolicy !== undefined) errors.push(...validateFailurePolicy(spec.podFailurePolicy, `${path}.podFailurePolicy`, spec));
  if (spec.successPolicy !== undefined && completionMode !== 'NonIndexed') errors.push(...validateSuccessPolicy(spec.successPolicy, `${path}.successPolicy`, spec));
  if (spec.podReplacementPolicy !== undefined) {
    const allowed = spec.podFailurePolicy === undefined ? ['Failed', 'TerminatingOrFailed'] : ['Failed'];
    if (!allowed.includes(spec.podReplacementPolicy)) errors.push(notSupported(`${path}.podReplacementPolicy`, spec.podReplacementPolicy, allowed));
  }
  return [...errors, ...validatePodTemplate(spec.template, `${path}.template`), ...validateRestartPolicy(spec, path)];
}

/** On create and on update. */
export function validateJob({ spec }: Job): FieldError[] {
  const errors = validateJobTemplateSpec(spec, 'spec');
  if (spec.selector === undefined) errors.push(required('spec.selector'));
  else errors.push(...validateLabelSelector(spec.selector, 'spec.selector'));
  const labels = spec.template.metadata?.labels;
  if (validateLabelSelector(spec.selector, '').length === 0 && !labelSelector(spec.selector).matches(labels)) {
    errors.push(invalid('spec.template.metadata.labels', labels ?? null, '`selector` does not match template `labels`'));
  }
  return errors;
}

/** The labels by which a job finds its pods are the generated ones, unless the user took that upon himself. */
function validateGeneratedSelector({ metadata: { name, uid = '' }, spec }: Job): FieldError[] {
  if (spec.manualSelector === true || spec.selector === undefined) return [];
  const errors: FieldError[] = uid === '' ? [required('metadata.uid')] : [];
  const expected = { [JOB_LABELS.oldControllerUid]: uid, [JOB_LABELS.oldJobName]: name, [JOB_LABELS.controllerUid]: uid, [JOB_LABELS.jobName]: name };
  const labels = spec.template.metadata?.labels;
  for (const [key, value] of Object.entries(expected)) {
    const path = `spec.template.metadata.labels[${key}]`;
    if (labels?.[key] === undefined) errors.push(required(path, `must be '${value}'`));
    else if (labels[key] !== value) errors.push(invalid(path, labels, `must be '${value}'`));
  }
  if (validateLabelSelector(spec.selector, '').length === 0 && !labelSelector(spec.selector).matches(expected)) {
    errors.push(invalid('spec.selector', spec.selector, '`selector` not auto-generated'));
  }
  return errors;
}

export function validateJobCreate(job: Job): FieldError[] {
  const errors = validateGeneratedSelector(job);
  const { spec, metadata: { name } } = job;
  if (isIndexed(spec) && (spec.completions ?? 0) > 0) {
    const longest = `${name}-${(spec.completions ?? 0) - 1}`;
    if (dnsLabelProblems(longest).length > 0) errors.push(invalid('metadata.name', name, `will not able to create pod with invalid DNS label: ${longest}`));
  }
  return errors;
}

/** What of a template may change while its job is suspended: where pods are put and what they ask for. */
function withSchedulingUndone(next: PodTemplateSpec, previous: PodTemplateSpec): PodTemplateSpec {
  const undone = structuredClone(next);
  const old = structuredClone(previous);
  undone.metadata = { ...undone.metadata, labels: old.metadata?.labels, annotations: old.metadata?.annotations };
  if (undone.spec === undefined) return undone;
  undone.spec.nodeSelector = old.spec?.nodeSelector;
  undone.spec.tolerations = old.spec?.tolerations;
  undone.spec.schedulingGates = old.spec?.schedulingGates;
  undone.spec.affinity = { ...undone.spec.affinity, nodeAffinity: old.spec?.affinity?.nodeAffinity };
  for (const list of ['containers', 'initContainers'] as const) {
    undone.spec[list]?.forEach((container, index) => { container.resources = old.spec?.[list]?.[index]?.resources; });
  }
  return undone;
}

function validateTemplateUpdate(next: JobSpec, { spec: previous, status }: Job): FieldError[] {
  const isWaiting = previous.suspend === true && status?.startTime === undefined;
  return unchanged(isWaiting ? withSchedulingUndone(next.template, previous.template) : next.template, previous.template, 'spec.template');
}

function validateCompletionsUpdate(next: JobSpec, previous: JobSpec): FieldError[] {
  if (!isIndexed(next)) return unchanged(next.completions, previous.completions, 'spec.completions');
  if (next.completions === previous.completions || next.completions === undefined || next.completions === next.parallelism) return [];
  return [invalid('spec.completions', next.completions, 'can only be modified in tandem with spec.parallelism')];
}

export function validateJobUpdate(job: Job, old: Job): FieldError[] {
  const { spec: next } = job;
  const { spec: previous } = old;
  return [
    ...validateCompletionsUpdate(next, previous),
    ...unchanged(next.selector, previous.selector, 'spec.selector'),
    ...validateTemplateUpdate(next, old),
    ...(['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const).flatMap((name) => unchanged(next[name], previous[name], `spec.${name}`)),
  ];
}

const hasCondition = ({ conditions }: JobStatus, type: string): boolean => conditions?.some((one) => one.type === type && one.status === 'True') ?? false;

function validateUncounted({ uncountedTerminatedPods }: JobStatus): FieldError[] {
  const seen = new Set<string>();
  return (['succeeded', 'failed'] as const).flatMap((list) => (uncountedTerminatedPods?.[list] ?? []).flatMap((uid, index) => {
    const path = `status.uncountedTerminatedPods.${list}[${index}]`;
    if (uid === '') return [invalid(path, uid, 'must not be empty')];
    if (seen.has(uid)) return [duplicate(path, uid)];
    seen.add(uid);
    return [];
  }));
}

/** What a status says about the end must fit together. */
function validateEnd(status: JobStatus, { startTime, completionTime }: JobStatus): FieldError[] {
  const [complete, failed] = [hasCondition(status, 'Complete'), hasCondition(status, 'Failed')];
  const errors: FieldError[] = [];
  if (complete && failed) errors.push(invalid('status.conditions', status.conditions, 'cannot set Complete=True and Failed=true conditions'));
  if (complete && hasCondition(status, 'FailureTarget')) errors.push(invalid('status.conditions', status.conditions, 'cannot set Complete=True and FailureTarget=true conditions'));
  if (!complete && completionTime !== undefined) errors.push(invalid('status.completionTime', completionTime, 'cannot set completionTime when there is no Complete=True condition'));
  if (complete && completionTime === undefined) errors.push(required('status.completionTime', 'completionTime is required for Complete jobs'));
  const [start, end] = [parseTimeOrUndefined(startTime ?? ''), parseTimeOrUndefined(completionTime ?? '')];
  if (start !== undefined && end !== undefined && end < start) errors.push(invalid('status.completionTime', completionTime, 'must be equal to or after `startTime`'));
  if (!complete && !failed) return errors;
  if ((status.active ?? 0) > 0) errors.push(invalid('status.active', status.active, 'active>0 is invalid for finished job'));
  if (startTime === undefined) errors.push(required('status.startTime', 'startTime is required for finished job'));
  const { succeeded = [], failed: failedPods = [] } = status.uncountedTerminatedPods ?? {};
  if (succeeded.length + failedPods.length > 0) errors.push(invalid('status.uncountedTerminatedPods', status.uncountedTerminatedPods, 'must be empty for finished job'));
  if ((status.terminating ?? 0) > 0) errors.push(invalid('status.terminating', status.terminating, 'terminating>0 is invalid for finished job'));
  return errors;
}

export function validateJobStatusUpdate({ spec, status = {} }: Job, { status: previous = {} }: Job): FieldError[] {
  const errors = (['active', 'succeeded', 'failed', 'ready', 'terminating'] as const).flatMap((name) => notNegative(status[name], `status.${name}`));
  errors.push(...validateUncounted(status));
  // An object that was wrong before may stay so, or it could not be mended step by step.
  if (!semanticEqual(status.conditions, previous.conditions) || status.completionTime !== previous.completionTime) errors.push(...validateEnd(status, status));
  if (status.completedIndexes && !isIndexed(spec)) errors.push(invalid('status.completedIndexes', status.completedIndexes, 'cannot set non-empty completedIndexes when non-indexed completion mode'));
  if (status.failedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    errors.push(invalid('status.failedIndexes', status.failedIndexes, 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'));
  }
  for (const type of ['Complete', 'Failed', 'FailureTarget'] as const) {
    if (hasCondition(previous, type) && !hasCondition(status, type)) errors.push(invalid('status.conditions', status.conditions ?? null, `cannot disable the terminal ${type}=True condition`));
  }
  if ((status.failed ?? 0) < (previous.failed ?? 0)) errors.push(invalid('status.failed', status.failed ?? 0, 'cannot decrease the failed counter'));
  if ((status.succeeded ?? 0) < (previous.succeeded ?? 0) && spec.completionMode !== 'Indexed') errors.push(invalid('status.succeeded', status.succeeded ?? 0, 'cannot decrease the succeeded counter'));
  if (hasCondition(previous, 'Complete')) errors.push(...unchanged(status.completionTime, previous.completionTime, 'status.completionTime'));
  if (previous.startTime !== undefined && spec.suspend !== true && status.startTime !== previous.startTime) {
    errors.push(invalid('status.startTime', status.startTime ?? null, 'field is immutable for unsuspended job once set'));
  }
  return errors;
}
