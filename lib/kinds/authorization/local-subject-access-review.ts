// LocalSubjectAccessReview of authorization.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { LocalSubjectAccessReview } from '../types/authorization-v1.ts';

export const localSubjectAccessReviewKind = defineKind<LocalSubjectAccessReview>({
  group: 'authorization.k8s.io', version: 'v1', kind: 'LocalSubjectAccessReview', plural: 'localsubjectaccessreviews', singular: 'localsubjectaccessreview', scope: 'Namespaced',
  schema: 'io.k8s.api.authorization.v1.LocalSubjectAccessReview',
  verbs: ['create'],
});
