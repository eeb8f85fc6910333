// Event of v1.
import { defineKind } from '../define-kind.ts';
import type { Event } from '../types/core-v1.ts';

export const eventKind = defineKind<Event>({
  group: '', version: 'v1', kind: 'Event', plural: 'events', singular: 'event', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Event',
  shortNames: ['ev'],
  storageVersionHash: 'r2yiGXH7wu8=',
});
