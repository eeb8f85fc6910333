// What `kubectl get pods` shows. Source: pkg/printers/internalversion/printers.go (printPod).
import { ageOf } from '#lib/machinery/human-duration.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { ageColumn, nameColumn, NONE, orNone, textColumn } from '../columns.ts';
import type { Column, RowCondition } from '../define-kind.ts';
import type { ContainerStateTerminated, ContainerStatus, Pod } from '../types/core-v1.ts';

interface PodSummary {
  readonly ready: number;
  readonly total: number;
  readonly reason: string;
  readonly restarts: number;
  /** When a container last ended before a restart. */
  readonly lastRestart: string | undefined;
}

const hasCondition = (pod: Readonly<Pod>, type: string): boolean =>
  pod.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

function exitText({ signal, exitCode }: ContainerStateTerminated): string {
  return signal ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}

/** Adds up restarts, and remembers the latest. */
class Restarts {
  count = 0;
  last: string | undefined;
  add({ restartCount, lastState }: ContainerStatus): void {
    this.count += restartCount ?? 0;
    const finishedAt = lastState?.terminated?.finishedAt;
    if (finishedAt !== undefined && (this.last === undefined || (parseTimeOrUndefined(finishedAt) ?? 0) > (parseTimeOrUndefined(this.last) ?? 0))) this.last = finishedAt;
  }
}

interface InitSummary {
  readonly all: Restarts;
  readonly sidecars: Restarts;
  readonly readySidecars: number;
  /** Why initialization is not over; undefined when it is. */
  readonly pending: string | undefined;
}

function pendingReason({ state }: ContainerStatus, index: number, total: number): string {
  if (state?.terminated !== undefined) return `Init:${state.terminated.reason || exitText(state.terminated)}`;
  const waiting = state?.waiting?.reason;
  return waiting && waiting !== 'PodInitializing' ? `Init:${waiting}` : `Init:${index}/${total}`;
}

function summarizeInit(pod: Readonly<Pod>, sidecarNames: ReadonlySet<string>): InitSummary {
  const [all, sidecars] = [new Restarts(), new Restarts()];
  let readySidecars = 0;
  for (const [index, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    all.add(status);
    const isSidecar = sidecarNames.has(status.name);
    if (isSidecar) sidecars.add(status);
    if (status.state?.terminated?.exitCode === 0) continue;
    if (isSidecar && status.started === true) {
      if (status.ready) readySidecars += 1;
      continue;
    }
    return { all, sidecars, readySidecars, pending: pendingReason(status, index, pod.spec.initContainers?.length ?? 0) };
  }
  return { all, sidecars, readySidecars, pending: undefined };
}

function summarize(pod: Readonly<Pod>): PodSummary {
  const sidecarNames = new Set((pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always').map(({ name }) => name));
  const total = (pod.spec.containers ?? []).length + sidecarNames.size;
  let reason = pod.status?.reason || (pod.status?.phase ?? '');
  if (pod.status?.conditions?.some((one) => one.type === 'PodScheduled' && one.reason === 'SchedulingGated')) reason = 'SchedulingGated';

  const init = summarizeInit(pod, sidecarNames);
  let ready = init.readySidecars;
  let restarts = init.all;
  if (init.pending !== undefined) reason = init.pending;
  if (init.pending === undefined || hasCondition(pod, 'Initialized')) {
    restarts = init.sidecars;
    let hasRunning = false;
    let errorReason = '';
    // From last to first, so that the first container has the last word.
    for (const status of [...(pod.status?.containerStatuses ?? [])].reverse()) {
      restarts.add(status);
      const { waiting, terminated, running } = status.state ?? {};
      if (waiting?.reason) {
        reason = waiting.reason;
      } else if (terminated !== undefined) {
        reason = terminated.reason || exitText(terminated);
        if (terminated.exitCode !== 0) errorReason = reason;
      } else if (status.ready && running !== undefined) {
        hasRunning = true;
        ready += 1;
      }
    }
    if (reason === 'Completed') {
      if (hasRunning && hasCondition(pod, 'Ready')) reason = 'Running';
      else if (errorReason !== '') reason = errorReason;
      else if (hasRunning) reason = 'NotReady';
    }
  }
  const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (pod.status?.reason === 'NodeLost') reason = 'Unknown';
    else if (!isOver) reason = 'Terminating';
  }
  return { ready, total, reason, restarts: restarts.count, lastRestart: restarts.last };
}

function readyText(pod: Readonly<Pod>): string {
  const { ready, total } = summarize(pod);
  return `${ready}/${total}`;
}

function restartsText(pod: Readonly<Pod>, nowMs: number): string {
  const { restarts, lastRestart } = summarize(pod);
  return restarts !== 0 && lastRestart !== undefined ? `${restarts} (${ageOf(lastRestart, nowMs)} ago)` : `${restarts}`;
}

function readinessGatesText(pod: Readonly<Pod>): string {
  const gates = pod.spec.readinessGates ?? [];
  return gates.length === 0 ? NONE : `${gates.filter(({ conditionType }) => hasCondition(pod, conditionType)).length}/${gates.length}`;
}

export const podColumns: readonly Column<Pod>[] = [
  nameColumn(),
  textColumn('Ready', readyText),
  textColumn('Status', (pod) => summarize(pod).reason),
  textColumn('Restarts', restartsText),
  ageColumn(),
  textColumn('IP', (pod) => orNone(pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP), 1),
  textColumn('Node', (pod) => orNone(pod.spec.nodeName), 1),
  textColumn('Nominated Node', (pod) => orNone(pod.status?.nominatedNodeName), 1),
  textColumn('Readiness Gates', readinessGatesText, 1),
];

export function podRowConditions(pod: Readonly<Pod>): readonly RowCondition[] {
  const phase = pod.status?.phase;
  return phase === 'Succeeded' || phase === 'Failed' ? [{ type: 'Completed', status: 'True', reason: phase }] : [];
}
