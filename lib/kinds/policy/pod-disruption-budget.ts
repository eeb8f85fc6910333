// PodDisruptionBudget of policy/v1.
import { defineKind } from '../define-kind.ts';
import type { PodDisruptionBudget } from '../types/policy-v1.ts';

export const podDisruptionBudgetKind = defineKind<PodDisruptionBudget>({
  group: 'policy', version: 'v1', kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets', singular: 'poddisruptionbudget', scope: 'Namespaced',
  schema: 'io.k8s.api.policy.v1.PodDisruptionBudget',
  shortNames: ['pdb'],
  storageVersionHash: 'EVWiDmWqyJw=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
