// SubjectAccessReview of authorization.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { SubjectAccessReview } from '../types/authorization-v1.ts';

export const subjectAccessReviewKind = defineKind<SubjectAccessReview>({
  group: 'authorization.k8s.io', version: 'v1', kind: 'SubjectAccessReview', plural: 'subjectaccessreviews', singular: 'subjectaccessreview', scope: 'Cluster',
  schema: 'io.k8s.api.authorization.v1.SubjectAccessReview',
  verbs: ['create'],
});
