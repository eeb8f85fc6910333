// Keeps the Endpoints object of every Service with a selector in step with its pods.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { endpointsKind } from '#lib/kinds/core/endpoints.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { affectsEndpoints, isSelecting, selects } from '../../core/service-endpoints.ts';
import { TriggerTimes } from '../../core/trigger-times.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';
import { OVER_CAPACITY, planEndpoints } from './plan.ts';

export function endpointsController(workers: number, batchMs: number): Controller {
  const triggerTimes = new TriggerTimes();
  return defineController({
    name: 'endpoints-controller',
    serviceAccount: 'endpoint-controller',
    eventSource: 'endpoint-controller',
    queueName: 'endpoint',
    reconciles: serviceKind,
    alsoWatches: [
      mapped(podKind, (pod, cache) => cache.list(serviceKind, pod.metadata.namespace).filter((service) => selects(service, pod)).map(keyOf), { isRelevantUpdate: affectsEndpoints, delayMs: batchMs }),
      mapped(endpointsKind, (endpoints) => [keyOf(endpoints)]),
    ],
    workers,
    async reconcile({ namespace, name }, { cache, api, events }) {
      const key = `${namespace}/${name}`;
      const service = cache.get(serviceKind, namespace, name);
      const existing = cache.get(endpointsKind, namespace, name);
      if (!service) {
        triggerTimes.forget(key);
        // Endpoints have no owner reference: who deletes the Service leaves them to us. Those of leader elections of old stay.
        if (existing && existing.metadata.labels?.['endpoints.kubernetes.io/managed-by'] !== undefined) {
          await api.delete(endpointsKind, existing).catch((error: unknown) => {
            if (!isNotFound(error)) throw error;
          });
        }
        return done;
      }
      if (!isSelecting(service) || service.metadata.deletionTimestamp !== undefined) return done;
      const pods = cache.list(podKind, namespace).filter((pod) => selects(service, pod));
      const { subsets, labels, annotations } = planEndpoints(service, pods, existing, triggerTimes.next(key, service, pods));
      const isCurrent = existing && semanticEqual(existing.subsets, subsets) && semanticEqual(existing.metadata.labels, labels)
        && existing.metadata.annotations?.[OVER_CAPACITY] === annotations[OVER_CAPACITY];
      if (isCurrent) return done;
      try {
        if (existing) await api.update(endpointsKind, { ...existing, metadata: { ...existing.metadata, labels, annotations }, subsets });
        else await api.create(endpointsKind, { metadata: { name, namespace, labels, annotations }, subsets });
      } catch (error) {
        if (isNamespaceTerminating(error)) return done;
        const what = existing ? ['FailedToUpdateEndpoint', `Failed to update endpoint ${key}`] as const : ['FailedToCreateEndpoint', `Failed to create endpoint for service ${key}`] as const;
        events.event(referenceTo(service), 'Warning', what[0], `${what[1]}: ${error instanceof Error ? error.message : String(error)}`);
        throw error;
      }
      return done;
    },
  });
}
