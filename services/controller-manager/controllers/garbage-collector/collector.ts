// Takes a live look at objects that may have lost their owners, and deletes, orphans or releases them.
// Source: attemptToDeleteItem and attemptToOrphanWorker in pkg/controller/garbagecollector/garbagecollector.go.
import { objectPath } from '#lib/api-client/client.ts';
import type { ReconcileApi } from '#lib/controller/own-writes.ts';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { OwnerReference } from '#lib/kinds/types/meta-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { blockingDependents, FOREGROUND, ORPHAN, type Graph, type GraphNode, type Identity } from './graph.ts';

/** The kind of an owner is not served: perhaps not any more, perhaps not yet. Tried again with back-off. */
export class UnknownKind extends Error {
  override readonly name = 'UnknownKind';
}

interface Classified {
  /** Owners that exist and stay. */
  readonly solid: readonly OwnerReference[];
  readonly dangling: readonly OwnerReference[];
  /** Owners that wait for their dependents to go. */
  readonly waiting: readonly OwnerReference[];
}

type Propagation = 'Orphan' | 'Background' | 'Foreground';

export class Collector {
  readonly #graph: Graph;
  readonly #api: ReconcileApi;
  readonly #kindOf: (apiVersion: string, kind: string) => AnyKind | undefined;
  readonly #attemptToDelete: (node: GraphNode) => void;

  constructor(options: { graph: Graph; api: ReconcileApi; kindOf: (apiVersion: string, kind: string) => AnyKind | undefined; attemptToDelete: (node: GraphNode) => void }) {
    this.#graph = options.graph;
    this.#api = options.api;
    this.#kindOf = options.kindOf;
    this.#attemptToDelete = options.attemptToDelete;
  }

  async attemptToDelete(node: GraphNode): Promise<void> {
    if (node.isBeingDeleted && !node.isDeletingDependents) return;
    const { uid } = node.identity;
    const latest = await this.#live(node.identity);
    if (!latest || latest.metadata.uid !== uid) {
      // Watches will tell of objects that were once seen; of the others nobody else will.
      if (!node.isObserved) {
        this.#graph.noteAbsent(uid);
        this.#graph.remove(uid);
      }
      return;
    }
    if (node.isDeletingDependents) return this.#finishForeground(node, latest);
    const references = latest.metadata.ownerReferences ?? [];
    if (references.length === 0) return;
    const { solid, dangling, waiting } = await this.#classify(references, node.identity.namespace);
    if (solid.length > 0) {
      if (dangling.length + waiting.length === 0) return;
      const gone = new Set([...dangling, ...waiting].map((reference) => reference.uid));
      await this.#patch(node, latest, { ownerReferences: references.filter((reference) => !gone.has(reference.uid)) });
    } else if (waiting.length > 0 && node.dependents.size > 0) {
      // A dependent that is being deleted in the foreground too could wait for this node in turn: break the circle.
      if ([...node.dependents].some(({ isDeletingDependents }) => isDeletingDependents)) {
        await this.#patch(node, latest, { ownerReferences: references.map((reference) => ({ ...reference, blockOwnerDeletion: false })) });
      }
      await this.#delete(node, latest, 'Foreground');
    } else {
      await this.#delete(node, latest, policyOf(latest));
    }
  }

  /** Removes the references to a node that is deleted with policy Orphan, then lets it go. */
  async attemptToOrphan(node: GraphNode): Promise<void> {
    const { uid } = node.identity;
    for (const dependent of [...node.dependents]) {
      const latest = await this.#live(dependent.identity);
      const references = latest?.metadata.ownerReferences ?? [];
      if (!latest || latest.metadata.uid !== dependent.identity.uid || !references.some((reference) => reference.uid === uid)) continue;
      await this.#patch(dependent, latest, { ownerReferences: references.filter((reference) => reference.uid !== uid) });
    }
    await this.#removeFinalizer(node, ORPHAN);
  }

  async #finishForeground(node: GraphNode, latest: KubernetesObject): Promise<void> {
    const blocking = blockingDependents(node);
    if (blocking.length === 0) return this.#removeFinalizer(node, FOREGROUND, latest);
    for (const dependent of blocking) if (!dependent.isDeletingDependents) this.#attemptToDelete(dependent);
  }

  async #removeFinalizer(node: GraphNode, finalizer: string, known?: KubernetesObject): Promise<void> {
    const latest = known ?? (await this.#live(node.identity));
    if (!latest || latest.metadata.uid !== node.identity.uid || !latest.metadata.finalizers?.includes(finalizer)) return;
    await this.#patch(node, latest, { finalizers: latest.metadata.finalizers.filter((one) => one !== finalizer) });
  }

  async #classify(references: readonly OwnerReference[], namespace: string): Promise<Classified> {
    const [solid, dangling, waiting]: [OwnerReference[], OwnerReference[], OwnerReference[]] = [[], [], []];
    for (const reference of references) {
      const owner = await this.#liveOwner(reference, namespace);
      if (owner === 'unusable') continue;
      if (owner === undefined) dangling.push(reference);
      else if (owner.metadata.deletionTimestamp !== undefined && owner.metadata.finalizers?.includes(FOREGROUND) === true) waiting.push(reference);
      else solid.push(reference);
    }
    // Nothing certain can be said about an object whose owners cannot be looked at: it stays.
    if (solid.length + dangling.length + waiting.length < references.length) return { solid: references, dangling: [], waiting: [] };
    return { solid, dangling, waiting };
  }

  /** Undefined: gone. 'unusable': a cluster-scoped object cannot have an owner in a namespace. */
  async #liveOwner(reference: OwnerReference, namespace: string): Promise<KubernetesObject | undefined | 'unusable'> {
    if (this.#graph.isKnownAbsent(reference.uid)) return undefined;
    const kind = this.#kindOf(reference.apiVersion, reference.kind);
    if (!kind) throw new UnknownKind(`no kind ${reference.apiVersion}/${reference.kind} is served`);
    if (kind.namespaced && namespace === '') return 'unusable';
    const owner = await this.#live({ uid: reference.uid, apiVersion: reference.apiVersion, kind: reference.kind, namespace: kind.namespaced ? namespace : '', name: reference.name });
    if (owner?.metadata.uid === reference.uid) return owner;
    this.#graph.noteAbsent(reference.uid);
    return undefined;
  }

  #pathOf({ apiVersion, kind: kindName, namespace, name }: Identity): string {
    const kind = this.#kindOf(apiVersion, kindName);
    if (!kind) throw new UnknownKind(`no kind ${apiVersion}/${kindName} is served`);
    return objectPath(kind, kind.namespaced ? namespace : undefined, name);
  }

  async #live(identity: Identity): Promise<KubernetesObject | undefined> {
    try {
      return await this.#api.request<KubernetesObject>('GET', this.#pathOf(identity));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #patch({ identity }: GraphNode, latest: KubernetesObject, metadata: Record<string, unknown>): Promise<void> {
    const { uid, resourceVersion } = latest.metadata;
    await this.#api.request('PATCH', this.#pathOf(identity), { metadata: { uid, resourceVersion, ...metadata } }, 'application/merge-patch+json').catch(ignoreGone);
  }

  async #delete({ identity }: GraphNode, latest: KubernetesObject, propagationPolicy: Propagation): Promise<void> {
    const { uid, resourceVersion } = latest.metadata;
    // Another owner added meanwhile changes the version: then this verdict is void.
    const preconditions = { uid, ...(propagationPolicy === 'Foreground' ? {} : { resourceVersion }) };
    await this.#api.request('DELETE', this.#pathOf(identity), { apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy }).catch(ignoreGone);
  }
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** What somebody asked for by a finalizer before the owner went. */
function policyOf({ metadata: { finalizers = [] } }: KubernetesObject): Propagation {
  if (finalizers.includes(ORPHAN)) return 'Orphan';
  return finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background';
}
