// Creates and deletes the pods that a plan names; for ReplicaSets and ReplicationControllers.
import type { ReconcileContext } from '#lib/controller/define-controller.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { createPod, deletePods, podFromTemplate, slowStart } from '../../edge/pod-control.ts';
import type { ReplicaSetPlan } from './plan.ts';

export async function carryOut<O extends KubernetesObject>(
  plan: ReplicaSetPlan, { owner, kind, template = {} }: { readonly owner: Readonly<O>; readonly kind: Kind<O>; readonly template: Readonly<PodTemplateSpec> | undefined }, context: ReconcileContext,
): Promise<void> {
  switch (plan.type) {
    case 'nothing': return;
    case 'create': return slowStart(plan.count, () => createPod(podFromTemplate(template, owner, kind), owner, context));
    case 'delete': return deletePods(plan.pods, owner, context);
  }
}
