// Deployment of apps/v1.
import { defineKind } from '../define-kind.ts';
import type { Deployment } from '../types/apps-v1.ts';

export const deploymentKind = defineKind<Deployment>({
  group: 'apps', version: 'v1', kind: 'Deployment', plural: 'deployments', singular: 'deployment', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.Deployment',
  shortNames: ['deploy'],
  categories: ['all'],
  storageVersionHash: '8aSe+NMegvE=',
  subresources: {
    scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
