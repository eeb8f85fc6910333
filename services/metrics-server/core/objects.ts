// NodeMetrics and PodMetrics of metrics.k8s.io/v1beta1, their lists, tables and discovery.
import { addQuantities, formatQuantity, parseQuantity, type Quantity } from '#lib/machinery/quantity.ts';
import { formatTime } from '#lib/machinery/time.ts';
import type { PodUsage, Usage } from './metrics-store.ts';

export const GROUP = 'metrics.k8s.io';
export const GROUP_VERSION = `${GROUP}/v1beta1`;

export interface Named {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}
type ResourceList = Readonly<Record<string, string>>;
interface Metrics {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly timestamp: string;
  readonly window: string;
}
export interface NodeMetrics extends Metrics { readonly usage: ResourceList }
export interface PodMetrics extends Metrics { readonly containers: readonly { readonly name: string; readonly usage: ResourceList }[] }

/** As Go prints a duration: 15.02s, 1m0.5s. */
export function goDuration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${Number(((ms % 60_000) / 1000).toFixed(3))}s`;
  return minutes >= 60 ? `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

const usageList = ({ cpuNanoCores, memoryBytes }: Usage): ResourceList => ({
  cpu: formatQuantity({ nanos: BigInt(Math.round(cpuNanoCores)), format: 'DecimalSI' }),
  memory: formatQuantity({ nanos: BigInt(Math.round(memoryBytes)) * 1_000_000_000n, format: 'BinarySI' }),
});

function base(kind: string, { name, namespace, labels }: Named, { atMs, windowMs }: { readonly atMs: number; readonly windowMs: number }, nowMs: number): Metrics {
  return {
    kind, apiVersion: GROUP_VERSION,
    metadata: {
      name, ...(namespace === undefined ? {} : { namespace }), creationTimestamp: formatTime(nowMs),
      ...(labels && Object.keys(labels).length > 0 ? { labels } : {}),
    },
    timestamp: formatTime(atMs), window: goDuration(windowMs),
  };
}

export const nodeMetrics = (node: Named, usage: Usage, nowMs: number): NodeMetrics => ({ ...base('NodeMetrics', node, usage, nowMs), usage: usageList(usage) });
export const podMetrics = (pod: Named, usage: PodUsage, nowMs: number): PodMetrics =>
  ({ ...base('PodMetrics', pod, usage, nowMs), containers: usage.containers.map((container) => ({ name: container.name, usage: usageList(container.usage) })) });

export const listOf = (kind: string, items: readonly Metrics[]): unknown =>
  ({ kind, apiVersion: GROUP_VERSION, metadata: {}, items: items.map(({ kind: _, apiVersion: __, ...item }) => item) });

/** The table that `kubectl get` asks for. */
export function tableOf(items: readonly (NodeMetrics | PodMetrics)[]): unknown {
  const total = (item: NodeMetrics | PodMetrics, resource: string): string => {
    const parts = 'usage' in item ? [item.usage] : item.containers.map(({ usage }) => usage);
    const [first, ...rest] = parts.map((usage): Quantity => parseQuantity(usage[resource] ?? '0'));
    return first ? formatQuantity(rest.reduce(addQuantities, first)) : '0';
  };
  const column = (name: string, format: string, description = ''): unknown => ({ name, type: 'string', format, description, priority: 0 });
  return {
    kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata: {},
    columnDefinitions: items.length === 0 ? [] : [column('Name', 'name', 'Name of the resource'), column('cpu', 'quantity'), column('memory', 'quantity'), column('Window', 'duration')],
    rows: items.map((item) => ({
      cells: [item.metadata.name, total(item, 'cpu'), total(item, 'memory'), item.window],
      object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: item.metadata },
    })),
  };
}

const version = { groupVersion: GROUP_VERSION, version: 'v1beta1' };
const group = { name: GROUP, versions: [version], preferredVersion: version };
const verbs = ['get', 'list'];

/** Path to document. */
export const DISCOVERY: Readonly<Record<string, unknown>> = {
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [group] },
  [`/apis/${GROUP}`]: { kind: 'APIGroup', apiVersion: 'v1', ...group },
  [`/apis/${GROUP_VERSION}`]: {
    kind: 'APIResourceList', apiVersion: 'v1', groupVersion: GROUP_VERSION,
    resources: [
      { name: 'nodes', singularName: '', namespaced: false, kind: 'NodeMetrics', verbs },
      { name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs },
    ],
  },
};
