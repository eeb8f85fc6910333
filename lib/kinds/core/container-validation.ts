// Checks of containers: ports, environment, mounts, probes, handlers. Source: pkg/apis/core/validation (validateContainers).
import { duplicate, forbidden, invalid, notFound, notSupported, required, tooMany, type FieldError } from '#lib/machinery/field-error.ts';
import {
  configKeyProblems, dnsLabelProblems, dnsSubdomainProblems, environmentNameProblems, httpHeaderNameProblems, portNameProblems, portNumberProblems,
} from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import type {
  Container, ContainerPort, EnvFromSource, EnvVar, EnvVarSource, EphemeralContainer, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe, VolumeMount,
} from '../types/core-v1.ts';
import { notNegative, oneOf } from '../validation.ts';
import { ENVIRONMENT_FIELD_PATHS, validateFieldRef, validateResourceFieldRef } from './field-ref-validation.ts';
import { validateResources } from './resource-validation.ts';
import { validateSecurityContext } from './security-validation.ts';
import { validateDescendingPath } from './volume-validation.ts';

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

export interface ContainerRules {
  readonly spec: PodSpec;
  /** White space around an image's name is refused on pods, but not in templates, as it always was. */
  readonly isTemplate: boolean;
}

function validatePorts(ports: readonly ContainerPort[] | undefined, path: string): FieldError[] {
  const names = new Set<string>();
  return (ports ?? []).flatMap(({ name, containerPort, hostPort, protocol }, index) => {
    const at = `${path}[${index}]`;
    const errors: FieldError[] = [];
    if (name) {
      const problems = checked(`${at}.name`, name, portNameProblems);
      if (problems.length > 0) errors.push(...problems);
      else if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
      names.add(name);
    }
    if (!containerPort) errors.push(required(`${at}.containerPort`));
    else errors.push(...portNumberProblems(containerPort).map((text) => invalid(`${at}.containerPort`, containerPort, text)));
    if (hostPort) errors.push(...portNumberProblems(hostPort).map((text) => invalid(`${at}.hostPort`, hostPort, text)));
    return [...errors, ...oneOf(protocol, PROTOCOLS, `${at}.protocol`)];
  });
}

interface KeyReference {
  readonly name?: string | undefined;
  readonly key: string;
}
function validateKeyReference({ name, key }: KeyReference, path: string): FieldError[] {
  return [
    ...checked(`${path}.name`, name ?? '', dnsSubdomainProblems),
    ...(key ? checked(`${path}.key`, key, configKeyProblems) : [required(`${path}.key`)]),
  ];
}

function validateValueFrom(source: EnvVarSource, value: string | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (source.fieldRef !== undefined) errors.push(...validateFieldRef(source.fieldRef, ENVIRONMENT_FIELD_PATHS, `${path}.fieldRef`));
  if (source.resourceFieldRef !== undefined) errors.push(...validateResourceFieldRef(source.resourceFieldRef, `${path}.resourceFieldRef`, { needsContainer: false }));
  if (source.configMapKeyRef !== undefined) errors.push(...validateKeyReference(source.configMapKeyRef, `${path}.configMapKeyRef`));
  if (source.secretKeyRef !== undefined) errors.push(...validateKeyReference(source.secretKeyRef, `${path}.secretKeyRef`));
  const count = Object.values(source).filter((one) => one !== undefined).length;
  if (count === 0) errors.push(invalid(path, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'));
  if (value) {
    if (count > 0) errors.push(invalid(path, '', 'may not be specified when `value` is not empty'));
  } else if (count > 1) {
    errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
  }
  return errors;
}

function validateEnvironment(env: readonly EnvVar[] | undefined, path: string): FieldError[] {
  return (env ?? []).flatMap(({ name, value, valueFrom }, index) => [
    ...(name ? checked(`${path}[${index}].name`, name, environmentNameProblems) : [required(`${path}[${index}].name`)]),
    ...(valueFrom === undefined ? [] : validateValueFrom(valueFrom, value, `${path}[${index}].valueFrom`)),
  ]);
}

function validateEnvFrom(sources: readonly EnvFromSource[] | undefined, path: string): FieldError[] {
  return (sources ?? []).flatMap(({ prefix, configMapRef, secretRef }, index) => {
    const at = `${path}[${index}]`;
    const errors: FieldError[] = prefix ? checked(`${at}.prefix`, prefix, environmentNameProblems) : [];
    for (const [name, reference] of [['configMapRef', configMapRef], ['secretRef', secretRef]] as const) {
      if (reference === undefined) continue;
      errors.push(...(reference.name ? checked(`${at}.${name}.name`, reference.name, dnsSubdomainProblems) : [required(`${at}.${name}.name`)]));
    }
    if (configMapRef === undefined && secretRef === undefined) errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    else if (configMapRef !== undefined && secretRef !== undefined) errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
    return errors;
  });
}

function validateMount(mount: VolumeMount, path: string, isPrivileged: boolean): FieldError[] {
  const errors: FieldError[] = mount.subPath ? validateDescendingPath(mount.subPath, `${path}.subPath`) : [];
  if (mount.subPathExpr) {
    if (mount.subPath) errors.push(invalid(`${path}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'));
    errors.push(...validateDescendingPath(mount.subPathExpr, `${path}.subPathExpr`));
  }
  const { mountPropagation, recursiveReadOnly } = mount;
  if (mountPropagation !== undefined) {
    if (!['Bidirectional', 'HostToContainer', 'None'].includes(mountPropagation)) {
      errors.push(notSupported(`${path}.mountPropagation`, mountPropagation, ['Bidirectional', 'HostToContainer', 'None']));
    } else if (mountPropagation === 'Bidirectional' && !isPrivileged) {
      errors.push(forbidden(`${path}.mountPropagation`, 'Bidirectional mount propagation is available only to privileged containers'));
    }
  }
  if (recursiveReadOnly !== undefined) {
    if (recursiveReadOnly !== 'Disabled' && mount.readOnly !== true) errors.push(forbidden(`${path}.recursiveReadOnly`, 'may only be specified when readOnly is true'));
    if (recursiveReadOnly !== 'Disabled' && mountPropagation !== undefined && mountPropagation !== 'None') {
      errors.push(forbidden(`${path}.recursiveReadOnly`, 'may only be specified when mountPropagation is None or not specified'));
    }
    if (!['Disabled', 'Enabled', 'IfPossible'].includes(recursiveReadOnly)) errors.push(notSupported(`${path}.recursiveReadOnly`, recursiveReadOnly, ['Disabled', 'Enabled', 'IfPossible']));
  }
  return errors;
}

function validateMounts({ volumeMounts, volumeDevices, securityContext }: Container | EphemeralContainer, path: string, { spec }: ContainerRules): FieldError[] {
  const volumes = new Set((spec.volumes ?? []).map(({ name }) => name));
  const mountPaths = new Set<string>();
  const mountErrors = (volumeMounts ?? []).flatMap((mount, index) => {
    const at = `${path}.volumeMounts[${index}]`;
    const errors: FieldError[] = mount.name ? [] : [required(`${at}.name`)];
    if (!volumes.has(mount.name)) errors.push(notFound(`${at}.name`, mount.name ?? ''));
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`));
    if (mountPaths.has(mount.mountPath)) errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
    mountPaths.add(mount.mountPath);
    return [...errors, ...validateMount(mount, at, securityContext?.privileged === true)];
  });
  const [names, paths] = [new Set<string>(), new Set<string>()];
  const deviceErrors = (volumeDevices ?? []).flatMap(({ name, devicePath }, index) => {
    const at = `${path}.volumeDevices[${index}]`;
    const errors: FieldError[] = name ? [] : [required(`${at}.name`)];
    if (names.has(name)) errors.push(invalid(`${at}.name`, name, 'must be unique'));
    const volume = spec.volumes?.find((one) => one.name === name);
    if (volume === undefined) errors.push(notFound(`${at}.name`, name));
    else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined) errors.push(invalid(`${at}.name`, name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'));
    if (!devicePath) errors.push(required(`${at}.devicePath`));
    if (paths.has(devicePath)) errors.push(invalid(`${at}.devicePath`, devicePath, 'must be unique'));
    if (devicePath?.split('/').includes('..')) errors.push(invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    if (volumeMounts?.some((mount) => mount.name === name)) errors.push(invalid(`${at}.name`, name, 'must not already exist in volumeMounts'));
    if (mountPaths.has(devicePath)) errors.push(invalid(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'));
    names.add(name);
    paths.add(devicePath);
    return errors;
  });
  return [...mountErrors, ...deviceErrors];
}

function validatePort(port: number | string | undefined, path: string): FieldError[] {
  if (typeof port === 'string') return portNameProblems(port).map((text) => invalid(path, port, text));
  return portNumberProblems(port ?? 0).map((text) => invalid(path, port ?? 0, text));
}

function validateHttpGet({ path: target, port, scheme = '', httpHeaders = [] }: HTTPGetAction, path: string): FieldError[] {
  return [
    ...(target ? [] : [required(`${path}.path`)]),
    ...validatePort(port, `${path}.port`),
    ...(scheme === 'HTTP' || scheme === 'HTTPS' ? [] : [notSupported(`${path}.scheme`, scheme, ['HTTP', 'HTTPS'])]),
    ...httpHeaders.flatMap(({ name }) => checked(`${path}.httpHeaders`, name ?? '', httpHeaderNameProblems)),
  ];
}

/** Exactly one way to act. */
function validateHandler(handler: LifecycleHandler & Probe, path: string, graceSeconds?: number): FieldError[] {
  const checks: readonly (readonly [string, () => FieldError[]] | undefined)[] = [
    handler.exec && ['exec', () => (handler.exec?.command?.length ? [] : [required(`${path}.exec.command`)])],
    handler.httpGet && ['httpGet', () => (handler.httpGet ? validateHttpGet(handler.httpGet, `${path}.httpGet`) : [])],
    handler.tcpSocket && ['tcpSocket', () => validatePort(handler.tcpSocket?.port, `${path}.tcpSocket.port`)],
    handler.grpc && ['grpc', () => validatePort(handler.grpc?.port, `${path}.grpc.port`)],
    handler.sleep && ['sleep', () => {
      const seconds = handler.sleep?.seconds ?? 0;
      const isTooLong = seconds < 0 || seconds > (graceSeconds ?? 30);
      return isTooLong ? [invalid(`${path}.sleep.seconds`, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds ?? 30})`)] : [];
    }],
  ];
  const [first, ...others] = checks.filter((one) => one !== undefined);
  if (first === undefined) return [required(path, 'must specify a handler type')];
  return [...first[1](), ...others.map(([name]) => forbidden(`${path}.${name}`, 'may not specify more than 1 handler type'))];
}

const PROBE_COUNTS = ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const;

function validateProbe(probe: Probe | undefined, path: string, kind: 'liveness' | 'readiness' | 'startup'): FieldError[] {
  if (probe === undefined) return [];
  const errors = [...validateHandler(probe, path), ...PROBE_COUNTS.flatMap((name) => notNegative(probe[name], `${path}.${name}`))];
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0) errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  if (kind === 'readiness') {
    if (grace !== undefined) errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'));
  } else if (probe.successThreshold !== 1) {
    errors.push(invalid(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'));
  }
  return errors;
}

function validateLifecycle(lifecycle: Lifecycle | undefined, path: string, { spec }: ContainerRules): FieldError[] {
  const grace = spec.terminationGracePeriodSeconds;
  return [
    ...(lifecycle?.postStart === undefined ? [] : validateHandler(lifecycle.postStart, `${path}.postStart`, grace)),
    ...(lifecycle?.preStop === undefined ? [] : validateHandler(lifecycle.preStop, `${path}.preStop`, grace)),
    ...(lifecycle?.stopSignal !== undefined && spec.os?.name === undefined ? [forbidden(`${path}.stopSignal`, 'may not be set for containers with empty `spec.os.name`')] : []),
  ];
}

const MAX_RESTART_RULES = 20;
const MAX_EXIT_CODES = 255;

/** A container may differ from its pod in whether it is started again, by its exit code too. */
function validateRestart({ restartPolicy, restartPolicyRules = [] }: Container, path: string): FieldError[] {
  if (restartPolicy === undefined) return restartPolicyRules.length === 0 ? [] : [required(`${path}.restartPolicy`, 'must specify restartPolicy when restart rules are used')];
  const errors = oneOf(restartPolicy, ['Always', 'Never', 'OnFailure'], `${path}.restartPolicy`);
  const at = `${path}.restartPolicyRules`;
  if (restartPolicyRules.length > MAX_RESTART_RULES) errors.push(tooMany(at, restartPolicyRules.length, MAX_RESTART_RULES));
  restartPolicyRules.forEach(({ action, exitCodes }, index) => {
    if (action !== 'Restart') errors.push(notSupported(`${at}[${index}].action`, action ?? '', ['Restart']));
    if (exitCodes === undefined) {
      errors.push(required(`${at}[${index}].exitCodes`, 'must be specified'));
      return;
    }
    const { operator, values = [] } = exitCodes;
    if (operator !== 'In' && operator !== 'NotIn') errors.push(notSupported(`${at}[${index}].exitCodes.operator`, operator ?? '', ['In', 'NotIn']));
    if (values.length > MAX_EXIT_CODES) errors.push(tooMany(`${at}[${index}].exitCodes.values`, values.length, MAX_EXIT_CODES));
  });
  return errors;
}

/** How a change of an amount takes effect: in the running container, or in the next. */
function validateResizePolicy({ resizePolicy = [], restartPolicy }: Container | EphemeralContainer, path: string, { spec }: ContainerRules): FieldError[] {
  const seen = new Set<string>();
  const lasts = restartPolicy === 'Always';
  return resizePolicy.flatMap(({ resourceName, restartPolicy: policy }, index) => {
    const errors: FieldError[] = seen.has(resourceName) ? [duplicate(`${path}[${index}]`, resourceName)] : [];
    seen.add(resourceName);
    errors.push(...oneOf(resourceName, ['cpu', 'memory'], path), ...oneOf(policy, ['NotRequired', 'RestartContainer'], path));
    if (spec.restartPolicy === 'Never' && !lasts && policy !== 'NotRequired') errors.push(invalid(path, policy ?? '', "must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
    return errors;
  });
}

/** What containers of all three lists share. */
function validateCommon(container: Container | EphemeralContainer, path: string, rules: ContainerRules): FieldError[] {
  const errors: FieldError[] = container.name ? checked(`${path}.name`, container.name, dnsLabelProblems) : [required(`${path}.name`)];
  if (!container.image) errors.push(required(`${path}.image`));
  else if (!rules.isTemplate && container.image.trim() !== container.image) errors.push(invalid(`${path}.image`, container.image, 'must not have leading or trailing whitespace'));
  return [
    ...errors,
    ...oneOf(container.terminationMessagePolicy, ['File', 'FallbackToLogsOnError'], `${path}.terminationMessagePolicy`),
    ...validatePorts(container.ports, `${path}.ports`),
    ...validateEnvironment(container.env, `${path}.env`),
    ...validateEnvFrom(container.envFrom, `${path}.envFrom`),
    ...validateMounts(container, path, rules),
    ...oneOf(container.imagePullPolicy, ['Always', 'IfNotPresent', 'Never'], `${path}.imagePullPolicy`),
    ...validateResources(container.resources, `${path}.resources`),
    ...validateResizePolicy(container, `${path}.resizePolicy`, rules),
    ...validateSecurityContext(container.securityContext, `${path}.securityContext`, rules.spec),
  ];
}

function validateLifeOf(container: Container, path: string, rules: ContainerRules): FieldError[] {
  return [
    ...validateLifecycle(container.lifecycle, `${path}.lifecycle`, rules),
    ...validateProbe(container.livenessProbe, `${path}.livenessProbe`, 'liveness'),
    ...validateProbe(container.readinessProbe, `${path}.readinessProbe`, 'readiness'),
    ...validateProbe(container.startupProbe, `${path}.startupProbe`, 'startup'),
  ];
}

/** A port of the node can be taken once. */
function hostPortConflicts(containers: readonly Container[], path: string): FieldError[] {
  const taken = new Set<string>();
  return containers.flatMap(({ ports }, containerIndex) => (ports ?? []).flatMap(({ hostPort, hostIP, protocol }, portIndex) => {
    if (!hostPort) return [];
    const key = `${protocol ?? 'TCP'}/${hostIP ?? ''}/${hostPort}`;
    if (taken.has(key)) return [duplicate(`${path}[${containerIndex}].ports[${portIndex}].hostPort`, key)];
    taken.add(key);
    return [];
  }));
}

export function validateContainers(rules: ContainerRules, path: string): FieldError[] {
  const containers = rules.spec.containers ?? [];
  if (containers.length === 0) return [required(path)];
  const names = new Set<string>();
  const errors = containers.flatMap((container, index) => {
    const at = `${path}[${index}]`;
    const own = validateCommon(container, at, rules);
    if (names.has(container.name)) own.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    own.push(...validateLifeOf(container, at, rules));
    own.push(...validateRestart(container, at));
    return own;
  });
  return [...errors, ...hostPortConflicts(containers, path)];
}

export function validateInitContainers(rules: ContainerRules, path: string): FieldError[] {
  const names = new Set((rules.spec.containers ?? []).map(({ name }) => name));
  return (rules.spec.initContainers ?? []).flatMap((container, index) => {
    const at = `${path}[${index}]`;
    const errors = validateCommon(container, at, rules);
    if (container.name && names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    errors.push(...validateRestart(container, at));
    if (container.restartPolicy === 'Always') {
      errors.push(...validateLifeOf(container, at, rules));
    } else {
      for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
        if (container[name] !== undefined) errors.push(forbidden(`${at}.${name}`, 'may not be set for init containers without restartPolicy=Always'));
      }
    }
    return [...errors, ...hostPortConflicts([container], path)];
  });
}

const NOT_FOR_EPHEMERAL = ['ports', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle', 'resizePolicy'] as const;

export function validateEphemeralContainers(rules: ContainerRules, path: string): FieldError[] {
  const { spec } = rules;
  const others = new Set([...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name));
  const names = new Set<string>();
  return (spec.ephemeralContainers ?? []).flatMap((container, index) => {
    const at = `${path}[${index}]`;
    const errors = validateCommon(container, at, rules);
    if (others.has(container.name) || names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    if (container.targetContainerName && !others.has(container.targetContainerName)) errors.push(notFound(`${at}.targetContainerName`, container.targetContainerName));
    for (const name of NOT_FOR_EPHEMERAL) if (container[name] !== undefined) errors.push(forbidden(`${at}.${name}`, 'cannot be set for an Ephemeral Container'));
    if (Object.keys(container.resources ?? {}).length > 0) errors.push(forbidden(`${at}.resources`, 'cannot be set for an Ephemeral Container'));
    (container.volumeMounts ?? []).forEach((mount, mountIndex) => {
      for (const name of ['subPath', 'subPathExpr'] as const) {
        if (mount[name]) errors.push(forbidden(`${at}.volumeMounts[${mountIndex}].${name}`, 'cannot be set for an Ephemeral Container'));
      }
    });
    return errors;
  });
}
