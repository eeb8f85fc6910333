// Whether this node can take a pod that was given to it. The scheduler has looked before, but static pods bypass it,
// and the node may have changed since. Source: pkg/kubelet/lifecycle/predicate.go.
import type { Node, Pod, Taint, Toleration } from '#lib/kinds/types/core-v1.ts';
import { podAllowsNode } from '#lib/machinery/selectors.ts';
import { isCriticalPod, isStaticPod, isTerminalPhase, uidOf, usesHostNetwork } from './pod-spec.ts';
import { preemptionVictims } from './preemption.ts';
import { amountOf, podRequests, qosClassOf } from './resources.ts';

export interface Refusal {
  readonly reason: string;
  readonly message: string;
  /** Pods that have to end so that this one, a critical one, can stay all the same. */
  readonly victims?: readonly Pod[];
}

export interface AdmissionInputs {
  readonly pod: Pod;
  readonly node: Node;
  /** Pods of this node that run or are about to. */
  readonly others: readonly Pod[];
  /** Of MemoryPressure, DiskPressure, PIDPressure those that hold. */
  readonly pressures: readonly string[];
}

export function admit({ pod, node, others, pressures }: AdmissionInputs): Refusal | undefined {
  const active = others.filter((other) => uidOf(other) !== uidOf(pod) && !isTerminalPhase(other.status?.phase));
  return refusalUnderPressure(pod, pressures) ?? lacking(pod, node, active) ?? misplaced(pod, node, active);
}

const MEMORY_PRESSURE_TAINT: Taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' };

function refusalUnderPressure(pod: Pod, pressures: readonly string[]): Refusal | undefined {
  if (pressures.length === 0 || isCriticalPod(pod)) return undefined;
  const onlyMemory = pressures.length === 1 && pressures[0] === 'MemoryPressure';
  if (onlyMemory && (qosClassOf(pod) !== 'BestEffort' || tolerates(pod.spec.tolerations, MEMORY_PRESSURE_TAINT))) return undefined;
  return { reason: 'Evicted', message: `The node had condition: [${pressures.join(', ')}]. ` };
}

function lacking(pod: Pod, node: Node, others: readonly Pod[]): Refusal | undefined {
  const allocatable = node.status?.allocatable ?? {};
  const missing: Record<string, number> = {};
  let first: Refusal | undefined;
  const refuse = (resource: string, requested: number, used: number, capacity: number): void => {
    missing[resource] = requested + used - capacity;
    first ??= { reason: `OutOf${resource}`, message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}` };
  };
  const maxPods = amountOf('pods', allocatable['pods']);
  if (allocatable['pods'] !== undefined && others.length + 1 > maxPods) refuse('pods', 1, others.length, maxPods);
  const used: Record<string, number> = {};
  for (const other of others) for (const [name, amount] of Object.entries(podRequests(other))) used[name] = (used[name] ?? 0) + amount;
  const requests = podRequests(pod);
  for (const name of ['cpu', 'memory', 'ephemeral-storage', ...Object.keys(requests).filter((one) => one.includes('/'))]) {
    const requested = requests[name] ?? 0;
    const capacity = amountOf(name, allocatable[name]);
    if (requested > 0 && allocatable[name] !== undefined && requested + (used[name] ?? 0) > capacity) refuse(name, requested, used[name] ?? 0, capacity);
  }
  if (!first || !isCriticalPod(pod)) return first;
  const victims = preemptionVictims(pod, others, missing);
  if (!victims) return { reason: 'UnexpectedAdmissionError', message: `Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: [${Object.entries(missing).map(([name, amount]) => `(res: ${name}, q: ${amount}), `).join('')}]` };
  return { ...first, victims };
}

function misplaced(pod: Pod, node: Node, others: readonly Pod[]): Refusal | undefined {
  const failed = (name: string, text: string): Refusal => ({ reason: name, message: `Predicate ${name} failed: ${text}` });
  if (!podAllowsNode(pod, node)) return failed('NodeAffinity', "node(s) didn't match Pod's node affinity/selector");
  if (pod.spec.nodeName !== undefined && pod.spec.nodeName !== '' && pod.spec.nodeName !== node.metadata.name) return failed('NodeName', "node(s) didn't match the requested node name");
  const taken = new Set(others.flatMap(hostPortsOf));
  if (hostPortsOf(pod).some((port) => taken.has(port))) return failed('NodePorts', "node(s) didn't have free ports for the requested pod ports");
  const untolerated = isStaticPod(pod) ? undefined : (node.spec.taints ?? []).find((taint) => taint.effect === 'NoExecute' && !tolerates(pod.spec.tolerations, taint));
  if (untolerated) return failed('TaintToleration', 'node(s) had taints that the pod didn\'t tolerate');
  if (pod.spec.os?.name !== undefined && pod.spec.os.name !== 'linux') return { reason: 'PodOSNotSupported', message: 'Failed to admit pod as the OS field doesn\'t match node OS' };
  return undefined;
}

function hostPortsOf(pod: Pod): string[] {
  return pod.spec.containers.flatMap(({ ports = [] }) => ports.flatMap(({ hostPort, containerPort, protocol = 'TCP', hostIP = '' }) => {
    const port = hostPort ?? (usesHostNetwork(pod) ? containerPort : 0);
    return port > 0 ? [`${protocol}/${hostIP === '' ? '0.0.0.0' : hostIP}/${port}`] : [];
  }));
}

function tolerates(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some(({ key = '', operator = 'Equal', value = '', effect = '' }) =>
    (effect === '' || effect === taint.effect) && (key === '' ? operator === 'Exists' : key === taint.key) && (operator === 'Exists' || value === (taint.value ?? '')));
}
