// A node as the scheduler sees it: the object, the pods on it (also those just assumed), and what they take together.
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { add, amountsOf, nonZeroRequestsOf, requestsOf, subtract, type Resources } from './pod-resources.ts';

export interface HostPort {
  readonly ip: string;
  readonly protocol: string;
  readonly port: number;
}

export function hostPortsOf({ spec }: Pod): HostPort[] {
  return [...spec.containers, ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')]
    .flatMap(({ ports }) => ports ?? []).filter(({ hostPort }) => (hostPort ?? 0) > 0)
    .map(({ hostIP, protocol, hostPort }) => ({ ip: hostIP === undefined || hostIP === '' ? '0.0.0.0' : hostIP, protocol: protocol ?? 'TCP', port: hostPort ?? 0 }));
}

export class NodeInfo {
  readonly name: string;
  node: Node | undefined;
  readonly #pods = new Map<string, Pod>();
  #requested: Resources = {};
  #nonZeroRequested: Resources = {};
  #allocatable: Resources = {};

  constructor(name: string) {
    this.name = name;
  }

  setNode(node: Node | undefined): void {
    this.node = node;
    this.#allocatable = amountsOf(node?.status?.allocatable);
  }
  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }
  get podCount(): number {
    return this.#pods.size;
  }
  get requested(): Resources {
    return this.#requested;
  }
  get nonZeroRequested(): Resources {
    return this.#nonZeroRequested;
  }
  get allocatable(): Resources {
    return this.#allocatable;
  }

  addPod(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    this.removePod(uid);
    this.#pods.set(uid, pod);
    this.#requested = add(this.#requested, requestsOf(pod));
    this.#nonZeroRequested = add(this.#nonZeroRequested, nonZeroRequestsOf(pod));
  }
  removePod(uid: string): void {
    const pod = this.#pods.get(uid);
    if (!pod) return;
    this.#pods.delete(uid);
    this.#requested = subtract(this.#requested, requestsOf(pod));
    this.#nonZeroRequested = subtract(this.#nonZeroRequested, nonZeroRequestsOf(pod));
  }
  /** A copy that can be changed without touching this one, for trying out evictions. */
  copy(): NodeInfo {
    const copy = new NodeInfo(this.name);
    copy.setNode(this.node);
    for (const pod of this.#pods.values()) copy.addPod(pod);
    return copy;
  }
}
