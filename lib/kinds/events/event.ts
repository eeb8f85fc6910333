// Event of events.k8s.io/v1: the same events under their newer names, stored as those of v1.
// Source: pkg/apis/events/v1/conversion.go, pkg/apis/core/validation/events.go.
import { invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { byteLength, dnsSubdomainProblems, pathSegmentProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { eventColumns, eventKind, eventSelectableFields } from '../core/event.ts';
import { anyKind, defineKind, type Column, type KubernetesObject } from '../define-kind.ts';
import type { Event as CoreEvent } from '../types/core-v1.ts';
import type { Event } from '../types/events-v1.ts';

/** Drops what is absent, so that two equal events are written equally. */
function present<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function toStored(event: Event): CoreEvent {
  return present<CoreEvent>({
    apiVersion: 'v1', kind: 'Event', metadata: event.metadata,
    action: event.action, count: event.deprecatedCount, eventTime: event.eventTime, firstTimestamp: event.deprecatedFirstTimestamp,
    involvedObject: event.regarding ?? {}, lastTimestamp: event.deprecatedLastTimestamp, message: event.note, reason: event.reason, related: event.related,
    reportingComponent: event.reportingController ?? '', reportingInstance: event.reportingInstance ?? '', series: event.series, source: event.deprecatedSource ?? {},
    type: event.type,
  });
}

function fromStored(stored: KubernetesObject): Event {
  // The registry hands over objects of `storedAs.kind`.
  const event = stored as CoreEvent;
  return present<Event>({
    apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: event.metadata,
    action: event.action, deprecatedCount: event.count, deprecatedFirstTimestamp: event.firstTimestamp, deprecatedLastTimestamp: event.lastTimestamp,
    deprecatedSource: event.source, note: event.message, reason: event.reason, regarding: event.involvedObject, related: event.related,
    reportingController: event.reportingComponent, reportingInstance: event.reportingInstance, type: event.type,
    // The newer type requires both; an old event has no time of its own, which Go writes as null.
    eventTime: event.eventTime as string,
    series: event.series === undefined ? undefined : { count: event.series.count ?? 0, lastObservedTime: event.series.lastObservedTime ?? '' },
  });
}

function validateText(value: string | undefined, field: string, max: number): FieldError[] {
  if (!value) return [required(field)];
  return byteLength(value) > max ? [invalid(field, '', `can have at most ${max} characters`)] : [];
}

function validate(event: Event): FieldError[] {
  const errors: FieldError[] = [];
  const namespace = event.metadata.namespace ?? '';
  const regardingNamespace = event.regarding?.namespace ?? '';
  if (regardingNamespace === '' && namespace !== 'default' && namespace !== 'kube-system') {
    errors.push(invalid('involvedObject.namespace', regardingNamespace, 'does not match event.namespace'));
  }
  if (!event.reportingController) errors.push(required('reportingController'));
  else errors.push(...checked('reportingController', event.reportingController, qualifiedNameProblems));
  errors.push(...validateText(event.reportingInstance, 'reportingInstance', 128), ...validateText(event.action, 'action', 128), ...validateText(event.reason, 'reason', 128));
  if (byteLength(event.note ?? '') > 1024) errors.push(invalid('message', '', 'can have at most 1024 characters'));
  return [...errors, ...checked('namespace', namespace, dnsSubdomainProblems)];
}

function validateCreate(event: Event): FieldError[] {
  const errors: FieldError[] = event.eventTime ? [] : [required('eventTime')];
  if (event.type !== 'Normal' && event.type !== 'Warning') errors.push(invalid('type', '', `has invalid value: ${event.type ?? ''}`));
  if (event.deprecatedFirstTimestamp !== undefined) errors.push(invalid('firstTimestamp', '', 'needs to be unset'));
  if (event.deprecatedLastTimestamp !== undefined) errors.push(invalid('lastTimestamp', '', 'needs to be unset'));
  if (event.deprecatedCount) errors.push(invalid('count', '', 'needs to be unset'));
  if (event.deprecatedSource?.component || event.deprecatedSource?.host) errors.push(invalid('source', '', 'needs to be unset'));
  return errors;
}

/** Everything but the series is written once. Names are those of v1, as upstream reports them. */
function validateUpdate(next: Event, previous: Event): FieldError[] {
  const errors: FieldError[] = [
    ...unchanged(next.regarding, previous.regarding, 'involvedObject'), ...unchanged(next.reason, previous.reason, 'reason'),
    ...unchanged(next.note, previous.note, 'message'), ...unchanged(next.deprecatedSource, previous.deprecatedSource, 'source'),
    ...unchanged(next.deprecatedFirstTimestamp, previous.deprecatedFirstTimestamp, 'firstTimestamp'),
    ...unchanged(next.deprecatedLastTimestamp, previous.deprecatedLastTimestamp, 'lastTimestamp'),
    ...unchanged(next.deprecatedCount, previous.deprecatedCount, 'count'), ...unchanged(next.type, previous.type, 'type'),
    ...unchanged(next.eventTime, previous.eventTime, 'eventTime'), ...unchanged(next.action, previous.action, 'action'),
    ...unchanged(next.related, previous.related, 'related'), ...unchanged(next.reportingController, previous.reportingController, 'reportingController'),
    ...unchanged(next.reportingInstance, previous.reportingInstance, 'reportingInstance'),
  ];
  if (next.series !== undefined) {
    if (next.series.count < 2) errors.push(invalid('series.count', '', 'should be at least 2'));
    if (!next.series.lastObservedTime) errors.push(required('series.lastObservedTime'));
  }
  return errors;
}

export const eventsEventKind = defineKind<Event>({
  group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', singular: 'event', scope: 'Namespaced',
  schema: 'io.k8s.api.events.v1.Event',
  shortNames: ['ev'],
  storageVersionHash: 'r2yiGXH7wu8=',
  applyDefaults: (event) => {
    event.regarding ??= {};
    event.deprecatedSource ??= {};
  },
  validate,
  validateCreate,
  validateUpdate,
  validateName: pathSegmentProblems,
  selectableFields: Object.fromEntries(Object.entries(eventSelectableFields).map(([name, value]) => [name, (event: Event) => value(toStored(event))])),
  allowCreateOnUpdate: true,
  columns: eventColumns.map((column): Column<Event> => ({ ...column, value: (event, nowMs) => column.value(toStored(event), nowMs) })),
  storedAs: { kind: anyKind(eventKind), toStored, fromStored },
});
