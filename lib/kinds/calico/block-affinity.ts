// BlockAffinity of crd.projectcalico.org/v1: which node owns a block of pod addresses.
// The real one is a custom resource, so it gets the columns and the lifecycle of one.
import { ageColumn, nameColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { BlockAffinity } from '../types/calico-v1.ts';

export const blockAffinityKind = defineKind<BlockAffinity>({
  group: 'crd.projectcalico.org', version: 'v1', kind: 'BlockAffinity', plural: 'blockaffinities', singular: 'blockaffinity', scope: 'Cluster',
  schema: 'org.projectcalico.crd.v1.BlockAffinity',
  storagePrefix: 'crd.projectcalico.org/blockaffinities',
  generation: 'spec-change',
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), ageColumn()],
});
