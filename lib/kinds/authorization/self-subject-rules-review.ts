// SelfSubjectRulesReview of authorization.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { SelfSubjectRulesReview } from '../types/authorization-v1.ts';

export const selfSubjectRulesReviewKind = defineKind<SelfSubjectRulesReview>({
  group: 'authorization.k8s.io', version: 'v1', kind: 'SelfSubjectRulesReview', plural: 'selfsubjectrulesreviews', singular: 'selfsubjectrulesreview', scope: 'Cluster',
  schema: 'io.k8s.api.authorization.v1.SelfSubjectRulesReview',
  verbs: ['create'],
});
