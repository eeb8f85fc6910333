// SelfSubjectReview of authentication.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { SelfSubjectReview } from '../types/authentication-v1.ts';

export const selfSubjectReviewKind = defineKind<SelfSubjectReview>({
  group: 'authentication.k8s.io', version: 'v1', kind: 'SelfSubjectReview', plural: 'selfsubjectreviews', singular: 'selfsubjectreview', scope: 'Cluster',
  schema: 'io.k8s.api.authentication.v1.SelfSubjectReview',
  verbs: ['create'],
});
