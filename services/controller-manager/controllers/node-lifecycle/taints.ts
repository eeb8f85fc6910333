// The taints and labels that a node should carry by its conditions.
// Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go.
import type { Node, Taint } from '#lib/kinds/types/core-v1.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { DISK_PRESSURE, isSameTaint, MEMORY_PRESSURE, NETWORK_UNAVAILABLE, NOT_READY, PID_PRESSURE, UNREACHABLE, UNSCHEDULABLE } from '../../core/taints.ts';

/** Condition type, status: taint. */
const TAINT_OF_CONDITION: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: { False: NOT_READY, Unknown: UNREACHABLE },
  MemoryPressure: { True: MEMORY_PRESSURE },
  DiskPressure: { True: DISK_PRESSURE },
  NetworkUnavailable: { True: NETWORK_UNAVAILABLE },
  PIDPressure: { True: PID_PRESSURE },
};
const CONDITION_TAINTS = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE, NETWORK_UNAVAILABLE, MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE]);

const taintsOf = ({ spec }: Readonly<Node>): readonly Taint[] => spec?.taints ?? [];

/** NoSchedule taints by conditions; undefined when they are right already. */
export function noScheduleTaints(node: Readonly<Node>, nowMs: number): Taint[] | undefined {
  const wanted: Taint[] = [];
  for (const { type, status } of node.status?.conditions ?? []) {
    const key = TAINT_OF_CONDITION[type]?.[status];
    if (key !== undefined) wanted.push({ key, effect: 'NoSchedule' });
  }
  if (node.spec?.unschedulable === true) wanted.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });
  return withTaints(node, wanted, ({ key, effect }) => effect === 'NoSchedule' && CONDITION_TAINTS.has(key), nowMs);
}

export type Reach = 'reachable' | 'not-ready' | 'unreachable';

/** NoExecute taints that drive pods away; undefined when they are right already. */
export function noExecuteTaints(node: Readonly<Node>, reach: Reach, nowMs: number): Taint[] | undefined {
  const wanted: Taint[] = reach === 'reachable' ? [] : [{ key: reach === 'not-ready' ? NOT_READY : UNREACHABLE, effect: 'NoExecute' }];
  return withTaints(node, wanted, ({ key, effect }) => effect === 'NoExecute' && (key === NOT_READY || key === UNREACHABLE), nowMs);
}

export const isEvicting = (node: Readonly<Node>): boolean => taintsOf(node).some(({ key, effect }) => effect === 'NoExecute' && (key === NOT_READY || key === UNREACHABLE));

/** Exchanges the taints that `isOurs` for the wanted ones; new ones say since when. */
function withTaints(node: Readonly<Node>, wanted: readonly Taint[], isOurs: (taint: Taint) => boolean, nowMs: number): Taint[] | undefined {
  const present = taintsOf(node);
  const kept = present.filter((taint) => !isOurs(taint) || wanted.some((one) => isSameTaint(one, taint)));
  const added = wanted.filter((taint) => !present.some((one) => isSameTaint(one, taint)));
  if (kept.length === present.length && added.length === 0) return undefined;
  return [...kept, ...added.map((taint) => ({ ...taint, timeAdded: formatTime(nowMs) }))];
}

/** The beta labels that follow the stable ones; undefined when they do. */
export function labelsToAdd({ metadata: { labels = {} } }: Readonly<Node>): Record<string, string> | undefined {
  const missing: Record<string, string> = {};
  for (const [primary, secondary] of [['kubernetes.io/os', 'beta.kubernetes.io/os'], ['kubernetes.io/arch', 'beta.kubernetes.io/arch']] as const) {
    const value = labels[primary];
    if (value !== undefined && labels[secondary] !== value) missing[secondary] = value;
  }
  return Object.keys(missing).length === 0 ? undefined : missing;
}
