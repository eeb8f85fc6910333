// The timings of `kubreak up --fast-failure-detection`: upstream's flags, fields and variables with smaller values, as data. What
// is not here is left at upstream's. The table in docs/failure-lab.md is made of this.

import { stringify } from 'yaml';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { DaemonSet, Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { EnvVar } from '#lib/kinds/types/core-v1.ts';

export interface Timing {
  /** Whose it is, as people call it. */
  readonly of: string;
  /** Flag, field of a configuration file, field of a pod, or variable. */
  readonly setting: string;
  /** Upstream's default, or what kubeadm writes. */
  readonly upstream: string;
  readonly fast: string;
  /** What it decides, in a few words. */
  readonly decides: string;
}

const flagsOf = (of: string, rows: readonly (readonly [name: string, upstream: string, fast: string, decides: string])[]): readonly Timing[] =>
  rows.map(([name, upstream, fast, decides]) => ({ of, setting: `--${name}`, upstream, fast, decides }));

/** About half of upstream's. With a renew deadline of 4 s leaders gave up once in ten minutes on two cores with fifty processes waiting for them. */
const LEADER_ELECTION = [
  ['leader-elect-lease-duration', '15s', '8s', 'when another instance takes over'],
  ['leader-elect-renew-deadline', '10s', '6s', 'when a leader that cannot renew gives up, and ends'],
  ['leader-elect-retry-period', '2s', '1s', 'how often it is tried'],
] as const;

/** By the name of the static pod. */
export const FAST_FLAGS: Readonly<Record<string, readonly Timing[]>> = {
  'kube-apiserver': flagsOf('kube-apiserver', [
    ['default-not-ready-toleration-seconds', '300', '10', 'how long pods stay on a node that is not ready'],
    ['default-unreachable-toleration-seconds', '300', '10', 'the same for one that is not heard of'],
  ]),
  'kube-controller-manager': flagsOf('kube-controller-manager', [
    ['node-monitor-period', '5s', '1s', 'how often the leases of nodes are looked at'],
    ['node-monitor-grace-period', '50s', '10s', 'silence after which a node is NotReady (Unknown)'],
    ['node-startup-grace-period', '1m0s', '20s', 'the same for a node that has never reported'],
    ['node-eviction-rate', '0.1', '1', 'nodes a second whose pods are evicted'],
    ...LEADER_ELECTION,
    ['horizontal-pod-autoscaler-sync-period', '15s', '5s', 'how often scaling is reconsidered'],
    ['horizontal-pod-autoscaler-downscale-stabilization', '5m0s', '20s', 'how long a high recommendation holds back scaling down'],
    ['horizontal-pod-autoscaler-cpu-initialization-period', '5m0s', '20s', 'time after start in which CPU samples may not count'],
    ['horizontal-pod-autoscaler-initial-readiness-delay', '30s', '5s', 'time after start in which unreadiness is that of a start'],
  ]),
  'kube-scheduler': flagsOf('kube-scheduler', LEADER_ELECTION),
};

/** Fields of KubeletConfiguration. nodeStatusReportFrequency stays what it is: left out, it would follow nodeStatusUpdateFrequency. */
export const FAST_KUBELET: Readonly<Record<string, unknown>> = {
  nodeStatusUpdateFrequency: '5s',
  nodeStatusReportFrequency: '5m0s',
  nodeLeaseDurationSeconds: 8,
  evictionPressureTransitionPeriod: '10s',
  crashLoopBackOff: { maxContainerRestartPeriod: '10s' },
  featureGates: { ReduceDefaultCrashLoopBackOffDecay: true },
};

/** Of the scheduler, which takes these from a file only. */
export const SCHEDULER_CONFIG_PATH = '/etc/kubernetes/scheduler-config.yaml';
const SCHEDULER_MAX_BACKOFF_SECONDS = 2;
export const fastSchedulerConfig = (): string => stringify({
  apiVersion: 'kubescheduler.config.k8s.io/v1', kind: 'KubeSchedulerConfiguration', clientConnection: { kubeconfig: '/etc/kubernetes/scheduler.conf' },
  podMaxBackoffSeconds: SCHEDULER_MAX_BACKOFF_SECONDS,
});

/** When a connection to the API server on which nothing comes is asked whether it lives, and how long the answer may take; seconds. */
const READ_IDLE_SECONDS = '5';
const PING_SECONDS = '10';
export const FAST_VARIABLES: Readonly<Record<string, string>> = { HTTP2_READ_IDLE_TIMEOUT_SECONDS: READ_IDLE_SECONDS, HTTP2_PING_TIMEOUT_SECONDS: PING_SECONDS };

/**
 * Of static pods and addons. Six answers in a row that take longer than 5 s: with five of 3 s each the kubelet killed API servers that
 * were only slow, on two cores with forty processes waiting for them.
 */
export const FAST_LIVENESS = { periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 6 } as const;
/** Who does not answer does not hear that it should end, either; pods have 30 s for that. */
export const FAST_STATIC_POD_LIVENESS = { ...FAST_LIVENESS, terminationGracePeriodSeconds: 10 } as const;
export const FAST_READINESS = { periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 3 } as const;
/** Of static pods: Ready is who was found to have started. As long as upstream's in all, so that who only starts slowly is not killed. */
export const FAST_STARTUP = { initialDelaySeconds: 1, periodSeconds: 2, failureThreshold: 125 } as const;
const FAST_ADDON_READINESS = { ...FAST_READINESS, periodSeconds: 2 } as const;

/** Seconds after which the host starts its services again; kubeadm's and containerd's systemd units say 10 and 5. */
export const FAST_RESTART_SECONDS = { kubelet: 2, containerd: 1 } as const;

const row = (of: string, setting: string, upstream: string, fast: string, decides: string): Timing => ({ of, setting, upstream, fast, decides });

/** All of them, for people. */
export const FAST_TIMINGS: readonly Timing[] = [
  ...Object.values(FAST_FLAGS).flat(),
  row('kubelet', 'nodeLeaseDurationSeconds', '40', String(FAST_KUBELET['nodeLeaseDurationSeconds']), 'the node\'s lease; it is renewed four times in that time: every 10 s, every 2 s'),
  row('kubelet', 'nodeStatusUpdateFrequency', '10s', String(FAST_KUBELET['nodeStatusUpdateFrequency']), 'how often the node is looked at; longest wait for an answer to a renewal'),
  row('kubelet', 'evictionPressureTransitionPeriod', '5m0s', String(FAST_KUBELET['evictionPressureTransitionPeriod']), 'how long a pressure must be gone before its condition goes'),
  row('kubelet', 'featureGates.ReduceDefaultCrashLoopBackOffDecay', 'false', 'true', 'first wait of CrashLoopBackOff: 10 s, 1 s'),
  row('kubelet', 'crashLoopBackOff.maxContainerRestartPeriod', '5m0s', '10s', 'longest wait of CrashLoopBackOff'),
  row('kube-scheduler', 'podMaxBackoffSeconds', '10', String(SCHEDULER_MAX_BACKOFF_SECONDS), 'longest wait between two tries to place a pod'),
  row('all clients', 'HTTP2_READ_IDLE_TIMEOUT_SECONDS', '30', READ_IDLE_SECONDS, 'when a silent connection to the API server is asked whether it lives'),
  row('all clients', 'HTTP2_PING_TIMEOUT_SECONDS', '15', PING_SECONDS, 'how long the answer may take before it is given up'),
  row('static pods', 'livenessProbe', '10 s × 8, timeout 15 s, then 30 s to end', `${FAST_LIVENESS.periodSeconds} s × ${FAST_LIVENESS.failureThreshold}, timeout ${FAST_LIVENESS.timeoutSeconds} s, then ${FAST_STATIC_POD_LIVENESS.terminationGracePeriodSeconds} s to end`, 'when one that hangs is started again'),
  row('static pods', 'readinessProbe', '1 s × 3, timeout 15 s', `${FAST_READINESS.periodSeconds} s × ${FAST_READINESS.failureThreshold}, timeout ${FAST_READINESS.timeoutSeconds} s`, 'when it is not Ready'),
  row('static pods', 'startupProbe', 'after 10 s, 10 s × 24', `after ${FAST_STARTUP.initialDelaySeconds} s, ${FAST_STARTUP.periodSeconds} s × ${FAST_STARTUP.failureThreshold}`, 'when one that was started anew is Ready again'),
  row('addons', 'livenessProbe', '10 s × 5 or 6', `${FAST_LIVENESS.periodSeconds} s × ${FAST_LIVENESS.failureThreshold}, timeout ${FAST_LIVENESS.timeoutSeconds} s`, 'the same for calico, CoreDNS, ingress-nginx'),
  row('addons', 'readinessProbe', '10 s × 3', `${FAST_ADDON_READINESS.periodSeconds} s × ${FAST_ADDON_READINESS.failureThreshold}, timeout ${FAST_ADDON_READINESS.timeoutSeconds} s`, 'the same'),
  row('systemd', 'RestartSec of the kubelet', '10', String(FAST_RESTART_SECONDS.kubelet), 'when a killed kubelet is back'),
  row('systemd', 'RestartSec of containerd', '5', String(FAST_RESTART_SECONDS.containerd), 'when a killed runtime is back'),
];

export function fastArguments(pod: string): readonly string[] {
  const flags = (FAST_FLAGS[pod] ?? []).map(({ setting, fast }) => `${setting}=${fast}`);
  return pod === 'kube-scheduler' ? [`--config=${SCHEDULER_CONFIG_PATH}`, ...flags] : flags;
}

const variables = Object.entries(FAST_VARIABLES).map(([name, value]) => ({ name, value }));
export const fastVariables = (): EnvVar[] => variables.map((variable) => ({ ...variable }));

/** An addon's object: of a workload its containers' variables and probes. */
export function fastAddon(object: KubernetesObject): KubernetesObject {
  if (object.kind !== 'DaemonSet' && object.kind !== 'Deployment') return object;
  const workload = structuredClone(object) as KubernetesObject & (DaemonSet | Deployment);
  for (const container of workload.spec?.template?.spec?.containers ?? []) {
    container.env = [...(container.env ?? []), ...fastVariables()];
    if (container.livenessProbe) Object.assign(container.livenessProbe, FAST_LIVENESS);
    if (container.readinessProbe) Object.assign(container.readinessProbe, FAST_ADDON_READINESS);
  }
  return workload;
}
