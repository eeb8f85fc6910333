// RuntimeClass of node.k8s.io/v1: by which of a node's runtimes a pod is run.
import { required } from '#lib/machinery/field-error.ts';
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { checked, unchanged, validateLabels } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { validateResources } from '../core/resource-validation.ts';
import { validateTolerations } from '../core/scheduling-validation.ts';
import { defineKind } from '../define-kind.ts';
import type { RuntimeClass } from '../types/node-v1.ts';

export const runtimeClassKind = defineKind<RuntimeClass>({
  group: 'node.k8s.io', version: 'v1', kind: 'RuntimeClass', plural: 'runtimeclasses', singular: 'runtimeclass', scope: 'Cluster',
  schema: 'io.k8s.api.node.v1.RuntimeClass',
  storageVersionHash: 'WQTu1GL3T2Q=',
  validate: ({ handler, overhead, scheduling }) => [
    ...(handler ? checked('handler', handler, dnsLabelProblems) : [required('handler')]),
    ...(overhead === undefined ? [] : validateResources({ limits: overhead.podFixed }, 'overhead.podFixed')),
    ...(scheduling === undefined ? [] : [...validateLabels(scheduling.nodeSelector, 'scheduling.nodeSelector'), ...validateTolerations(scheduling.tolerations, 'scheduling.tolerations')]),
  ],
  validateUpdate: (next, previous) => unchanged(next.handler, previous.handler, 'handler'),
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), textColumn('Handler', ({ handler }) => handler ?? ''), ageColumn()],
});
