// Mirrors Endpoints that somebody made by hand, for Services without a selector, into EndpointSlices.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { defineController, done, index, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { endpointsKind } from '#lib/kinds/core/endpoints.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';
import { isMirrored, MANAGED_BY_LABEL, MIRROR_MANAGER, planMirror, SERVICE_NAME_LABEL } from './plan.ts';

const BY_SERVICE = 'mirrored-slices-of-service';
/** Our own writes come back as events. */
const SLICE_CHANGE_DELAY_MS = 1_000;

const serviceOf = ({ metadata: { namespace = '', labels } }: Readonly<EndpointSlice>): string[] =>
  (labels?.[MANAGED_BY_LABEL] === MIRROR_MANAGER && labels[SERVICE_NAME_LABEL] !== undefined ? [`${namespace}/${labels[SERVICE_NAME_LABEL]}`] : []);

export const endpointSliceMirroringController = (workers: number, mostPerSubset: number): Controller => defineController({
  name: 'endpointslice-mirroring-controller',
  serviceAccount: 'endpointslicemirroring-controller',
  queueName: 'endpoint_slice_mirroring',
  reconciles: endpointsKind,
  alsoWatches: [
    mapped(serviceKind, ({ metadata: { namespace = '', name } }) => [`${namespace}/${name}`]),
    mapped(endpointSliceKind, serviceOf, { delayMs: SLICE_CHANGE_DELAY_MS }),
  ],
  indexes: [index(endpointSliceKind, BY_SERVICE, serviceOf)],
  workers,
  async reconcile({ namespace, name }, { cache, api, events }) {
    const endpoints = cache.get(endpointsKind, namespace, name);
    const existing = cache.byIndex(endpointSliceKind, BY_SERVICE, `${namespace}/${name}`).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const service = cache.get(serviceKind, namespace, name);
    const plan = endpoints && isMirrored(endpoints, service) ? planMirror(endpoints, existing, mostPerSubset) : { create: [], update: [], remove: existing };
    try {
      for (const slice of plan.create) await api.create(endpointSliceKind, slice);
      for (const slice of plan.update) await api.update(endpointSliceKind, slice);
      for (const slice of plan.remove) await api.delete(endpointSliceKind, slice).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    } catch (error) {
      if (isNamespaceTerminating(error)) return done;
      if (endpoints) events.event(referenceTo(endpoints), 'Warning', 'FailedToUpdateEndpointSlices', `Error updating Endpoint Slices for Endpoints ${namespace}/${name}: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
    return done;
  },
});
