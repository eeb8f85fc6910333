// The informers of the scheduler: they keep the cluster state and the queue up to date and tell the queue what changed.
import type { ApiClient } from '#lib/api-client/client.ts';
import { Informer, keyOf } from '#lib/api-client/informer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { podDisruptionBudgetKind } from '#lib/kinds/policy/pod-disruption-budget.ts';
import type { ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import { claimsOfPod } from '#lib/machinery/volume-binding.ts';
import type { ClusterState } from '../core/cluster-state.ts';
import type { ClusterEvent, ClusterView } from '../core/framework.ts';
import { Nominations } from '../core/nominations.ts';
import type { SchedulingQueue } from '../core/scheduling-queue.ts';
import { StorageWatch } from './storage-watch.ts';

export interface ClusterWatchOptions {
  readonly api: ApiClient;
  readonly environment: Environment;
  readonly state: ClusterState;
  readonly queue: SchedulingQueue;
  readonly schedulerName: string;
  /** Called after every change of the queue. */
  readonly wake: () => void;
}

export interface ClusterWatch {
  readonly view: () => ClusterView;
  readonly pod: (namespace: string | undefined, name: string) => Pod | undefined;
  readonly budgets: () => readonly PodDisruptionBudget[];
  readonly storage: StorageWatch;
  readonly nominations: Nominations;
  readonly hasSynced: () => boolean;
  /** Until the signal aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly synced: (signal: AbortSignal) => Promise<void>;
}

const isTerminal = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';
const isAssigned = ({ spec }: Pod): boolean => spec.nodeName !== undefined && spec.nodeName !== '';
const differ = (left: unknown, right: unknown): boolean => JSON.stringify(left) !== JSON.stringify(right);

/** Memory: managed fields and the status of containers decide nothing here. */
function slimPod(pod: Pod): Pod {
  pod.metadata.managedFields = undefined;
  if (pod.status) pod.status = { ...pod.status, containerStatuses: undefined, initContainerStatuses: undefined };
  return pod;
}
function slimReplicaSet({ metadata, spec }: ReplicaSet): ReplicaSet {
  return { metadata: { name: metadata.name, namespace: metadata.namespace, uid: metadata.uid, resourceVersion: metadata.resourceVersion }, spec: { selector: spec.selector } };
}

export function watchCluster({ api, environment: { clock, random, log }, state, queue, schedulerName, wake }: ClusterWatchOptions): ClusterWatch {
  const informer = <T extends KubernetesObject>(kind: Kind<T>, transform?: (object: T) => T) => new Informer<T>({ api, kind, clock, random, log, ...(transform ? { transform } : {}) });
  const nodes = informer(nodeKind);
  const pods = informer(podKind, slimPod);
  const services = informer(serviceKind);
  const namespaces = informer(namespaceKind);
  const replicaSets = informer(replicaSetKind, slimReplicaSet);
  const budgets = informer(podDisruptionBudgetKind);
  const all = [nodes, pods, services, namespaces, replicaSets, budgets];
  const notify = (event: ClusterEvent, concerns?: (pod: Pod) => boolean): void => {
    queue.notify(event, clock.nowMs(), concerns);
    wake();
  };
  const storage = new StorageWatch({ api, environment: { clock, random, log }, notify });
  const nominations = new Nominations();
  /** Keys of pods with claims that came before anything was known about claims. */
  const held = new Set<string>();

  nodes.addHandler({
    added: (node) => {
      state.setNode(node);
      notify('Node/Add');
    },
    updated: (next, previous) => {
      state.setNode(next);
      for (const event of nodeChanges(next, previous)) notify(event);
    },
    deleted: ({ metadata }) => {
      state.removeNode(metadata.name);
      notify('Node/Delete');
    },
  });

  const take = (pod: Pod, previous?: Pod): void => {
    if (isTerminal(pod)) {
      if (isAssigned(pod)) leave(pod);
      nominations.remove(pod);
      queue.remove(pod);
    } else if (isAssigned(pod)) {
      nominations.remove(pod);
      queue.remove(pod);
      state.setPod(pod);
    } else if (pod.spec.schedulerName === schedulerName && !state.isAssumed(pod.metadata.uid ?? '')) {
      nominations.observe(pod, previous);
      if (claimsOfPod(pod).length > 0 && !storage.hasSynced) {
        held.add(keyOf(pod));
        return storage.want();
      }
      queue.put(pod, clock.nowMs());
      wake();
    }
  };
  const releaseHeld = (): void => {
    for (const key of held) {
      const pod = pods.getByKey(key);
      if (pod) take(pod);
    }
    held.clear();
  };
  const leave = (pod: Pod): void => {
    state.removePod(pod);
    notify('AssignedPod/Delete');
  };
  pods.addHandler({
    added: (pod) => {
      take(pod);
      if (isAssigned(pod) && !isTerminal(pod)) notify('AssignedPod/Add');
    },
    updated: (next, previous) => {
      take(next, previous);
      if (!isAssigned(next)) return;
      if (!isAssigned(previous)) notify('AssignedPod/Add');
      else if (differ(next.metadata.labels, previous.metadata.labels) || differ(next.spec, previous.spec)) notify('AssignedPod/Update');
    },
    deleted: (pod) => {
      queue.remove(pod);
      nominations.remove(pod);
      if (isAssigned(pod)) leave(pod);
      else state.forget(pod);
      wake();
    },
  });

  return {
    view: () => ({
      nodes: state.nodes,
      services: (namespace) => services.list(namespace),
      namespaceLabels: (namespace) => namespaces.get(undefined, namespace)?.metadata.labels ?? {},
      ownerSelector: (pod) => {
        const owner = controllerOf(pod);
        return owner?.kind === 'ReplicaSet' ? replicaSets.get(pod.metadata.namespace, owner.name)?.spec.selector : undefined;
      },
      storage: storage.assumed,
      nominated: (nodeName) => nominations.on(nodeName),
    }),
    storage,
    nominations,
    pod: (namespace, name) => pods.get(namespace, name),
    budgets: () => budgets.list(),
    hasSynced: () => all.every(({ hasSynced }) => hasSynced),
    synced: async (signal) => {
      await Promise.all(all.map((one) => one.synced(signal)));
    },
    run: async (signal) => {
      await Promise.all([...all.map((one) => one.run(signal)), storage.run(releaseHeld, signal)]);
    },
  };
}

function nodeChanges(next: Node, previous: Node): ClusterEvent[] {
  const changes: ClusterEvent[] = [];
  if (differ(next.status?.allocatable, previous.status?.allocatable)) changes.push('Node/UpdateAllocatable');
  if (differ(next.metadata.labels, previous.metadata.labels)) changes.push('Node/UpdateLabel');
  if (differ(next.spec.taints, previous.spec.taints) || next.spec.unschedulable !== previous.spec.unschedulable) changes.push('Node/UpdateTaint');
  return changes;
}
