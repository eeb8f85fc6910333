// The Node object as its kubelet keeps it: labels, capacity, conditions. Source: pkg/kubelet/nodestatus/setters.go.
import type { Node, NodeCondition, NodeStatus, Taint } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';
import { formatTime } from '#lib/machinery/time.ts';

export type Pressure = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure';

export interface MachineFacts {
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly storageBytes: number;
  readonly swapBytes: number;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly kernelVersion: string;
  readonly osImage: string;
  readonly architecture: string;
}

export interface CapacitySettings {
  readonly maxPods: number;
  /** Quantities to report instead of the machine's; empty: none. */
  readonly cpu: string;
  readonly memory: string;
  readonly kubeReserved: Readonly<Record<string, string>>;
  readonly systemReserved: Readonly<Record<string, string>>;
  readonly evictionHard: Readonly<Record<string, string>>;
}

/** `100Mi` or `10%` of a capacity. */
export function thresholdOf(value: string | undefined, capacity: number): number {
  if (value === undefined) return 0;
  return value.endsWith('%') ? Math.floor((capacity * Number(value.slice(0, -1))) / 100) : integerValue(value);
}

export function capacities(facts: MachineFacts, settings: CapacitySettings): { readonly capacity: Record<string, string>; readonly allocatable: Record<string, string> } {
  const milliCpu = settings.cpu === '' ? facts.cpuCount * 1000 : milliValue(settings.cpu);
  const memory = settings.memory === '' ? facts.memoryBytes : integerValue(settings.memory);
  const cpuText = (milli: number): string => (milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`);
  const reserved = (name: string): string[] => [settings.kubeReserved[name], settings.systemReserved[name]].filter((quantity) => quantity !== undefined);
  const less = (amount: number, name: string, threshold: number): number => Math.max(0, amount - reserved(name).reduce((sum, quantity) => sum + integerValue(quantity), 0) - threshold);
  const allocatableCpu = Math.max(0, milliCpu - reserved('cpu').reduce((sum, quantity) => sum + milliValue(quantity), 0));
  return {
    capacity: { cpu: cpuText(milliCpu), 'ephemeral-storage': `${Math.floor(facts.storageBytes / 1024)}Ki`, 'hugepages-1Gi': '0', 'hugepages-2Mi': '0', memory: `${Math.floor(memory / 1024)}Ki`, pods: String(settings.maxPods) },
    allocatable: {
      cpu: cpuText(allocatableCpu),
      'ephemeral-storage': String(less(facts.storageBytes, 'ephemeral-storage', thresholdOf(settings.evictionHard['nodefs.available'], facts.storageBytes))),
      'hugepages-1Gi': '0', 'hugepages-2Mi': '0',
      memory: `${Math.floor(less(memory, 'memory', thresholdOf(settings.evictionHard['memory.available'], memory)) / 1024)}Ki`,
      pods: String(settings.maxPods),
    },
  };
}

const PRESSURE_TEXTS: Readonly<Record<Pressure, { readonly no: readonly [string, string]; readonly yes: readonly [string, string] }>> = {
  MemoryPressure: { no: ['KubeletHasSufficientMemory', 'kubelet has sufficient memory available'], yes: ['KubeletHasInsufficientMemory', 'kubelet has insufficient memory available'] },
  DiskPressure: { no: ['KubeletHasNoDiskPressure', 'kubelet has no disk pressure'], yes: ['KubeletHasDiskPressure', 'kubelet has disk pressure'] },
  PIDPressure: { no: ['KubeletHasSufficientPID', 'kubelet has sufficient PID available'], yes: ['KubeletHasInsufficientPID', 'kubelet has insufficient PID available'] },
};
const PRESSURE_EVENTS: Readonly<Record<Pressure, { readonly no: string; readonly yes: string }>> = {
  MemoryPressure: { no: 'NodeHasSufficientMemory', yes: 'NodeHasInsufficientMemory' },
  DiskPressure: { no: 'NodeHasNoDiskPressure', yes: 'NodeHasDiskPressure' },
  PIDPressure: { no: 'NodeHasSufficientPID', yes: 'NodeHasInsufficientPID' },
};
export const PRESSURES: readonly Pressure[] = ['MemoryPressure', 'DiskPressure', 'PIDPressure'];

export interface ConditionInputs {
  readonly previous: readonly NodeCondition[];
  readonly pressures: ReadonlySet<Pressure>;
  /** Why the node is not ready; empty: it is. */
  readonly problems: readonly string[];
  readonly nowMs: number;
}

export interface ConditionResult {
  readonly conditions: NodeCondition[];
  /** Reasons of events to send: what changed since `previous`. */
  readonly events: readonly string[];
}

/** Several errors as Go's aggregate prints them. */
const aggregate = (problems: readonly string[]): string => (problems.length === 1 ? problems[0] ?? '' : `[${problems.join(', ')}]`);

export function nodeConditions({ previous, pressures, problems, nowMs }: ConditionInputs): ConditionResult {
  const events: string[] = [];
  const now = formatTime(nowMs);
  const make = (type: string, status: 'True' | 'False', [reason, message]: readonly [string, string]): NodeCondition => {
    const before = previous.find((condition) => condition.type === type);
    return { type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime: before?.status === status ? before.lastTransitionTime ?? now : now };
  };
  const own = PRESSURES.map((type) => {
    const holds = pressures.has(type);
    if (previous.find((condition) => condition.type === type)?.status !== (holds ? 'True' : 'False')) events.push(PRESSURE_EVENTS[type][holds ? 'yes' : 'no']);
    return make(type, holds ? 'True' : 'False', PRESSURE_TEXTS[type][holds ? 'yes' : 'no']);
  });
  const isReady = problems.length === 0;
  const ready = make('Ready', isReady ? 'True' : 'False', isReady ? ['KubeletReady', 'kubelet is posting ready status'] : ['KubeletNotReady', aggregate(problems)]);
  const before = previous.find(({ type }) => type === 'Ready');
  if (before && before.status !== ready.status) events.push(isReady ? 'NodeReady' : 'NodeNotReady');
  const others = previous.filter(({ type }) => type !== 'Ready' && !PRESSURES.includes(type as Pressure));
  return { conditions: [...others, ...own, ready], events };
}

/** Whether anything but heartbeats differs. */
export function statusChanged(before: NodeStatus | undefined, after: NodeStatus): boolean {
  const still = (status: NodeStatus | undefined): unknown => status && { ...status, conditions: status.conditions?.map(({ lastHeartbeatTime: _, ...rest }) => rest) };
  return !semanticEqual(still(before), still(after));
}

export interface RegistrationInputs {
  readonly name: string;
  readonly hostname: string;
  readonly architecture: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
}

export function newNode({ name, hostname, architecture, labels, taints }: RegistrationInputs): Node {
  return {
    metadata: {
      name,
      labels: ownLabels({ hostname, architecture }, labels),
      annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
    },
    spec: taints.length > 0 ? { taints: [...taints] } : {},
  };
}

const ownLabels = ({ hostname, architecture }: { readonly hostname: string; readonly architecture: string }, labels: Readonly<Record<string, string>>): Record<string, string> => ({
  'beta.kubernetes.io/arch': architecture, 'beta.kubernetes.io/os': 'linux',
  'kubernetes.io/arch': architecture, 'kubernetes.io/hostname': hostname, 'kubernetes.io/os': 'linux',
  ...labels,
});

/** Labels that a node registered before lacks or has wrong; undefined: none. Source: reconcile of default labels at start. */
export function labelCorrections(node: Node, inputs: RegistrationInputs): Record<string, string> | undefined {
  const wanted = ownLabels(inputs, {});
  const wrong = Object.entries(wanted).filter(([key, value]) => node.metadata.labels?.[key] !== value);
  return wrong.length === 0 ? undefined : Object.fromEntries(wrong);
}

/** `key=value:effect`, `key:effect`; throws for anything else. */
export function parseTaint(text: string): Taint {
  const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text);
  if (!match?.[1]) throw new Error(`invalid taint spec: ${text}`);
  return { key: match[1], effect: match[3] ?? '', ...(match[2] === undefined || match[2] === '' ? {} : { value: match[2] }) };
}
