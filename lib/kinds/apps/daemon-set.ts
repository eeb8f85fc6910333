// DaemonSet of apps/v1.
import { defineKind } from '../define-kind.ts';
import type { DaemonSet } from '../types/apps-v1.ts';

export const daemonSetKind = defineKind<DaemonSet>({
  group: 'apps', version: 'v1', kind: 'DaemonSet', plural: 'daemonsets', singular: 'daemonset', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.DaemonSet',
  shortNames: ['ds'],
  categories: ['all'],
  storageVersionHash: 'dd7pWHUlMKQ=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
