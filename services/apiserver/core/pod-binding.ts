// What the scheduler's Binding does to a pod. Source: pkg/registry/core/pod/storage/storage.go (assignPod).
import type { Binding, Pod } from '#lib/kinds/types/core-v1.ts';
import { conflict, failure, invalidObject } from '#lib/machinery/status-error.ts';
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { formatTime } from '#lib/machinery/time.ts';

export const BINDING_BODY = { group: '', version: 'v1', kind: 'Binding', schema: 'io.k8s.api.core.v1.Binding' } as const;

/** Throws Invalid. */
export function checkBinding({ target, metadata }: Binding): void {
  const errors: FieldError[] = [];
  if (target?.kind && target.kind !== 'Node') errors.push(notSupported('target.kind', target.kind, ['Node', '<empty>']));
  if (!target?.name) errors.push(required('target.name'));
  else if (target.name.includes('/')) errors.push(invalid('target.name', target.name, "may not contain '/'"));
  if (errors.length > 0) throw invalidObject(BINDING_BODY, metadata.name ?? '', errors);
}

/** Returns the bound copy. Throws Conflict when the pod cannot be bound any more. */
export function bindPod(pod: Readonly<Pod>, binding: Binding, nowMs: number): Pod {
  const { name } = pod.metadata;
  const refuse = (text: string): Error => conflict({ group: '', plural: 'pods/binding' }, name, text);
  if (binding.metadata.uid && binding.metadata.uid !== pod.metadata.uid) {
    throw refuse(`Precondition failed: UID in precondition: ${binding.metadata.uid}, UID in object meta: ${pod.metadata.uid ?? ''}`);
  }
  if (pod.metadata.deletionTimestamp !== undefined) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
  if (pod.spec?.nodeName) throw refuse(`pod ${name} is already assigned to node "${pod.spec.nodeName}"`);
  if ((pod.spec?.schedulingGates ?? []).length > 0) throw refuse(`pod ${name} has non-empty .spec.schedulingGates`);
  if (!pod.spec) throw failure(500, 'InternalError', `Internal error occurred: pod ${name} has no spec`);
  const annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations };
  const labels = { ...pod.metadata.labels, ...binding.metadata.labels };
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  const condition = {
    ...scheduled, type: 'PodScheduled', status: 'True',
    lastTransitionTime: scheduled?.status === 'True' ? scheduled.lastTransitionTime : formatTime(nowMs),
  };
  // a condition that holds has no reason and message left
  delete condition.reason;
  delete condition.message;
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
      ...(Object.keys(labels).length > 0 ? { labels } : {}),
    },
    spec: { ...pod.spec, nodeName: binding.target.name },
    status: { ...pod.status, conditions: [...(pod.status?.conditions ?? []).filter(({ type }) => type !== 'PodScheduled'), condition] },
  };
}
