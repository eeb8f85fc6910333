// One probe of one container: which results count, and when the verdict changes. Source: pkg/kubelet/prober/worker.go.
import type { Container, Pod, Probe } from '#lib/kinds/types/core-v1.ts';
import type { ProbeType, ProbeVerdict } from './compute-actions.ts';

export interface ProbeState {
  readonly containerId: string;
  readonly verdict: ProbeVerdict;
  readonly lastResult: 'success' | 'failure' | undefined;
  /** How often in a row `lastResult` came. */
  readonly run: number;
  /** A container found dead is not probed again: its successor is. */
  readonly onHold: boolean;
}

const INITIAL: Readonly<Record<ProbeType, ProbeVerdict>> = { liveness: 'success', readiness: 'failure', startup: 'unknown' };

export const initialProbeState = (type: ProbeType, containerId: string, kept?: ProbeVerdict): ProbeState =>
  ({ containerId, verdict: kept ?? INITIAL[type], lastResult: undefined, run: 0, onHold: false });

export interface ProbeSituation {
  readonly type: ProbeType;
  readonly probe: Probe;
  readonly isRunning: boolean;
  /** Whole seconds since the container started. */
  readonly runningSeconds: number;
  /** The startup probe, if any, has passed. */
  readonly isStarted: boolean;
  readonly isTerminating: boolean;
}

/** Whether to run the probe now. */
export function shouldProbe(state: ProbeState, { type, probe, isRunning, runningSeconds, isStarted, isTerminating }: ProbeSituation): boolean {
  if (state.onHold || !isRunning) return false;
  if (isTerminating && type !== 'readiness') return false;
  if (runningSeconds < (probe.initialDelaySeconds ?? 0)) return false;
  return type === 'startup' ? !isStarted : isStarted;
}

/** The state after a run. */
export function afterProbe(state: ProbeState, result: 'success' | 'failure', type: ProbeType, probe: Probe): ProbeState {
  const run = state.lastResult === result ? state.run + 1 : 1;
  const threshold = result === 'failure' ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1);
  const next: ProbeState = { ...state, lastResult: result, run };
  if (run < threshold) return next;
  const isDead = result === 'failure' && type !== 'readiness';
  return { ...next, verdict: result, ...(isDead ? { onHold: true, run: 0 } : {}) };
}

export const probeOf = (container: Container, type: ProbeType): Probe | undefined =>
  (type === 'liveness' ? container.livenessProbe : type === 'readiness' ? container.readinessProbe : container.startupProbe);

/** Number of a port that may be given by name; undefined: no container port has that name. */
export function portNumber(port: number | string, container: Container): number | undefined {
  if (typeof port === 'number') return port;
  if (/^\d+$/.test(port)) return Number(port);
  return container.ports?.find(({ name }) => name === port)?.containerPort;
}

/** Grace for a container that a probe found dead. */
export function probeGraceSeconds(pod: Pod, container: Container, type: 'liveness' | 'startup'): number | undefined {
  return probeOf(container, type)?.terminationGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds;
}
