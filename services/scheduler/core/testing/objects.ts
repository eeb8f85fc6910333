// Small literal nodes and pods for tests.
import type { Node, Pod, PodSpec } from '#lib/kinds/types/core-v1.ts';
import type { ClusterView } from '../framework.ts';
import { NodeInfo } from '../node-info.ts';

export function node(name: string, { labels = {}, taints, cpu = '2', memory = '4Gi', pods = '110', unschedulable }: {
  labels?: Record<string, string>; taints?: Node['spec']['taints']; cpu?: string; memory?: string; pods?: string; unschedulable?: boolean;
} = {}): Node {
  return {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
    spec: { taints, unschedulable },
    status: { allocatable: { cpu, memory, pods } },
  };
}

let uid = 0;
export function pod(name: string, spec: Partial<PodSpec> = {}, labels: Record<string, string> = {}): Pod {
  return { metadata: { name, namespace: 'default', uid: `uid-${(uid += 1)}`, labels }, spec: { containers: [{ name: 'c', image: 'nginx' }], schedulerName: 'default-scheduler', ...spec } };
}

export function requesting(cpu: string, memory = '0'): Partial<PodSpec> {
  return { containers: [{ name: 'c', image: 'nginx', resources: { requests: { cpu, memory } } }] };
}

/** A view of nodes, each with the pods on it. */
export function cluster(...nodes: readonly [Node, ...Pod[]][]): ClusterView {
  return {
    nodes: nodes.map(([object, ...pods]) => {
      const info = new NodeInfo(object.metadata.name);
      info.setNode(object);
      for (const one of pods) info.addPod(one);
      return info;
    }),
    services: () => [],
    ownerSelector: () => undefined,
    namespaceLabels: () => ({}),
  };
}
