// ConfigMap of v1.
import { defineKind } from '../define-kind.ts';
import type { ConfigMap } from '../types/core-v1.ts';

export const configMapKind = defineKind<ConfigMap>({
  group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', singular: 'configmap', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.ConfigMap',
  shortNames: ['cm'],
  storageVersionHash: 'qFsyl6wFWjQ=',
});
