// Checks of what says where a pod may run: affinity, tolerations, topology spread. Source: pkg/apis/core/validation.
import { duplicate, forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsLabelProblems, dnsSubdomainProblems, labelValueProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import type {
  Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinity, PodAffinityTerm, Toleration, TopologySpreadConstraint,
} from '../types/core-v1.ts';
import type { LabelSelector } from '../types/meta-v1.ts';

function validateRequirement({ key, operator, values = [] }: NodeSelectorRequirement, path: string): FieldError[] {
  const errors: FieldError[] = [];
  switch (operator) {
    case 'In': case 'NotIn':
      if (values.length === 0) errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists': case 'DoesNotExist':
      if (values.length > 0) errors.push(forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      break;
    case 'Gt': case 'Lt':
      if (values.length !== 1) errors.push(required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
      break;
    default:
      errors.push(invalid(`${path}.operator`, operator ?? '', 'not a valid selector operator'));
  }
  errors.push(...checked(`${path}.key`, key ?? '', qualifiedNameProblems));
  values.forEach((value, index) => errors.push(...checked(`${path}.values[${index}]`, value, labelValueProblems)));
  return errors;
}

function validateFieldRequirement({ key, operator, values = [] }: NodeSelectorRequirement, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (operator !== 'In' && operator !== 'NotIn') errors.push(invalid(`${path}.operator`, operator ?? '', 'not a valid selector operator'));
  else if (values.length !== 1) errors.push(required(`${path}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
  if (key === 'metadata.name') values.forEach((value, index) => errors.push(...checked(`${path}.values[${index}]`, value, dnsSubdomainProblems)));
  else errors.push(invalid(`${path}.key`, key ?? '', 'not a valid field selector key'));
  return errors;
}

function validateTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, path: string): FieldError[] {
  return [
    ...matchExpressions.flatMap((one, index) => validateRequirement(one, `${path}.matchExpressions[${index}]`)),
    ...matchFields.flatMap((one, index) => validateFieldRequirement(one, `${path}.matchFields[${index}]`)),
  ];
}

export function validateNodeSelector(selector: NodeSelector, path: string): FieldError[] {
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0) return [required(`${path}.nodeSelectorTerms`, 'must have at least one node selector term')];
  return terms.flatMap((term, index) => validateTerm(term, `${path}.nodeSelectorTerms[${index}]`));
}

interface LabelKeys {
  readonly labelSelector?: LabelSelector | undefined;
  readonly matchLabelKeys?: readonly string[] | undefined;
}

function validateMatchLabelKeys({ labelSelector, matchLabelKeys = [] }: LabelKeys, path: string): FieldError[] {
  if (matchLabelKeys.length === 0) return [];
  if (labelSelector === undefined) return [forbidden(path, 'must not be specified when labelSelector is not set')];
  return matchLabelKeys.flatMap((key, index) => checked(`${path}[${index}]`, key, qualifiedNameProblems));
}

function validatePodAffinityTerm(term: PodAffinityTerm, path: string): FieldError[] {
  const mismatch = new Set(term.mismatchLabelKeys ?? []);
  return [
    ...validateLabelSelector(term.labelSelector, `${path}.labelSelector`),
    ...validateLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`),
    ...(term.namespaces ?? []).flatMap((name) => checked(`${path}.namespace`, name, dnsLabelProblems)),
    ...validateMatchLabelKeys(term, `${path}.matchLabelKeys`),
    ...validateMatchLabelKeys({ labelSelector: term.labelSelector, matchLabelKeys: term.mismatchLabelKeys }, `${path}.mismatchLabelKeys`),
    ...(term.matchLabelKeys ?? []).flatMap((key, index) =>
      (mismatch.has(key) ? [invalid(`${path}.matchLabelKeys[${index}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys')] : [])),
    ...(term.topologyKey ? checked(`${path}.topologyKey`, term.topologyKey, qualifiedNameProblems) : [required(`${path}.topologyKey`, 'can not be empty')]),
  ];
}

const WEIGHT = 'must be in the range 1-100';
const badWeight = (weight: number | undefined): boolean => weight === undefined || weight <= 0 || weight > 100;

function validatePodAffinity(affinity: PodAffinity | undefined, path: string): FieldError[] {
  return [
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
      .flatMap((term, index) => validatePodAffinityTerm(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`)),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ weight, podAffinityTerm }, index) => {
      const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
      return [...(badWeight(weight) ? [invalid(`${at}.weight`, weight ?? 0, WEIGHT)] : []), ...validatePodAffinityTerm(podAffinityTerm ?? { topologyKey: '' }, `${at}.podAffinityTerm`)];
    }),
  ];
}

export function validateAffinity(affinity: Affinity | undefined, path: string): FieldError[] {
  if (affinity === undefined) return [];
  const { nodeAffinity } = affinity;
  const requiredNodes = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return [
    ...(requiredNodes === undefined ? [] : validateNodeSelector(requiredNodes, `${path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`)),
    ...(nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ weight, preference }, index) => {
      const at = `${path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
      return [...(badWeight(weight) ? [invalid(`${at}.weight`, weight ?? 0, WEIGHT)] : []), ...validateTerm(preference ?? {}, `${at}.preference`)];
    }),
    ...validatePodAffinity(affinity.podAffinity, `${path}.podAffinity`),
    ...validatePodAffinity(affinity.podAntiAffinity, `${path}.podAntiAffinity`),
  ];
}

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const;

/** An effect of a taint or a toleration. */
export function validateTaintEffect(effect: string | undefined, path: string, { allowEmpty }: { readonly allowEmpty: boolean }): FieldError[] {
  if (!effect) return allowEmpty ? [] : [required(path)];
  return (EFFECTS as readonly string[]).includes(effect) ? [] : [notSupported(path, effect, EFFECTS)];
}

/** As upstream prints its internal type. */
function internalToleration({ key = '', operator = '', value = '', effect = '', tolerationSeconds = null }: Omit<Toleration, 'tolerationSeconds'> & { tolerationSeconds?: number | null | undefined }): unknown {
  return { Key: key, Operator: operator, Value: value, Effect: effect, TolerationSeconds: tolerationSeconds };
}

export function validateTolerations(tolerations: readonly Toleration[] | undefined, path: string): FieldError[] {
  return (tolerations ?? []).flatMap((toleration, index) => {
    const { key = '', operator = '', value = '', effect = '', tolerationSeconds } = toleration;
    const at = `${path}[${index}]`;
    const errors: FieldError[] = key === '' ? [] : checked(`${at}.key`, key, qualifiedNameProblems);
    if (key === '' && operator !== 'Exists') {
      errors.push(invalid(`${at}.operator`, operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"'));
    }
    if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
      errors.push(invalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    }
    if (operator === '' || operator === 'Equal') {
      const problems = labelValueProblems(value);
      if (problems.length > 0) errors.push(invalid(`${at}.operator`, value, problems.join(';')));
    } else if (operator === 'Exists') {
      if (value !== '') errors.push(invalid(`${at}.operator`, internalToleration(toleration), "value must be empty when `operator` is 'Exists'"));
    } else {
      errors.push(notSupported(`${at}.operator`, operator, ['Equal', 'Exists']));
    }
    return [...errors, ...validateTaintEffect(effect, `${at}.effect`, { allowEmpty: true })];
  });
}

export function validateTopologySpread(constraints: readonly TopologySpreadConstraint[] | undefined, path: string): FieldError[] {
  const seen = new Set<string>();
  return (constraints ?? []).flatMap((constraint, index) => {
    const { maxSkew = 0, topologyKey = '', whenUnsatisfiable = '', minDomains, labelSelector, nodeAffinityPolicy, nodeTaintsPolicy } = constraint;
    const at = `${path}[${index}]`;
    const errors: FieldError[] = [];
    if (maxSkew <= 0) errors.push(invalid(`${at}.maxSkew`, maxSkew, 'must be greater than zero'));
    if (topologyKey === '') errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    else errors.push(...checked(`${at}.topologyKey`, topologyKey, qualifiedNameProblems));
    if (whenUnsatisfiable !== 'DoNotSchedule' && whenUnsatisfiable !== 'ScheduleAnyway') {
      errors.push(notSupported(`${at}.whenUnsatisfiable`, whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway']));
    }
    const pair = `{${topologyKey}, ${whenUnsatisfiable}}`;
    if (seen.has(pair)) errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, pair));
    seen.add(pair);
    if (minDomains !== undefined) {
      if (minDomains <= 0) errors.push(invalid(`${at}.minDomains`, minDomains, 'must be greater than zero'));
      if (whenUnsatisfiable !== 'DoNotSchedule') {
        errors.push(invalid(`${at}.minDomains`, minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`));
      }
    }
    for (const [name, policy] of [['nodeAffinityPolicy', nodeAffinityPolicy], ['nodeTaintsPolicy', nodeTaintsPolicy]] as const) {
      if (policy !== undefined && policy !== 'Honor' && policy !== 'Ignore') errors.push(notSupported(`${at}.${name}`, policy, ['Honor', 'Ignore']));
    }
    errors.push(...validateMatchLabelKeys(constraint, `${at}.matchLabelKeys`), ...validateLabelSelector(labelSelector, `${at}.labelSelector`));
    return errors;
  });
}
