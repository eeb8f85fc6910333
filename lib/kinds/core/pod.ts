// Pod of v1.
import { defineKind } from '../define-kind.ts';
import type { Pod } from '../types/core-v1.ts';

export const podKind = defineKind<Pod>({
  group: '', version: 'v1', kind: 'Pod', plural: 'pods', singular: 'pod', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Pod',
  shortNames: ['po'],
  categories: ['all'],
  storageVersionHash: 'xPOwRZ+Yhw8=',
  subresources: {
    attach: { verbs: ['create', 'get'], kind: 'PodAttachOptions' },
    binding: { verbs: ['create'], kind: 'Binding' },
    eviction: { verbs: ['create'], kind: 'Eviction', group: 'policy', version: 'v1' },
    exec: { verbs: ['create', 'get'], kind: 'PodExecOptions' },
    log: { verbs: ['get'] },
    portforward: { verbs: ['create', 'get'], kind: 'PodPortForwardOptions' },
    proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: 'PodProxyOptions' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
