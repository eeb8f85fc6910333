// FlowSchema of flowcontrol.apiserver.k8s.io/v1: which requests go to which priority level.
import { ageColumn, nameColumn, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepStatus } from '../strategy.ts';
import type { FlowSchema } from '../types/flowcontrol-v1.ts';

export const flowSchemaKind = defineKind<FlowSchema>({
  group: 'flowcontrol.apiserver.k8s.io', version: 'v1', kind: 'FlowSchema', plural: 'flowschemas', singular: 'flowschema', scope: 'Cluster',
  schema: 'io.k8s.api.flowcontrol.v1.FlowSchema',
  storageVersionHash: 'GJVAJZSZBIw=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults: (schema) => {
    // A body may leave out what the type requires.
    const spec = (schema.spec ??= {} as FlowSchema['spec']);
    spec.priorityLevelConfiguration ??= { name: '' };
    spec.matchingPrecedence ||= 1000;
  },
  prepareForCreate: (schema) => { schema.status = {}; },
  prepareForUpdate: keepStatus,
  generation: 'spec-change',
  columns: [
    nameColumn(),
    textColumn('PriorityLevel', ({ spec }) => spec.priorityLevelConfiguration.name ?? ''),
    { name: 'MatchingPrecedence', type: 'string', value: ({ spec }) => spec.matchingPrecedence ?? 0 },
    textColumn('DistinguisherMethod', ({ spec }) => orNone(spec.distinguisherMethod?.type)),
    ageColumn(),
    textColumn('MissingPL', ({ status }) => status?.conditions?.find(({ type }) => type === 'Dangling')?.status ?? '?'),
  ],
});
