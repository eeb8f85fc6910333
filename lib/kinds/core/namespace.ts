// Namespace of v1: a room for names, deleted with all that is in it.
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsLabelProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keep, keepSpec } from '../strategy.ts';
import type { Namespace } from '../types/core-v1.ts';

const NAME_LABEL = 'kubernetes.io/metadata.name';
const STANDARD_FINALIZERS = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

function setNameLabel({ metadata }: Namespace): void {
  // With generateName the name comes later.
  if (metadata.name) metadata.labels = { ...metadata.labels, [NAME_LABEL]: metadata.name };
}

function prepareForCreate(namespace: Namespace): void {
  namespace.status = { phase: 'Active' };
  const finalizers = namespace.spec.finalizers ?? [];
  namespace.spec.finalizers = finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'];
  setNameLabel(namespace);
}

function validateFinalizers({ spec }: Namespace): FieldError[] {
  return (spec.finalizers ?? []).flatMap((finalizer) => {
    const errors = checked('spec.finalizers', finalizer, qualifiedNameProblems);
    if (!finalizer.includes('/') && !STANDARD_FINALIZERS.has(finalizer)) {
      errors.push(invalid('spec.finalizers', finalizer, 'name is neither a standard finalizer name nor is it fully qualified'));
    }
    return errors;
  });
}

function validateStatusUpdate({ metadata, status }: Namespace): FieldError[] {
  const phase = status?.phase ?? '';
  if (metadata.deletionTimestamp === undefined) {
    return phase === 'Active' ? [] : [invalid('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")];
  }
  return phase === 'Terminating' ? [] : [invalid('status.Phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")];
}

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
  applyDefaults: (namespace) => {
    // A body may leave out what the type requires.
    namespace.spec ??= {};
    setNameLabel(namespace);
  },
  prepareForCreate,
  // The spec changes only by /finalize.
  prepareForUpdate: (next, previous) => keep(next, previous, 'spec', 'status'),
  prepareForStatusUpdate: keepSpec,
  validateName: dnsLabelProblems,
  validate: validateFinalizers,
  validateStatusUpdate,
  selectableFields: { 'status.phase': ({ status }) => status?.phase ?? '', name: ({ metadata }) => metadata.name },
  columns: [nameColumn(), textColumn('Status', ({ status }) => status?.phase ?? ''), ageColumn()],
});
