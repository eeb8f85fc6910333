// ReplicaSet of apps/v1.
import { defineKind } from '../define-kind.ts';
import type { ReplicaSet } from '../types/apps-v1.ts';

export const replicaSetKind = defineKind<ReplicaSet>({
  group: 'apps', version: 'v1', kind: 'ReplicaSet', plural: 'replicasets', singular: 'replicaset', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.ReplicaSet',
  shortNames: ['rs'],
  categories: ['all'],
  storageVersionHash: 'P1RzHs8/mWQ=',
  subresources: {
    scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
