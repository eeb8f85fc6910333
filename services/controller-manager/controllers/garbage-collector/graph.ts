// Who owns whom, by uid. Fed by watches of every kind; says which objects deserve a closer, live look.
// Source: pkg/controller/garbagecollector/graph_builder.go and graph.go.
import type { ObjectMeta, OwnerReference } from '#lib/kinds/types/meta-v1.ts';

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

export interface Identity {
  readonly uid: string;
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

export class GraphNode {
  identity: Identity;
  owners: readonly OwnerReference[] = [];
  readonly dependents = new Set<GraphNode>();
  /** False for an owner that is known only from references to it. */
  isObserved = false;
  isBeingDeleted = false;
  /** Waits, in foreground deletion, for its dependents to go. */
  isDeletingDependents = false;
  constructor(identity: Identity) {
    this.identity = identity;
  }
}

export interface GraphEffects {
  /** Look whether this object still has an owner. */
  readonly attemptToDelete: (node: GraphNode) => void;
  /** Take the references to this object away from its dependents. */
  readonly attemptToOrphan: (node: GraphNode) => void;
  /** Its owner lives in another namespace, or in none it could refer to. */
  readonly invalidOwner: (node: GraphNode, reference: OwnerReference) => void;
}

interface Observed {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: Readonly<ObjectMeta>;
}

/** Owners known to be gone; bounded. Source: the absent owner cache, 500 entries. */
const ABSENT_OWNERS_LIMIT = 500;

export class Graph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #absent = new Set<string>();
  readonly #effects: GraphEffects;

  constructor(effects: GraphEffects) {
    this.#effects = effects;
  }

  get size(): number {
    return this.#nodes.size;
  }
  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }
  isKnownAbsent(uid: string): boolean {
    return this.#absent.has(uid);
  }
  noteAbsent(uid: string): void {
    this.#absent.delete(uid);
    this.#absent.add(uid);
    if (this.#absent.size > ABSENT_OWNERS_LIMIT) for (const oldest of this.#absent) return void this.#absent.delete(oldest);
  }

  /** An object was added or changed. */
  observe(object: Observed): void {
    const { uid = '', namespace = '', name, ownerReferences = [] } = object.metadata;
    const identity: Identity = { uid, apiVersion: object.apiVersion ?? '', kind: object.kind ?? '', namespace, name };
    let node = this.#nodes.get(uid);
    const wasObserved = node?.isObserved ?? false;
    if (!node) {
      node = new GraphNode(identity);
      this.#nodes.set(uid, node);
    }
    node.identity = identity;
    node.isObserved = true;
    if (!wasObserved) {
      // Dependents that referred to it by other coordinates are to be looked at again.
      for (const dependent of node.dependents) if (dependent.identity.namespace !== namespace && namespace !== '') this.#effects.attemptToDelete(dependent);
    }
    this.#setOwners(node, ownerReferences);
    const wasBeingDeleted = node.isBeingDeleted;
    node.isBeingDeleted = object.metadata.deletionTimestamp !== undefined;
    const finalizers = object.metadata.finalizers ?? [];
    if (node.isBeingDeleted && finalizers.includes(ORPHAN)) this.#effects.attemptToOrphan(node);
    else if (node.isBeingDeleted && finalizers.includes(FOREGROUND) && !node.isDeletingDependents) {
      node.isDeletingDependents = true;
      for (const dependent of node.dependents) this.#effects.attemptToDelete(dependent);
      this.#effects.attemptToDelete(node);
    }
    if (node.isBeingDeleted && !wasBeingDeleted) this.#wakeWaitingOwners(node);
  }

  /** An object is gone. */
  remove(uid: string): void {
    const node = this.#nodes.get(uid);
    if (!node) return;
    this.#nodes.delete(uid);
    for (const { uid: owner } of node.owners) this.#nodes.get(owner)?.dependents.delete(node);
    if (node.dependents.size > 0) this.noteAbsent(uid);
    for (const dependent of node.dependents) this.#effects.attemptToDelete(dependent);
    this.#wakeWaitingOwners(node);
  }

  /** Owners in foreground deletion may be waiting for this very node. */
  #wakeWaitingOwners(node: GraphNode): void {
    for (const { uid } of node.owners) {
      const owner = this.#nodes.get(uid);
      if (owner?.isDeletingDependents) this.#effects.attemptToDelete(owner);
    }
  }

  #setOwners(node: GraphNode, next: readonly OwnerReference[]): void {
    const previous = node.owners;
    node.owners = next;
    for (const before of previous) {
      const after = next.find(({ uid }) => uid === before.uid);
      const owner = this.#nodes.get(before.uid);
      if (!owner) continue;
      if (!after) owner.dependents.delete(node);
      // No longer in the way of an owner that waits.
      if (owner.isDeletingDependents && (!after || (before.blockOwnerDeletion === true && after.blockOwnerDeletion !== true))) this.#effects.attemptToDelete(owner);
    }
    for (const reference of next) {
      if (previous.some(({ uid }) => uid === reference.uid)) continue;
      let owner = this.#nodes.get(reference.uid);
      if (!owner) {
        // Seen before its owner, or the owner is gone: a live look decides.
        owner = new GraphNode({ uid: reference.uid, apiVersion: reference.apiVersion, kind: reference.kind, namespace: node.identity.namespace, name: reference.name });
        this.#nodes.set(reference.uid, owner);
        this.#effects.attemptToDelete(owner);
      } else if (owner.isObserved && owner.identity.namespace !== '' && owner.identity.namespace !== node.identity.namespace) {
        this.#effects.invalidOwner(node, reference);
        this.#effects.attemptToDelete(node);
      }
      owner.dependents.add(node);
      if (owner.isDeletingDependents) this.#effects.attemptToDelete(node);
    }
  }
}

/** Dependents that hold up the foreground deletion of their owner. */
export function blockingDependents(owner: GraphNode): GraphNode[] {
  return [...owner.dependents].filter(({ owners }) => owners.some(({ uid, blockOwnerDeletion }) => uid === owner.identity.uid && blockOwnerDeletion === true));
}
