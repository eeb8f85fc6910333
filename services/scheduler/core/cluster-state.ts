// All nodes and the pods on them, as last seen, plus the pods that were just placed and whose binding is under way.
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { NodeInfo } from './node-info.ts';

export class ClusterState {
  readonly #nodes = new Map<string, NodeInfo>();
  readonly #nodeOfPod = new Map<string, string>();
  readonly #assumed = new Set<string>();

  /** Nodes that exist, in the order in which they became known. */
  get nodes(): NodeInfo[] {
    return [...this.#nodes.values()].filter(({ node }) => node !== undefined);
  }
  get(name: string): NodeInfo | undefined {
    return this.#nodes.get(name);
  }

  setNode(node: Node): void {
    this.#infoOf(node.metadata.name).setNode(node);
  }
  /** Pods of a node that is gone stay counted until they are deleted. */
  removeNode(name: string): void {
    const info = this.#nodes.get(name);
    info?.setNode(undefined);
    if (info?.podCount === 0) this.#nodes.delete(name);
  }

  /** A pod that is on a node, as the API server says; ends its being assumed. */
  setPod(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    this.#assumed.delete(uid);
    this.#place(pod, pod.spec.nodeName ?? '');
  }
  removePod(pod: Pod): void {
    this.#take(pod.metadata.uid ?? '');
  }

  /** Counts a pod on a node before the API server has confirmed it, so that the next pod sees it there. */
  assume(pod: Pod, nodeName: string): void {
    this.#assumed.add(pod.metadata.uid ?? '');
    this.#place({ ...pod, spec: { ...pod.spec, nodeName } }, nodeName);
  }
  /** The binding failed. */
  forget(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    if (this.#assumed.delete(uid)) this.#take(uid);
  }
  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  #infoOf(name: string): NodeInfo {
    let info = this.#nodes.get(name);
    if (!info) this.#nodes.set(name, (info = new NodeInfo(name)));
    return info;
  }
  #place(pod: Pod, nodeName: string): void {
    const uid = pod.metadata.uid ?? '';
    if (this.#nodeOfPod.get(uid) !== nodeName) this.#take(uid);
    this.#nodeOfPod.set(uid, nodeName);
    this.#infoOf(nodeName).addPod(pod);
  }
  #take(uid: string): void {
    const nodeName = this.#nodeOfPod.get(uid);
    if (nodeName === undefined) return;
    this.#nodeOfPod.delete(uid);
    const info = this.#nodes.get(nodeName);
    info?.removePod(uid);
    if (info && info.node === undefined && info.podCount === 0) this.#nodes.delete(nodeName);
  }
}
