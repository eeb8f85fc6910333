// SelfSubjectAccessReview of authorization.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { SelfSubjectAccessReview } from '../types/authorization-v1.ts';

export const selfSubjectAccessReviewKind = defineKind<SelfSubjectAccessReview>({
  group: 'authorization.k8s.io', version: 'v1', kind: 'SelfSubjectAccessReview', plural: 'selfsubjectaccessreviews', singular: 'selfsubjectaccessreview', scope: 'Cluster',
  schema: 'io.k8s.api.authorization.v1.SelfSubjectAccessReview',
  verbs: ['create'],
});
