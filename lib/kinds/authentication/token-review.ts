// TokenReview of authentication.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { TokenReview } from '../types/authentication-v1.ts';

export const tokenReviewKind = defineKind<TokenReview>({
  group: 'authentication.k8s.io', version: 'v1', kind: 'TokenReview', plural: 'tokenreviews', singular: 'tokenreview', scope: 'Cluster',
  schema: 'io.k8s.api.authentication.v1.TokenReview',
  verbs: ['create'],
});
