// Lease of coordination.k8s.io/v1: a heartbeat, or who leads.
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { Lease } from '../types/coordination-v1.ts';
import { notNegative } from '../validation.ts';

function validate({ spec }: Lease): FieldError[] {
  const { leaseDurationSeconds, leaseTransitions } = spec ?? {};
  return [
    ...(leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0 ? [invalid('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0')] : []),
    ...notNegative(leaseTransitions, 'spec.leaseTransitions'),
  ];
}

/** Fields of coordinated leader election, which is off by default. */
function dropCoordination({ spec }: Lease): void {
  delete spec.strategy;
  delete spec.preferredHolder;
}

export const leaseKind = defineKind<Lease>({
  group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', singular: 'lease', scope: 'Namespaced',
  schema: 'io.k8s.api.coordination.v1.Lease',
  storageVersionHash: 'gqkMMb/YqFM=',
  // A body may leave out what the type requires.
  applyDefaults: (lease) => { lease.spec ??= {}; },
  prepareForCreate: dropCoordination,
  prepareForUpdate: dropCoordination,
  validate,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), textColumn('Holder', ({ spec }) => spec?.holderIdentity ?? ''), ageColumn()],
});
