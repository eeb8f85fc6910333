// Endpoints of v1.
import { defineKind } from '../define-kind.ts';
import type { Endpoints } from '../types/core-v1.ts';

export const endpointsKind = defineKind<Endpoints>({
  group: '', version: 'v1', kind: 'Endpoints', plural: 'endpoints', singular: 'endpoints', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Endpoints',
  shortNames: ['ep'],
  storageVersionHash: 'fWeeMqaN/OA=',
  storagePrefix: 'services/endpoints',
});
