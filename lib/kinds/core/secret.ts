// Secret of v1.
import { defineKind } from '../define-kind.ts';
import type { Secret } from '../types/core-v1.ts';

export const secretKind = defineKind<Secret>({
  group: '', version: 'v1', kind: 'Secret', plural: 'secrets', singular: 'secret', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Secret',
  storageVersionHash: 'S6u1pOWzb84=',
});
