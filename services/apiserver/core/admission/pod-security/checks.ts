// The Pod Security Standards as checks of a pod's spec, each with upstream's words for what it forbids.
// Source: pod-security-admission/policy/check_*.go, the versions that apply to 1.36.
import type { Container, PodSpec, SecurityContext, Volume } from '#lib/kinds/types/core-v1.ts';
import type { ObjectMeta } from '#lib/kinds/types/meta-v1.ts';

export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

export interface PodParts {
  readonly metadata: Readonly<Pick<ObjectMeta, 'annotations'>>;
  readonly spec: Readonly<PodSpec>;
}
type Check = (pod: PodParts) => Violation | undefined;

export const containersOf = (spec: Readonly<PodSpec>): readonly Container[] =>
  [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? []) as Container[]];

const quoted = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(', ');
const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort();
const many = (count: number, one: string, more: string): string => (count === 1 ? one : more);
const named = (what: string, names: readonly string[]): string => `${many(names.length, what, `${what}s`)} ${quoted(names)}`;
const namesWhere = (spec: Readonly<PodSpec>, test: (container: Container, context: SecurityContext) => boolean): string[] =>
  containersOf(spec).filter((container) => test(container, container.securityContext ?? {})).map(({ name }) => name);
const inContainers = (reason: string, names: readonly string[], rest: string): Violation | undefined =>
  (names.length === 0 ? undefined : { reason, detail: `${named('container', names)} ${rest}` });

/** Sources that set something bad: `pod`, `containers "a", "b"`, or both joined with `and`. */
function setters(podIsBad: boolean, names: readonly string[]): string[] {
  return [...(podIsBad ? ['pod'] : []), ...(names.length > 0 ? [named('container', names)] : [])];
}

const appArmorAllowed = (type: string | undefined): boolean => type === undefined || type === 'RuntimeDefault' || type === 'Localhost';
const appArmorProfile: Check = ({ metadata, spec }) => {
  const bad = new Set<string>();
  const isBad = (profile: SecurityContext['appArmorProfile']): boolean => {
    if (!profile || appArmorAllowed(profile.type)) return false;
    bad.add(profile.type);
    return true;
  };
  const podIsBad = isBad(spec.securityContext?.appArmorProfile);
  const names = namesWhere(spec, (_, context) => isBad(context.appArmorProfile));
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([key, value]) =>
    key.startsWith('container.apparmor.security.beta.kubernetes.io/') && value !== '' && value !== 'runtime/default' && !value.startsWith('localhost/'));
  const sources = setters(podIsBad, names);
  const details = [
    ...(sources.length === 0 ? [] : [`${sources.join(' and ')} must not set AppArmor profile type to ${quoted(sorted(bad))}`]),
    ...annotations.map(([key, value]) => `${key}=${JSON.stringify(value)}`).sort(),
  ];
  return details.length === 0 ? undefined : { reason: many(bad.size + annotations.length, 'forbidden AppArmor profile', 'forbidden AppArmor profiles'), detail: details.join(', ') };
};

const DEFAULT_CAPABILITIES: ReadonlySet<string> = new Set([
  'AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT',
]);
const capabilitiesBaseline: Check = ({ spec }) => {
  const bad = new Set<string>();
  const names = namesWhere(spec, (_, { capabilities }) => {
    const own = (capabilities?.add ?? []).filter((one) => !DEFAULT_CAPABILITIES.has(one));
    own.forEach((one) => bad.add(one));
    return own.length > 0;
  });
  return inContainers('non-default capabilities', names, `must not include ${quoted(sorted(bad))} in securityContext.capabilities.add`);
};

const hostNamespaces: Check = ({ spec }) => {
  const found = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec[field] === true).map((field) => `${field}=true`);
  return found.length === 0 ? undefined : { reason: 'host namespaces', detail: found.join(', ') };
};

const hostPathVolumes: Check = ({ spec }) => {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath).map(({ name }) => name);
  return names.length === 0 ? undefined : { reason: 'hostPath volumes', detail: named('volume', names) };
};

const hostPorts: Check = ({ spec }) => {
  const ports = new Set<number>();
  const names = namesWhere(spec, ({ ports: own = [] }) => {
    const bad = own.filter(({ hostPort }) => (hostPort ?? 0) !== 0);
    bad.forEach(({ hostPort }) => ports.add(hostPort ?? 0));
    return bad.length > 0;
  });
  const list = [...ports].map(String).sort();
  return inContainers('hostPort', names, `${many(names.length, 'uses', 'use')} ${many(list.length, 'hostPort', 'hostPorts')} ${list.join(', ')}`);
};

const hostProbes: Check = ({ spec }) => {
  const hosts = new Set<string>();
  const names = namesWhere(spec, ({ livenessProbe, readinessProbe, startupProbe, lifecycle }) => {
    const own = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].flatMap((one) => [one?.httpGet?.host, one?.tcpSocket?.host])
      .filter((host): host is string => Boolean(host));
    own.forEach((host) => hosts.add(host));
    return own.length > 0;
  });
  return inContainers('probe or lifecycle host', sorted(names), `${many(names.length, 'uses', 'use')} ${many(hosts.size, 'probe or lifecycle host', 'probe or lifecycle hosts')} ${quoted(sorted(hosts))}`);
};

const privileged: Check = ({ spec }) => inContainers('privileged', namesWhere(spec, (_, context) => context.privileged === true), 'must not set securityContext.privileged=true');

const procMount: Check = ({ spec }) => {
  if (spec.hostUsers === false) return undefined; // relaxed for pods in a user namespace
  const bad = new Set<string>();
  const names = namesWhere(spec, (_, context) => {
    if (context.procMount === undefined || context.procMount === 'Default') return false;
    bad.add(context.procMount);
    return true;
  });
  return inContainers('procMount', names, `must not set securityContext.procMount to ${quoted(sorted(bad))}`);
};

const SELINUX_TYPES: ReadonlySet<string> = new Set(['', 'container_t', 'container_init_t', 'container_kvm_t']);
const seLinuxOptions: Check = ({ spec }) => {
  const types = new Set<string>();
  let [setsUser, setsRole] = [false, false];
  const isBad = (options: SecurityContext['seLinuxOptions']): boolean => {
    if (!options) return false;
    const badType = !SELINUX_TYPES.has(options.type ?? '');
    if (badType) types.add(options.type ?? '');
    if (options.user) setsUser = true;
    if (options.role) setsRole = true;
    return badType || Boolean(options.user) || Boolean(options.role);
  };
  const sources = setters(isBad(spec.securityContext?.seLinuxOptions), namesWhere(spec, (_, context) => isBad(context.seLinuxOptions)));
  if (sources.length === 0) return undefined;
  // upstream names user and role only beside a bad type
  const data = types.size === 0 ? [] : [`${many(types.size, 'type', 'types')} ${quoted(sorted(types))}`, ...(setsUser ? ['user may not be set'] : []), ...(setsRole ? ['role may not be set'] : [])];
  return { reason: 'seLinuxOptions', detail: `${sources.join(' and ')} set forbidden securityContext.seLinuxOptions: ${data.join('; ')}` };
};

const seccompAllowed = (type: string | undefined): boolean => type === 'RuntimeDefault' || type === 'Localhost';

const seccompBaseline: Check = ({ spec }) => {
  const bad = new Set<string>();
  const isBad = (profile: SecurityContext['seccompProfile']): boolean => {
    if (!profile || seccompAllowed(profile.type)) return false;
    bad.add(profile.type);
    return true;
  };
  const sources = setters(isBad(spec.securityContext?.seccompProfile), namesWhere(spec, (_, context) => isBad(context.seccompProfile)));
  return sources.length === 0 ? undefined : { reason: 'seccompProfile', detail: `${sources.join(' and ')} must not set securityContext.seccompProfile.type to ${quoted(sorted(bad))}` };
};

const SYSCTLS: ReadonlySet<string> = new Set([
  'kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports', 'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem',
]);
const sysctls: Check = ({ spec }) => {
  const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !SYSCTLS.has(name));
  return bad.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: bad.join(', ') };
};

const windowsHostProcess: Check = ({ spec }) => {
  const sources = setters(spec.securityContext?.windowsOptions?.hostProcess === true, namesWhere(spec, (_, context) => context.windowsOptions?.hostProcess === true));
  return sources.length === 0 ? undefined : { reason: 'hostProcess', detail: `${sources.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true` };
};

const allowPrivilegeEscalation: Check = ({ spec }) => (spec.os?.name === 'windows' ? undefined
  : inContainers('allowPrivilegeEscalation != false', namesWhere(spec, (_, context) => context.allowPrivilegeEscalation !== false), 'must set securityContext.allowPrivilegeEscalation=false'));

const capabilitiesRestricted: Check = ({ spec }) => {
  if (spec.os?.name === 'windows') return undefined;
  const added = new Set<string>();
  const keeping = namesWhere(spec, (_, { capabilities }) => !capabilities?.drop?.includes('ALL'));
  const adding = namesWhere(spec, (_, { capabilities }) => {
    const bad = (capabilities?.add ?? []).filter((one) => one !== 'NET_BIND_SERVICE');
    bad.forEach((one) => added.add(one));
    return bad.length > 0;
  });
  const details = [
    ...(keeping.length === 0 ? [] : [`${named('container', keeping)} must set securityContext.capabilities.drop=["ALL"]`]),
    ...(adding.length === 0 ? [] : [`${named('container', adding)} must not include ${quoted(sorted(added))} in securityContext.capabilities.add`]),
  ];
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') };
};

const VOLUME_TYPES: ReadonlySet<string> = new Set(['name', 'configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret', 'image']);
const restrictedVolumes: Check = ({ spec }) => {
  const types = new Set<string>();
  const names = (spec.volumes ?? []).filter((volume: Volume) => {
    const bad = Object.entries(volume).filter(([key, value]) => value !== undefined && !VOLUME_TYPES.has(key)).map(([key]) => key);
    bad.forEach((type) => types.add(type));
    return bad.length > 0;
  }).map(({ name }) => name);
  if (names.length === 0) return undefined;
  return {
    reason: 'restricted volume types',
    detail: `${named('volume', names)} ${many(names.length, 'uses', 'use')} ${many(types.size, 'restricted volume type', 'restricted volume types')} ${quoted(sorted(types))}`,
  };
};

const runAsNonRoot: Check = ({ spec }) => {
  const podSays = spec.securityContext?.runAsNonRoot;
  if (spec.hostUsers === false) return undefined; // relaxed for pods in a user namespace
  const explicit = namesWhere(spec, (_, context) => context.runAsNonRoot === false);
  const implicit = podSays === true ? [] : namesWhere(spec, (_, context) => context.runAsNonRoot === undefined);
  const bad = setters(podSays === false, explicit);
  const details = [
    ...(bad.length === 0 ? [] : [`${bad.join(' and ')} must not set securityContext.runAsNonRoot=false`]),
    ...(bad.length > 0 || implicit.length === 0 ? [] : [`pod or ${named('container', implicit)} must set securityContext.runAsNonRoot=true`]),
  ];
  return details.length === 0 ? undefined : { reason: 'runAsNonRoot != true', detail: details.join('; ') };
};

const runAsUser: Check = ({ spec }) => {
  if (spec.hostUsers === false) return undefined;
  const sources = setters(spec.securityContext?.runAsUser === 0, namesWhere(spec, (_, context) => context.runAsUser === 0));
  return sources.length === 0 ? undefined : { reason: 'runAsUser=0', detail: `${sources.join(' and ')} must not set runAsUser=0` };
};

const seccompRestricted: Check = (pod) => {
  const bad = seccompBaseline(pod);
  if (bad) return bad;
  const { spec } = pod;
  if (spec.os?.name === 'windows' || seccompAllowed(spec.securityContext?.seccompProfile?.type)) return undefined;
  const names = namesWhere(spec, (_, context) => context.seccompProfile === undefined);
  return names.length === 0 ? undefined : { reason: 'seccompProfile', detail: `pod or ${named('container', names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"` };
};

const BASELINE: readonly Check[] = [
  appArmorProfile, capabilitiesBaseline, hostNamespaces, hostPathVolumes, hostPorts, hostProbes, privileged, procMount, seLinuxOptions, seccompBaseline, sysctls, windowsHostProcess,
];
/** Three of the baseline are replaced by stricter ones. */
const RESTRICTED: readonly Check[] = [
  ...BASELINE.filter((check) => check !== capabilitiesBaseline && check !== hostPathVolumes && check !== seccompBaseline),
  allowPrivilegeEscalation, capabilitiesRestricted, restrictedVolumes, runAsNonRoot, runAsUser, seccompRestricted,
];

export type Level = 'privileged' | 'baseline' | 'restricted';
export const LEVELS: readonly Level[] = ['privileged', 'baseline', 'restricted'];

export function violations(level: Level, pod: PodParts): Violation[] {
  const checks = level === 'privileged' ? [] : level === 'baseline' ? BASELINE : RESTRICTED;
  return checks.map((check) => check(pod)).filter((found) => found !== undefined);
}
