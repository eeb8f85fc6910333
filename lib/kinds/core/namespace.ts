// Namespace of v1.
import { defineKind } from '../define-kind.ts';
import type { Namespace } from '../types/core-v1.ts';

export const namespaceKind = defineKind<Namespace>({
  group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', singular: 'namespace', scope: 'Cluster',
  schema: 'io.k8s.api.core.v1.Namespace',
  shortNames: ['ns'],
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  storageVersionHash: 'Q3oi5N2YM8M=',
  subresources: {
    finalize: { verbs: ['update'] },
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
