// When a node counts as lost: neither its Lease nor its status has been renewed for the grace period, by our own clock.
// Source: tryUpdateNodeHealth in pkg/controller/nodelifecycle/node_lifecycle_controller.go.
import type { Node, NodeCondition } from '#lib/kinds/types/core-v1.ts';
import type { Lease } from '#lib/kinds/types/coordination-v1.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { createdMs } from '../../core/pod-state.ts';

export interface GracePeriods {
  readonly monitorGraceMs: number;
  /** For a node that has never posted a status. */
  readonly startupGraceMs: number;
}

export interface NodeHealth {
  /** When something new was last seen of the node; our clock, since nodes' clocks may differ. */
  readonly probeMs: number;
  readonly heartbeat: string | undefined;
  readonly hasReady: boolean;
  readonly renewTime: string | undefined;
}

export const readyCondition = (node: Readonly<Node>): NodeCondition | undefined => node.status?.conditions?.find(({ type }) => type === 'Ready');

/** What is known of a node after this look. */
export function observeHealth(node: Readonly<Node>, lease: Readonly<Lease> | undefined, known: NodeHealth | undefined, nowMs: number): NodeHealth {
  const ready = readyCondition(node);
  const heartbeat = ready?.lastHeartbeatTime;
  const renewTime = lease?.spec?.renewTime;
  const hasReady = ready !== undefined;
  if (!known) return { probeMs: hasReady ? nowMs : createdMs(node), heartbeat, hasReady, renewTime };
  const hasNewStatus = known.hasReady !== hasReady || known.heartbeat !== heartbeat;
  const hasNewLease = renewTime !== undefined && (known.renewTime === undefined || known.renewTime < renewTime);
  return { probeMs: hasNewStatus || hasNewLease ? nowMs : known.probeMs, heartbeat, hasReady, renewTime: hasNewLease ? renewTime : known.renewTime };
}

const WATCHED_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const;

export interface LookTimes {
  /** As observeHealth was given: by a clock that nobody sets. */
  readonly nowMs: number;
  /** By the wall clock: what others read. */
  readonly lostMs: number;
}

/** Conditions with Unknown for what a silent node no longer vouches for; undefined while it counts as alive. */
export function conditionsOfLostNode(node: Readonly<Node>, health: NodeHealth, { monitorGraceMs, startupGraceMs }: GracePeriods, { nowMs, lostMs }: LookTimes): NodeCondition[] | undefined {
  if (nowMs <= health.probeMs + (health.hasReady ? monitorGraceMs : startupGraceMs)) return undefined;
  const conditions = (node.status?.conditions ?? []).map((condition) => ({ ...condition }));
  let hasChanged = false;
  for (const type of WATCHED_CONDITIONS) {
    const condition = conditions.find((one) => one.type === type);
    if (condition?.status === 'Unknown') continue;
    hasChanged = true;
    if (condition) {
      Object.assign(condition, { status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.', lastTransitionTime: formatTime(lostMs) });
    } else {
      conditions.push({
        type, status: 'Unknown', reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.',
        lastHeartbeatTime: node.metadata.creationTimestamp, lastTransitionTime: formatTime(lostMs),
      });
    }
  }
  return hasChanged ? conditions : undefined;
}
