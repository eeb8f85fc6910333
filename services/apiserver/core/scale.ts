// The Scale subresource: three numbers of a workload seen as an autoscaling/v1 Scale.
import type { AnyKind, KubernetesObject, ScaleRules } from '#lib/kinds/define-kind.ts';
import type { Scale } from '#lib/kinds/types/autoscaling-v1.ts';
import type { LabelSelector } from '#lib/kinds/types/meta-v1.ts';
import { invalid } from '#lib/machinery/field-error.ts';
import { labelSelector, selectorFromMap } from '#lib/machinery/selectors.ts';
import { conflict, invalidObject, MODIFIED } from '#lib/machinery/status-error.ts';

export const SCALE_BODY = { group: 'autoscaling', version: 'v1', kind: 'Scale', schema: 'io.k8s.api.autoscaling.v1.Scale' } as const;

function selectorText(selector: LabelSelector | Record<string, string> | undefined): string {
  if (selector === undefined) return '';
  const isObject = 'matchLabels' in selector || 'matchExpressions' in selector;
  return (isObject ? labelSelector(selector as LabelSelector) : selectorFromMap(selector as Record<string, string>)).toString();
}

export function toScale(rules: ScaleRules<KubernetesObject>, object: KubernetesObject): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = selectorText(rules.selector(object));
  return {
    kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: rules.replicas(object) },
    status: { replicas: rules.currentReplicas(object), ...(selector === '' ? {} : { selector }) },
  };
}

/** A copy of `object` with the replicas that `scale` asks for. Throws Conflict or Invalid. */
export function withScale(kind: AnyKind, rules: ScaleRules<KubernetesObject>, object: KubernetesObject, scale: Scale): KubernetesObject {
  const { name, resourceVersion } = scale.metadata;
  if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== object.metadata.resourceVersion) throw conflict(kind, object.metadata.name, MODIFIED);
  const replicas = scale.spec?.replicas ?? 0;
  if (replicas < 0) throw invalidObject(SCALE_BODY, name ?? '', [invalid('spec.replicas', replicas, 'must be greater than or equal to 0')]);
  const next = structuredClone(object);
  rules.setReplicas(next, replicas);
  return next;
}
