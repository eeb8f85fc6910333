// RuntimeClass of node.k8s.io/v1: by which of a node's runtimes a pod is run.
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { RuntimeClass } from '../types/node-v1.ts';

export const runtimeClassKind = defineKind<RuntimeClass>({
  group: 'node.k8s.io', version: 'v1', kind: 'RuntimeClass', plural: 'runtimeclasses', singular: 'runtimeclass', scope: 'Cluster',
  schema: 'io.k8s.api.node.v1.RuntimeClass',
  storageVersionHash: 'WQTu1GL3T2Q=',
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), textColumn('Handler', ({ handler }) => handler ?? ''), ageColumn()],
});
