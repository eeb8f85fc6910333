// ReplicationControllers are the elder siblings of ReplicaSets: the same decisions, of which they show fewer.
import type { ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { ReplicationController, ReplicationControllerStatus, Pod } from '#lib/kinds/types/core-v1.ts';
import { replicaSetStatus, type ReplicaSetPlan } from '../replicaset/plan.ts';

/** As upstream's adapter presents one. Source: pkg/controller/replication/conversion.go. */
export function asReplicaSet({ metadata, spec, status }: Readonly<ReplicationController>): ReplicaSet {
  const { selector, template, replicas, minReadySeconds } = spec ?? {};
  return {
    metadata,
    spec: { replicas, minReadySeconds, template, selector: { matchLabels: { ...selector } } },
    ...(status ? { status } : {}),
  };
}

export function replicationControllerStatus(controller: Readonly<ReplicationController>, pods: readonly Readonly<Pod>[], failure: { readonly error: Error; readonly plan: ReplicaSetPlan } | undefined, nowMs: number): ReplicationControllerStatus {
  const { terminatingReplicas: _, ...status } = replicaSetStatus(asReplicaSet(controller), pods, failure, nowMs);
  return status;
}
