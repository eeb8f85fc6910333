// Node of v1.
import { defineKind } from '../define-kind.ts';
import type { Node } from '../types/core-v1.ts';

export const nodeKind = defineKind<Node>({
  group: '', version: 'v1', kind: 'Node', plural: 'nodes', singular: 'node', scope: 'Cluster',
  schema: 'io.k8s.api.core.v1.Node',
  shortNames: ['no'],
  storageVersionHash: 'XwShjMxG9Fs=',
  storagePrefix: 'minions',
  subresources: {
    proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: 'NodeProxyOptions' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
