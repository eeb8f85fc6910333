// IPPool of crd.projectcalico.org/v1: the addresses that pods may get, cut into blocks that nodes take as a whole.
// The real one is a custom resource, so it gets the columns and the lifecycle of one.
import { ageColumn, nameColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { IPPool } from '../types/calico-v1.ts';

export const ipPoolKind = defineKind<IPPool>({
  group: 'crd.projectcalico.org', version: 'v1', kind: 'IPPool', plural: 'ippools', singular: 'ippool', scope: 'Cluster',
  schema: 'org.projectcalico.crd.v1.IPPool',
  storagePrefix: 'crd.projectcalico.org/ippools',
  generation: 'spec-change',
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), ageColumn()],
});
