// Keeps the EndpointSlices of every Service with a selector in step with its pods.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, index, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { affectsEndpoints, isSelecting, selects } from '../../core/service-endpoints.ts';
import { TriggerTimes } from '../../core/trigger-times.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';
import { MANAGED_BY_LABEL, MANAGER, planSlices, SERVICE_NAME_LABEL } from './plan.ts';

const BY_SERVICE = 'managed-slices-of-service';
/** Our own writes to slices come back as events; waiting lets several become one. Source: endpointSliceChangeMinSyncDelay. */
const SLICE_CHANGE_DELAY_MS = 1_000;

export function endpointSliceController(workers: number, maxEndpoints: number, batchMs: number): Controller {
  const triggerTimes = new TriggerTimes();
  return defineController({
    name: 'endpointslice-controller',
    eventSource: 'endpoint-slice-controller',
    queueName: 'endpoint_slice',
    reconciles: serviceKind,
    alsoWatches: [
      mapped(podKind, (pod, cache) => cache.list(serviceKind, pod.metadata.namespace).filter((service) => selects(service, pod)).map(keyOf), { isRelevantUpdate: affectsEndpoints, delayMs: batchMs }),
      mapped(endpointSliceKind, ({ metadata: { namespace = '', labels } }) => {
        const service = labels?.[SERVICE_NAME_LABEL];
        return service !== undefined && labels?.[MANAGED_BY_LABEL] === MANAGER ? [`${namespace}/${service}`] : [];
      }, { delayMs: SLICE_CHANGE_DELAY_MS }),
    ],
    reads: [anyKind(nodeKind)],
    indexes: [index(endpointSliceKind, BY_SERVICE, ({ metadata: { namespace = '', labels } }) =>
      (labels?.[MANAGED_BY_LABEL] === MANAGER && labels[SERVICE_NAME_LABEL] !== undefined ? [`${namespace}/${labels[SERVICE_NAME_LABEL]}`] : []))],
    workers,
    async reconcile({ namespace, name }, { cache, api, events }) {
      const key = `${namespace}/${name}`;
      const service = cache.get(serviceKind, namespace, name);
      if (!service) triggerTimes.forget(key); // the garbage collector removes its slices
      if (!service || service.metadata.deletionTimestamp !== undefined || !isSelecting(service)) return done;
      const pods = cache.list(podKind, namespace).filter((pod) => selects(service, pod));
      const changes = planSlices({
        service, pods, maxEndpoints, nodeOf: (node) => cache.get(nodeKind, undefined, node),
        existing: cache.byIndex(endpointSliceKind, BY_SERVICE, key).filter(({ metadata }) => metadata.deletionTimestamp === undefined),
        triggerMs: triggerTimes.next(key, service, pods),
      });
      try {
        for (const slice of changes.create) await api.create(endpointSliceKind, slice);
        for (const slice of changes.update) await api.update(endpointSliceKind, slice);
        for (const slice of changes.remove) await api.delete(endpointSliceKind, slice).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      } catch (error) {
        if (isNamespaceTerminating(error)) return done;
        events.event(referenceTo(service), 'Warning', 'FailedToUpdateEndpointSlices', `Error updating Endpoint Slices for Service ${key}: ${error instanceof Error ? error.message : String(error)}`);
        throw error;
      }
      return done;
    },
  });
}
