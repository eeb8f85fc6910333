// When no node takes a pod: whether ending pods of lower priority would help, where, and which.
// Source: pkg/scheduler/framework/preemption and plugins/defaultpreemption, Kubernetes 1.36.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { fitErrorText } from './fit-error.ts';
import { fits, unresolvable, unschedulable, type ClusterView, type FilterOutcome, type Plugin, type Rejection } from './framework.ts';
import type { NodeInfo } from './node-info.ts';
import { priorityOf } from './scheduling-queue.ts';

export type Preemption =
  | { readonly kind: 'preempt'; readonly nodeName: string; readonly victims: readonly Pod[] }
  /** `message` goes behind the reasons of the nodes. `isHopeless`: an earlier nomination is void. */
  | { readonly kind: 'impossible'; readonly message: string; readonly isHopeless: boolean };

export interface PreemptionContext {
  readonly plugins: readonly Plugin[];
  readonly cluster: ClusterView;
  readonly budgets: readonly PodDisruptionBudget[];
}

interface Candidate {
  readonly nodeName: string;
  readonly victims: readonly Pod[];
  readonly violations: number;
}

/** One that has not started counts as started now. */
const startOf = (pod: Pod | undefined): string => pod?.status?.startTime ?? '9999';

/** More important first: higher priority, then running for longer. */
function byImportance(left: Pod, right: Pod): number {
  return priorityOf(right) - priorityOf(left) || startOf(left).localeCompare(startOf(right));
}

export function planPreemption(pod: Pod, outcome: FilterOutcome, context: PreemptionContext): Preemption {
  if (pod.spec.preemptionPolicy === 'Never') return impossible('not eligible due to preemptionPolicy=Never.', false);
  const { nodes } = context.cluster;
  const nominated = nodes.find(({ name }) => name === pod.status?.nominatedNodeName);
  const isStillThinkable = nominated && outcome.rejections.get(nominated.name)?.code !== 'unresolvable';
  if (isStillThinkable && nominated.pods.some((other) => other.metadata.deletionTimestamp !== undefined && priorityOf(other) < priorityOf(pod) && isPreempted(other))) {
    return impossible('not eligible due to a terminating pod on the nominated node.', false);
  }
  const rejections = new Map<string, Rejection>();
  const candidates: Candidate[] = [];
  for (const info of nodes) {
    if (outcome.rejections.get(info.name)?.code !== 'unschedulable') {
      rejections.set(info.name, unresolvable('DefaultPreemption', 'Preemption is not helpful for scheduling'));
      continue;
    }
    const candidate = victimsOn(pod, info, context);
    if (candidate) candidates.push(candidate);
    else rejections.set(info.name, unschedulable('DefaultPreemption', 'No preemption victims found for incoming pod'));
  }
  const best = candidates.sort(byPreference)[0];
  return best ? { kind: 'preempt', nodeName: best.nodeName, victims: best.victims } : impossible(fitErrorText(nodes.length, { rejections }), true);
}

const impossible = (message: string, isHopeless: boolean): Preemption => ({ kind: 'impossible', message: `preemption: ${message}`, isHopeless });

const isPreempted = ({ status }: Pod): boolean => status?.conditions?.some(({ type, reason }) => type === 'DisruptionTarget' && reason === 'PreemptionByScheduler') ?? false;

/** All pods of lower priority are taken away; if the pod fits then, as many as possible are put back. */
function victimsOn(pod: Pod, info: NodeInfo, { plugins, cluster, budgets }: PreemptionContext): Candidate | undefined {
  const trial = info.copy();
  const lower = info.pods.filter((other) => priorityOf(other) < priorityOf(pod)).sort(byImportance);
  if (lower.length === 0) return undefined;
  for (const other of lower) trial.removePod(other.metadata.uid ?? '');
  if (!fits(plugins, pod, trial, cluster)) return undefined;
  const { violating, allowed } = splitByBudgets(lower, budgets);
  const victims: Pod[] = [];
  let violations = 0;
  const putBackOrTake = (other: Pod): boolean => {
    trial.addPod(other);
    if (fits(plugins, pod, trial, cluster)) return false;
    trial.removePod(other.metadata.uid ?? '');
    victims.push(other);
    return true;
  };
  for (const other of violating) if (putBackOrTake(other)) violations += 1;
  for (const other of allowed) putBackOrTake(other);
  return { nodeName: info.name, victims: victims.sort(byImportance), violations };
}

function splitByBudgets(pods: readonly Pod[], budgets: readonly PodDisruptionBudget[]): { violating: Pod[]; allowed: Pod[] } {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const violating: Pod[] = [];
  const allowed: Pod[] = [];
  for (const pod of pods) {
    const covering = budgets.filter(({ metadata, spec }) => metadata.namespace === pod.metadata.namespace && labelSelector(spec.selector).matches(pod.metadata.labels ?? {}));
    let isViolating = false;
    for (const budget of covering) {
      const remaining = (left.get(budget) ?? 0) - 1;
      left.set(budget, remaining);
      isViolating ||= remaining < 0;
    }
    (isViolating ? violating : allowed).push(pod);
  }
  return { violating, allowed };
}

/** Fewest budget violations; lowest highest priority; smallest sum; fewest victims; youngest. */
function byPreference(left: Candidate, right: Candidate): number {
  const sum = ({ victims }: Candidate) => victims.reduce((total, victim) => total + priorityOf(victim) + 2 ** 31, 0);
  const highest = ({ victims: [first] }: Candidate) => (first ? priorityOf(first) : -Infinity);
  return left.violations - right.violations || highest(left) - highest(right) || sum(left) - sum(right)
    || left.victims.length - right.victims.length || startOf(right.victims[0]).localeCompare(startOf(left.victims[0]));
}
