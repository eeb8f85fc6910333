// Event of events.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { Event } from '../types/events-v1.ts';

export const eventsEventKind = defineKind<Event>({
  group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', singular: 'event', scope: 'Namespaced',
  schema: 'io.k8s.api.events.v1.Event',
  shortNames: ['ev'],
  storageVersionHash: 'r2yiGXH7wu8=',
});
