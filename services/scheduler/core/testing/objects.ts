// Small literal nodes and pods for tests.
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec } from '#lib/kinds/types/core-v1.ts';
import type { CSINode, StorageClass } from '#lib/kinds/types/storage-v1.ts';
import type { ClusterView } from '../framework.ts';
import { NodeInfo } from '../node-info.ts';
import type { Storage } from '../storage.ts';

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
    storage: storage(),
    nominated: () => [],
  };
}

export function storage({ claims = [], volumes = [], classes = [], csiNodes = [] }: {
  claims?: readonly PersistentVolumeClaim[]; volumes?: readonly PersistentVolume[]; classes?: readonly StorageClass[]; csiNodes?: readonly CSINode[];
} = {}): Storage {
  const named = <T extends { metadata: { name: string } }>(list: readonly T[]) => (name: string) => list.find(({ metadata }) => metadata.name === name);
  return {
    claim: (namespace, name) => claims.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
    volume: named(volumes),
    volumes: () => volumes,
    storageClass: named(classes),
    csiNode: named(csiNodes),
  };
}
