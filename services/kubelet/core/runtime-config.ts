// What the runtime is asked to make of a pod: sandbox and container configurations of CRI.
// Source: pkg/kubelet/kuberuntime/{kuberuntime_sandbox,kuberuntime_container,labels,security_context}*.go.
import type { ContainerConfig, LinuxContainerSecurityContext, Mount, NamespaceMode, PodSandboxConfig, SecurityProfile, Sent, Signal } from '#lib/cri/messages.ts';
import type { Container, Pod, SeccompProfile } from '#lib/kinds/types/core-v1.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';
import { containerHash } from './container-hash.ts';
import { expand } from './environment-variables.ts';
import { domainNameOf, hostnameOf } from './hosts-file.ts';
import type { DnsSettings } from './dns.ts';
import { allContainersOf, namespaceOf, uidOf, usesHostNetwork } from './pod-spec.ts';
import { cpuQuota, cpuShares, oomScoreAdjust } from './resources.ts';

export const LABEL = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  containerName: 'io.kubernetes.container.name',
} as const;
export const ANNOTATION = {
  hash: 'io.kubernetes.container.hash',
  restartCount: 'io.kubernetes.container.restartCount',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
  terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  podGracePeriod: 'io.kubernetes.pod.terminationGracePeriod',
  podDeletionGracePeriod: 'io.kubernetes.pod.deletionGracePeriod',
  preStopHandler: 'io.kubernetes.container.preStopHandler',
  ports: 'io.kubernetes.container.ports',
} as const;

export const DEFAULT_TERMINATION_PATH = '/dev/termination-log';

const podLabels = (pod: Pod): Record<string, string> => ({
  [LABEL.podName]: pod.metadata.name, [LABEL.podNamespace]: namespaceOf(pod), [LABEL.podUid]: uidOf(pod),
});
/** `default_web-0_UID`, below the folder of pod logs. */
export const podLogFolder = (pod: Pod): string => `${namespaceOf(pod)}_${pod.metadata.name}_${uidOf(pod)}`;

export interface SandboxInputs {
  readonly pod: Pod;
  readonly attempt: number;
  readonly logsRoot: string;
  readonly dns: DnsSettings;
  readonly clusterDomain: string;
  readonly cgroupParent: string;
}

function namespaces(pod: Pod, targetId = ''): { network: NamespaceMode; pid: NamespaceMode; ipc: NamespaceMode; targetId: string } {
  const pid: NamespaceMode = targetId !== '' ? 'TARGET' : pod.spec.hostPID === true ? 'NODE' : pod.spec.shareProcessNamespace === true ? 'POD' : 'CONTAINER';
  return { network: usesHostNetwork(pod) ? 'NODE' : 'POD', pid, ipc: pod.spec.hostIPC === true ? 'NODE' : 'POD', targetId };
}

export function sandboxConfig({ pod, attempt, logsRoot, dns, clusterDomain, cgroupParent }: SandboxInputs): Sent<PodSandboxConfig> {
  const domain = pod.spec.setHostnameAsFQDN === true ? domainNameOf(pod, clusterDomain) : '';
  const security = pod.spec.securityContext;
  return {
    metadata: { name: pod.metadata.name, namespace: namespaceOf(pod), uid: uidOf(pod), attempt },
    // On the host's network the name is the host's: real runtimes refuse to set one there.
    hostname: usesHostNetwork(pod) ? '' : domain !== '' ? domain : hostnameOf(pod),
    logDirectory: `${logsRoot}/${podLogFolder(pod)}`,
    dnsConfig: dns,
    portMappings: usesHostNetwork(pod) ? [] : allContainersOf(pod).flatMap(({ ports = [] }) => ports)
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map(({ protocol = 'TCP', containerPort, hostPort = 0, hostIP = '' }) => ({ protocol: protocol as 'TCP' | 'UDP' | 'SCTP', containerPort, hostPort, hostIp: hostIP })),
    labels: { ...pod.metadata.labels, ...podLabels(pod) },
    annotations: { ...pod.metadata.annotations },
    linux: {
      cgroupParent,
      sysctls: Object.fromEntries((security?.sysctls ?? []).map(({ name, value }) => [name, value])),
      securityContext: {
        namespaceOptions: namespaces(pod),
        privileged: allContainersOf(pod).some(({ securityContext }) => securityContext?.privileged === true),
        supplementalGroups: supplementalGroups(pod, []),
        seccomp: { profileType: 'RuntimeDefault' },
        ...(security?.runAsUser === undefined ? {} : { runAsUser: { value: security.runAsUser } }),
        ...(security?.runAsGroup === undefined ? {} : { runAsGroup: { value: security.runAsGroup } }),
      },
    },
  };
}

function supplementalGroups(pod: Pod, extra: readonly number[]): number[] {
  const { fsGroup, supplementalGroups: groups = [] } = pod.spec.securityContext ?? {};
  return [...(fsGroup === undefined ? [] : [fsGroup]), ...groups, ...extra];
}

export interface ContainerInputs {
  readonly pod: Pod;
  readonly container: Container;
  readonly restartCount: number;
  readonly environment: ReadonlyMap<string, string>;
  readonly mounts: readonly Sent<Mount>[];
  readonly imageRef: string;
  /** Bytes; for the OOM score of burstable pods. */
  readonly memoryCapacity: number;
  readonly cpuPeriodUs: number;
  /** Container whose processes an ephemeral container shares. */
  readonly targetId?: string;
}

/** Hidden from containers that are neither privileged nor ask for procMount Unmasked. Source: util/defaults in the runtimes and pkg/securitycontext. */
const MASKED_PATHS: readonly string[] = ['/proc/asound', '/proc/acpi', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'];
const READONLY_PATHS: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function containerConfig(inputs: ContainerInputs): Sent<ContainerConfig> {
  const { pod, container, restartCount, environment, mounts } = inputs;
  const resolve = (name: string): string | undefined => environment.get(name);
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: { image: inputs.imageRef, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map((text) => expand(text, resolve)),
    args: (container.args ?? []).map((text) => expand(text, resolve)),
    workingDir: container.workingDir ?? '',
    envs: [...environment].map(([key, value]) => ({ key, value: Buffer.from(value) })),
    mounts,
    labels: { ...podLabels(pod), [LABEL.containerName]: container.name },
    annotations: annotationsOf(pod, container, restartCount),
    logPath: `${container.name}/${restartCount}.log`,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    stopSignal: (container.lifecycle?.stopSignal ?? 'RUNTIME_DEFAULT') as Signal,
    linux: {
      resources: linuxResources(inputs),
      securityContext: securityContext(pod, container, inputs.targetId),
    },
  };
}

function annotationsOf(pod: Pod, container: Container, restartCount: number): Record<string, string> {
  const annotations: Record<string, string> = {
    [ANNOTATION.hash]: containerHash(container),
    [ANNOTATION.restartCount]: String(restartCount),
    [ANNOTATION.terminationMessagePath]: container.terminationMessagePath ?? DEFAULT_TERMINATION_PATH,
    [ANNOTATION.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
  };
  if (pod.spec.terminationGracePeriodSeconds !== undefined) annotations[ANNOTATION.podGracePeriod] = String(pod.spec.terminationGracePeriodSeconds);
  if (pod.metadata.deletionGracePeriodSeconds !== undefined) annotations[ANNOTATION.podDeletionGracePeriod] = String(pod.metadata.deletionGracePeriodSeconds);
  if (container.lifecycle?.preStop) annotations[ANNOTATION.preStopHandler] = JSON.stringify(container.lifecycle.preStop);
  if (container.ports && container.ports.length > 0) annotations[ANNOTATION.ports] = JSON.stringify(container.ports);
  return annotations;
}

function linuxResources({ pod, container, memoryCapacity, cpuPeriodUs }: ContainerInputs): { [name: string]: number } {
  const { limits, requests } = container.resources ?? {};
  const cpuLimit = milliValue(limits?.['cpu']);
  const cpuRequest = requests?.['cpu'] === undefined ? cpuLimit : milliValue(requests['cpu']);
  const quota = cpuQuota(cpuLimit, cpuPeriodUs);
  return {
    cpuShares: cpuShares(cpuRequest),
    ...(quota > 0 ? { cpuQuota: quota, cpuPeriod: cpuPeriodUs } : {}),
    memoryLimitInBytes: integerValue(limits?.['memory']),
    oomScoreAdj: oomScoreAdjust(pod, container, memoryCapacity),
  };
}

const profileOf = ({ type, localhostProfile = '' }: SeccompProfile): Sent<SecurityProfile> => ({ profileType: type as SecurityProfile['profileType'], localhostRef: localhostProfile });

function securityContext(pod: Pod, container: Container, targetId: string | undefined): Sent<LinuxContainerSecurityContext> {
  const [ofPod, own] = [pod.spec.securityContext ?? {}, container.securityContext ?? {}];
  const [user, group] = [own.runAsUser ?? ofPod.runAsUser, own.runAsGroup ?? ofPod.runAsGroup];
  const privileged = own.privileged === true;
  const seccomp = privileged ? undefined : (own.seccompProfile ?? ofPod.seccompProfile);
  const masks = !privileged && own.procMount !== 'Unmasked';
  return {
    privileged,
    namespaceOptions: namespaces(pod, targetId),
    capabilities: { addCapabilities: own.capabilities?.add ?? [], dropCapabilities: own.capabilities?.drop ?? [] },
    ...(user === undefined ? {} : { runAsUser: { value: user } }),
    ...(group === undefined ? {} : { runAsGroup: { value: group } }),
    readonlyRootfs: own.readOnlyRootFilesystem === true,
    supplementalGroups: supplementalGroups(pod, []),
    supplementalGroupsPolicy: ofPod.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    noNewPrivs: own.allowPrivilegeEscalation === false,
    maskedPaths: masks ? MASKED_PATHS : [],
    readonlyPaths: masks ? READONLY_PATHS : [],
    seccomp: seccomp ? profileOf(seccomp) : { profileType: 'Unconfined' },
  };
}
