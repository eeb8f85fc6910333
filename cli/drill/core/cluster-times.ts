// Times of a cluster that drills count with, as the cluster itself tells them; upstream's defaults where it says nothing.

interface Source {
  readonly name: string;
  /** The static pod and its flag, or the field of the kubelet's configuration. */
  readonly flag?: readonly [pod: string, flag: string];
  readonly kubelet?: (configuration: KubeletConfiguration) => string | number | undefined;
  /** Milliseconds. Source: Kubernetes 1.36. */
  readonly upstreamMs: number;
}
export interface KubeletConfiguration {
  readonly nodeLeaseDurationSeconds?: number;
  readonly nodeStatusUpdateFrequency?: string;
  readonly evictionPressureTransitionPeriod?: string;
  readonly crashLoopBackOff?: { readonly maxContainerRestartPeriod?: string };
}

const managerFlag = (name: string, upstreamMs: number): Source => ({ name, flag: ['kube-controller-manager', name], upstreamMs });
const SOURCES: readonly Source[] = [
  managerFlag('node-monitor-period', 5_000),
  managerFlag('node-monitor-grace-period', 50_000),
  managerFlag('leader-elect-lease-duration', 15_000),
  managerFlag('leader-elect-renew-deadline', 10_000),
  managerFlag('leader-elect-retry-period', 2_000),
  { name: 'not-ready-toleration', flag: ['kube-apiserver', 'default-not-ready-toleration-seconds'], upstreamMs: 300_000 },
  { name: 'unreachable-toleration', flag: ['kube-apiserver', 'default-unreachable-toleration-seconds'], upstreamMs: 300_000 },
  { name: 'node-lease-duration', kubelet: ({ nodeLeaseDurationSeconds }) => nodeLeaseDurationSeconds, upstreamMs: 40_000 },
  { name: 'node-status-update-frequency', kubelet: ({ nodeStatusUpdateFrequency }) => nodeStatusUpdateFrequency, upstreamMs: 10_000 },
  { name: 'eviction-pressure-transition-period', kubelet: ({ evictionPressureTransitionPeriod }) => evictionPressureTransitionPeriod, upstreamMs: 300_000 },
  { name: 'max-container-restart-period', kubelet: ({ crashLoopBackOff }) => crashLoopBackOff?.maxContainerRestartPeriod, upstreamMs: 300_000 },
];

export const TIME_NAMES: ReadonlySet<string> = new Set(SOURCES.map(({ name }) => name));

export interface TimeFacts {
  /** Static pod to its command line. */
  readonly commands: ReadonlyMap<string, readonly string[]>;
  readonly kubelet: KubeletConfiguration;
}

export function clusterTimes({ commands, kubelet }: TimeFacts): Map<string, number> {
  return new Map(SOURCES.map(({ name, flag, kubelet: field, upstreamMs }) => {
    const text = flag ? commands.get(flag[0])?.find((word) => word.startsWith(`--${flag[1]}=`))?.slice(flag[1].length + 3) : field?.(kubelet);
    return [name, text === undefined ? upstreamMs : goDurationMs(String(text)) ?? upstreamMs];
  }));
}

/** Whether the cluster was made with --fast-failure-detection, or with flags as fast. */
export const isFast = (times: ReadonlyMap<string, number>): boolean => (times.get('node-monitor-grace-period') ?? 0) < 25_000;

/** A Go duration, or whole seconds; undefined: neither. */
function goDurationMs(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) total += Number(amount) * ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit ?? ''] ?? 0);
  return total;
}
