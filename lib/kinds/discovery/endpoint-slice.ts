// EndpointSlice of discovery.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { EndpointSlice } from '../types/discovery-v1.ts';

export const endpointSliceKind = defineKind<EndpointSlice>({
  group: 'discovery.k8s.io', version: 'v1', kind: 'EndpointSlice', plural: 'endpointslices', singular: 'endpointslice', scope: 'Namespaced',
  schema: 'io.k8s.api.discovery.v1.EndpointSlice',
  storageVersionHash: 'qgS0xkrxYAI=',
});
