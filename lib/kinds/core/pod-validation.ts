// Checks of pods and pod templates. Source: pkg/apis/core/validation (ValidatePodSpec, ValidatePodUpdate, ValidatePodStatusUpdate).
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { duplicate, forbidden, invalid, required, tooLong, type FieldError } from '#lib/machinery/field-error.ts';
import { IP_TEXT, isIpAddress } from '#lib/machinery/ip.ts';
import {
  byteLength, dnsLabelProblems, dnsSubdomainProblems, dnsSubdomainWithUnderscoreProblems, FIELD_IS_IMMUTABLE, outsideRange, qualifiedNameProblems,
} from '#lib/machinery/names.ts';
import { checked, validateAnnotations, validateLabels } from '#lib/machinery/object-meta.ts';
import type { Container, ContainerStatus, Pod, PodSpec, PodTemplateSpec, Toleration } from '../types/core-v1.ts';
import { oneOf } from '../validation.ts';
import { validateContainers, validateEphemeralContainers, validateInitContainers } from './container-validation.ts';
import { validateAffinity, validateTolerations, validateTopologySpread } from './scheduling-validation.ts';
import { validatePodSecurityContext } from './security-validation.ts';
import { goDiff } from './spec-diff.ts';
import { validateVolumes } from './volume-validation.ts';

const MAX_INT32 = 2_147_483_647;
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

function validateDns({ dnsPolicy, dnsConfig }: PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
  if (dnsPolicy === 'None') {
    if (dnsConfig === undefined) return [required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')];
    if (nameservers.length === 0) return [required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None')];
  }
  if (nameservers.length > 3) errors.push(invalid(`${path}.nameservers`, nameservers, 'must not have more than 3 nameservers'));
  nameservers.forEach((address, index) => errors.push(...validateIp(address, `${path}.nameservers[${index}]`)));
  if (searches.length > 32) errors.push(invalid(`${path}.searches`, searches, 'must not have more than 32 search paths'));
  if (searches.join(' ').length > 2048) errors.push(invalid(`${path}.searches`, searches, 'must not have more than 2048 characters (including spaces) in the search list'));
  searches.forEach((search, index) => {
    // A single dot is a search path too: it means "none".
    if (search !== '.') errors.push(...checked(`${path}.searches[${index}]`, search.replace(/\.$/, ''), dnsSubdomainWithUnderscoreProblems));
  });
  options.forEach(({ name }, index) => {
    if (!name) errors.push(required(`${path}.options[${index}]`, 'must not be empty'));
  });
  return errors;
}

function validateIp(address: string | undefined, path: string): FieldError[] {
  return isIpAddress(address ?? '') ? [] : [invalid(path, address ?? '', IP_TEXT)];
}

function validateHostPorts({ containers, initContainers, hostNetwork }: PodSpec, path: string): FieldError[] {
  if (hostNetwork !== true) return [];
  const inList = (list: readonly Container[] | undefined, name: string): FieldError[] => (list ?? []).flatMap(({ ports }, index) =>
    (ports ?? []).flatMap(({ hostPort, containerPort }, portIndex) => (hostPort && hostPort !== containerPort
      ? [invalid(`${path}.${name}[${index}].ports[${portIndex}].hostPort`, hostPort, 'must match `containerPort` when `hostNetwork` is true')] : [])));
  return [...inList(containers, 'containers'), ...inList(initContainers, 'initContainers')];
}

function validateHost({ hostUsers, hostNetwork, hostPID, hostIPC, hostname, subdomain, hostnameOverride, setHostnameAsFQDN, hostAliases }: PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (hostUsers === false) {
    if (hostNetwork === true) errors.push(forbidden(`${path}.hostNetwork`, 'when `hostUsers` is false'));
    if (hostPID === true) errors.push(forbidden(`${path}.HostPID`, 'when `hostUsers` is false'));
    if (hostIPC === true) errors.push(forbidden(`${path}.HostIPC`, 'when `hostUsers` is false'));
  }
  if (hostname) errors.push(...checked(`${path}.hostname`, hostname, dnsLabelProblems));
  if (subdomain) errors.push(...checked(`${path}.subdomain`, subdomain, dnsLabelProblems));
  if (hostnameOverride !== undefined) {
    if (setHostnameAsFQDN === true) errors.push(forbidden(`${path}.hostnameOverride`, 'may not be specified when setHostnameAsFQDN is true'));
    if (hostNetwork === true) errors.push(forbidden(`${path}.hostnameOverride`, 'may not be specified when hostNetwork is true'));
    if (byteLength(hostnameOverride) > 64) errors.push(tooLong(`${path}.hostnameOverride`, 64));
    errors.push(...checked(`${path}.hostnameOverride`, hostnameOverride, dnsSubdomainProblems));
  }
  (hostAliases ?? []).forEach(({ ip, hostnames }, index) => {
    errors.push(...validateIp(ip, `${path}.hostAliases[${index}].ip`));
    (hostnames ?? []).forEach((name, nameIndex) => errors.push(...checked(`${path}.hostAliases[${index}].hostnames[${nameIndex}]`, name, dnsSubdomainProblems)));
  });
  return errors;
}

function validateGates({ readinessGates, schedulingGates }: PodSpec, path: string): FieldError[] {
  const names = new Set<string>();
  return [
    ...(readinessGates ?? []).flatMap(({ conditionType }, index) => checked(`${path}.readinessGates[${index}].conditionType`, conditionType ?? '', qualifiedNameProblems)),
    ...(schedulingGates ?? []).flatMap(({ name }, index) => {
      const errors = checked(`${path}.schedulingGates[${index}]`, name ?? '', qualifiedNameProblems);
      if (names.has(name)) errors.push(duplicate(`${path}.schedulingGates[${index}]`, name));
      names.add(name);
      return errors;
    }),
  ];
}

export interface PodSpecRules {
  readonly isTemplate: boolean;
}

export function validatePodSpec(spec: PodSpec, path: string, { isTemplate }: PodSpecRules): FieldError[] {
  const rules = { spec, isTemplate };
  const errors: FieldError[] = [
    ...validateVolumes(spec.volumes, `${path}.volumes`),
    ...validateContainers(rules, `${path}.containers`),
    ...validateInitContainers(rules, `${path}.initContainers`),
    ...validateEphemeralContainers(rules, `${path}.ephemeralContainers`),
    ...validateHostPorts(spec, path),
    ...oneOf(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${path}.restartPolicy`),
    ...oneOf(spec.dnsPolicy, ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'], `${path}.dnsPolicy`),
    ...validateLabels(spec.nodeSelector, `${path}.nodeSelector`),
    ...validatePodSecurityContext(spec, `${path}.securityContext`),
    ...validateAffinity(spec.affinity, `${path}.affinity`),
    ...validateDns(spec, `${path}.dnsConfig`),
    ...validateGates(spec, path),
    ...validateTopologySpread(spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`),
    ...validateHost(spec, path),
  ];
  const names = [['serviceAccountName', spec.serviceAccountName], ['nodeName', spec.nodeName], ['priorityClassName', spec.priorityClassName], ['runtimeClassName', spec.runtimeClassName]] as const;
  for (const [name, value] of names) if (value) errors.push(...checked(`${path}.${name}`, value, dnsSubdomainProblems));
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > MAX_INT32)) errors.push(invalid(`${path}.activeDeadlineSeconds`, deadline, outsideRange(1, MAX_INT32)));
  errors.push(...validateTolerations(spec.tolerations, `${path}.tolerations`));
  if (spec.preemptionPolicy !== undefined) errors.push(...oneOf(spec.preemptionPolicy, ['PreemptLowerPriority', 'Never'], `${path}.preemptionPolicy`));
  if (spec.os !== undefined) {
    if (!spec.os.name) errors.push(required(`${path}.os.name`));
    else errors.push(...oneOf(spec.os.name, ['linux', 'windows'], `${path}.os`));
  }
  return errors;
}

/** A pod template with its labels; `path` ends in `template`. */
export function validatePodTemplate(template: PodTemplateSpec | undefined, path: string): FieldError[] {
  const { metadata, spec } = template ?? {};
  const errors = [
    ...validateLabels(metadata?.labels, `${path}.labels`),
    ...validateAnnotations(metadata?.annotations, `${path}.annotations`),
    ...validatePodSpec(spec ?? { containers: [] }, `${path}.spec`, { isTemplate: true }),
  ];
  if (spec?.ephemeralContainers?.length) errors.push(forbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'));
  return errors;
}

function validatePodAnnotations({ metadata, spec }: Pod): FieldError[] {
  const errors: FieldError[] = [];
  const mirror = metadata.annotations?.[MIRROR_ANNOTATION];
  if (mirror !== undefined && !spec.nodeName) errors.push(invalid(`metadata.annotations[${MIRROR_ANNOTATION}]`, mirror, 'must set spec.nodeName if mirror pod annotation is set'));
  const cost = metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'];
  if (cost !== undefined && (!/^(0|-?[1-9]\d*)$/.test(cost) || Math.abs(Number(cost)) > MAX_INT32)) {
    errors.push(invalid('metadata.annotations[controller.kubernetes.io/pod-deletion-cost]', cost, 'must be a 32bit integer'));
  }
  return errors;
}

export function validatePod(pod: Pod): FieldError[] {
  const errors = [...validatePodAnnotations(pod), ...validatePodSpec(pod.spec, 'spec', { isTemplate: false })];
  if (!pod.spec.serviceAccountName) {
    (pod.spec.volumes ?? []).forEach(({ projected }, index) => (projected?.sources ?? []).forEach(({ serviceAccountToken }, sourceIndex) => {
      if (serviceAccountToken === undefined) return;
      errors.push(forbidden(`spec.volumes[${index}].projected.sources[${sourceIndex}].serviceAccountToken`, 'must not be specified when serviceAccountName is not set'));
    }));
  }
  return errors;
}

/** What only a new pod must satisfy. */
export function validatePodCreate({ spec }: Pod): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.ephemeralContainers?.length) errors.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'));
  if (spec.nodeName && spec.schedulingGates?.length) errors.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'));
  return errors;
}

const UPDATABLE = [
  '`spec.containers[*].image`', '`spec.initContainers[*].image`', '`spec.activeDeadlineSeconds`', '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

function validateContainerImages(next: readonly Container[] = [], previous: readonly Container[] = [], path: string): FieldError[] | 'stop' {
  if (next.length !== previous.length) return 'stop';
  return next.flatMap(({ image }, index) => {
    if (!image) return [required(`${path}[${index}].image`)];
    return image.trim() === image ? [] : [invalid(`${path}[${index}].image`, image, 'must not have leading or trailing whitespace')];
  });
}

const withoutSeconds = ({ tolerationSeconds: _, ...rest }: Toleration): Toleration => rest;

/** Existing tolerations stay, but for their seconds; new ones may follow. */
function validateAddedTolerations(next: readonly Toleration[] = [], previous: readonly Toleration[] = []): FieldError[] {
  const areKept = previous.every((old) => next.some((one) => semanticEqual(withoutSeconds(one), withoutSeconds(old))));
  return areKept ? [] : [forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds')];
}

function validateDeadline(next: number | undefined, previous: number | undefined): FieldError[] {
  const path = 'spec.activeDeadlineSeconds';
  if (next === undefined) return previous === undefined ? [] : [invalid(path, null, 'must not update from a positive integer to nil value')];
  if (next < 0 || next > MAX_INT32) return [invalid(path, next, outsideRange(0, MAX_INT32))];
  return previous !== undefined && previous < next ? [invalid(path, next, 'must be less than or equal to previous value')] : [];
}

/** `next` with everything that may change put back as it was: whatever still differs may not. */
function withUpdatesUndone(next: PodSpec, previous: PodSpec): PodSpec {
  const undone: PodSpec = structuredClone(next);
  undone.containers.forEach((container, index) => { container.image = previous.containers[index]?.image; });
  undone.initContainers?.forEach((container, index) => { container.image = previous.initContainers?.[index]?.image; });
  undone.activeDeadlineSeconds = previous.activeDeadlineSeconds;
  undone.schedulingGates = previous.schedulingGates;
  undone.tolerations = previous.tolerations;
  if ((previous.terminationGracePeriodSeconds ?? 0) < 0 && undone.terminationGracePeriodSeconds === 1) undone.terminationGracePeriodSeconds = previous.terminationGracePeriodSeconds;
  if (previous.schedulingGates?.length) {
    // A pod that waits at a gate may still be told where to go; what may be added is checked apart.
    undone.nodeSelector = previous.nodeSelector;
    if (undone.affinity !== undefined || previous.affinity !== undefined) undone.affinity = { ...undone.affinity, nodeAffinity: previous.affinity?.nodeAffinity };
  }
  return undone;
}

function validateGatedUpdate(next: PodSpec, previous: PodSpec): FieldError[] {
  const errors: FieldError[] = [];
  const oldGates = new Set((previous.schedulingGates ?? []).map(({ name }) => name));
  (next.schedulingGates ?? []).forEach(({ name }, index) => {
    if (!oldGates.has(name)) errors.push(forbidden(`spec.schedulingGates[${index}].name`, `only deletion is allowed, but found new scheduling gate '${name}'`));
  });
  if (oldGates.size === 0) return errors;
  if (Object.entries(previous.nodeSelector ?? {}).some(([key, value]) => next.nodeSelector?.[key] !== value)) {
    errors.push(invalid('spec.nodeSelector', next.nodeSelector ?? null, 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'));
  }
  const [newTerms, oldTerms] = [next, previous].map((spec) => spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []);
  if (oldTerms !== undefined && oldTerms.length > 0 && newTerms !== undefined) {
    const path = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
    if (newTerms.length !== oldTerms.length) return [...errors, invalid(path, newTerms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed')];
    oldTerms.forEach((term, index) => {
      const own = newTerms[index];
      const isKept = (['matchExpressions', 'matchFields'] as const).every((list) => (term[list] ?? []).every((old, at) => semanticEqual(own?.[list]?.[at], old)));
      if (!isKept) errors.push(invalid(`${path}[${index}]`, own ?? null, 'only additions are allowed (no mutations or deletions)'));
    });
  }
  return errors;
}

function validateAnnotationUpdates(next: Pod, previous: Pod): FieldError[] {
  const [own, old] = [next.metadata.annotations?.[MIRROR_ANNOTATION], previous.metadata.annotations?.[MIRROR_ANNOTATION]];
  const path = `metadata.annotations[${MIRROR_ANNOTATION}]`;
  if (old !== undefined && own !== old) return [forbidden(path, 'may not remove or update mirror pod annotation')];
  return old === undefined && own !== undefined ? [forbidden(path, 'may not add mirror pod annotation')] : [];
}

export function validatePodUpdate(next: Pod, previous: Pod): FieldError[] {
  const errors = validateAnnotationUpdates(next, previous);
  for (const name of ['containers', 'initContainers'] as const) {
    const images = validateContainerImages(next.spec[name], previous.spec[name], `spec.${name}`);
    if (images === 'stop') return [...errors, forbidden(`spec.${name}`, 'pod updates may not add or remove containers')];
    errors.push(...images);
  }
  errors.push(
    ...validateDeadline(next.spec.activeDeadlineSeconds, previous.spec.activeDeadlineSeconds),
    ...validateAddedTolerations(next.spec.tolerations, previous.spec.tolerations),
    ...validateGatedUpdate(next.spec, previous.spec),
  );
  const undone = withUpdatesUndone(next.spec, previous.spec);
  if (!semanticEqual(undone, previous.spec)) {
    errors.push(forbidden('spec', `pod updates may not change fields other than ${UPDATABLE}\n${goDiff(previous.spec, undone, 'core.PodSpec')}`));
  }
  return errors;
}

/** An ended container comes back only where the restart policy says so. */
function validateTransitions(next: readonly ContainerStatus[] = [], previous: readonly ContainerStatus[] = [], spec: PodSpec, path: string): FieldError[] {
  if (spec.restartPolicy === 'Always') return [];
  return previous.flatMap(({ name, state }) => {
    if (state?.terminated === undefined || (state.terminated.exitCode !== 0 && spec.restartPolicy === 'OnFailure')) return [];
    const index = next.findIndex((one) => one.name === name);
    return index >= 0 && next[index]?.state?.terminated === undefined ? [forbidden(`${path}[${index}].state`, 'may not be transitioned to non-terminated state')] : [];
  });
}

function notNegativeInteger(value: number | undefined, path: string): FieldError[] {
  return value !== undefined && value < 0 ? [invalid(path, value, 'must be a non-negative integer')] : [];
}

export function validatePodStatusUpdate(next: Pod, previous: Pod): FieldError[] {
  const errors = validateAnnotationUpdates(next, previous);
  const [status, old] = [next.status ?? {}, previous.status ?? {}];
  if (next.spec.nodeName !== previous.spec.nodeName) errors.push(forbidden('status.nodeName', 'may not be changed directly'));
  if (status.nominatedNodeName) errors.push(...checked('status.nominatedNodeName', status.nominatedNodeName, dnsSubdomainProblems));
  errors.push(
    ...notNegativeInteger(status.observedGeneration, 'status.observedGeneration'),
    ...validateTransitions(status.containerStatuses, old.containerStatuses, previous.spec, 'status.containerStatuses'),
    ...validateTransitions(status.initContainerStatuses, old.initContainerStatuses, { ...previous.spec, restartPolicy: previous.spec.restartPolicy === 'Always' ? 'OnFailure' : previous.spec.restartPolicy }, 'status.initContainerStatuses')
      .filter(({ field }) => !isSidecarStatus(field, next)),
  );
  if (old.qosClass !== undefined && status.qosClass !== old.qosClass) errors.push(invalid('status.qosClass', status.qosClass ?? '', FIELD_IS_IMMUTABLE));
  (status.conditions ?? []).forEach(({ type, observedGeneration }, index) => {
    errors.push(...checked(`status.conditions[${index}].Type`, type ?? '', qualifiedNameProblems), ...notNegativeInteger(observedGeneration, `status.conditions[${index}].observedGeneration`));
  });
  return errors;
}

/** Sidecars restart whatever the pod's policy. */
function isSidecarStatus(field: string, { spec, status }: Pod): boolean {
  const index = Number(/\[(\d+)\]/.exec(field)?.[1]);
  const name = status?.initContainerStatuses?.[index]?.name;
  return spec.initContainers?.some((container) => container.name === name && container.restartPolicy === 'Always') ?? false;
}
