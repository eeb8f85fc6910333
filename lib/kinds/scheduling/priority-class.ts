// PriorityClass of scheduling.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';

export const priorityClassKind = defineKind<PriorityClass>({
  group: 'scheduling.k8s.io', version: 'v1', kind: 'PriorityClass', plural: 'priorityclasses', singular: 'priorityclass', scope: 'Cluster',
  schema: 'io.k8s.api.scheduling.v1.PriorityClass',
  shortNames: ['pc'],
  storageVersionHash: '1QwjyaZjj3Y=',
});
