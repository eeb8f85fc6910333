// Event of v1: something that happened to an object. It is forgotten after an hour.
import { invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { ageOf } from '#lib/machinery/human-duration.ts';
import { byteLength, dnsSubdomainProblems, pathSegmentProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { textColumn } from '../columns.ts';
import { defineKind, type Column } from '../define-kind.ts';
import type { Event } from '../types/core-v1.ts';

/** Source: kube-apiserver --event-ttl. */
const EVENT_TTL_SECONDS = 3600;

function validateText(value: string | undefined, field: string, max: number): FieldError[] {
  if (!value) return [required(field)];
  return byteLength(value) > max ? [invalid(field, '', `can have at most ${max} characters`)] : [];
}

/** Source: pkg/apis/core/validation/events.go (legacyValidateEvent). */
function validate(event: Event): FieldError[] {
  const errors: FieldError[] = [];
  const namespace = event.metadata.namespace ?? '';
  const objectNamespace = event.involvedObject?.namespace ?? '';
  const disagrees = objectNamespace === ''
    ? namespace !== '' && namespace !== 'default' && !(event.eventTime !== undefined && namespace === 'kube-system')
    : event.eventTime === undefined && namespace !== objectNamespace;
  if (disagrees) errors.push(invalid('involvedObject.namespace', objectNamespace, 'does not match event.namespace'));
  if (event.eventTime !== undefined) {
    if (!event.reportingComponent) errors.push(required('reportingComponent'));
    else errors.push(...checked('reportingComponent', event.reportingComponent, qualifiedNameProblems));
    errors.push(
      ...validateText(event.reportingInstance, 'reportingInstance', 128), ...validateText(event.action, 'action', 128), ...validateText(event.reason, 'reason', 128),
    );
    if (byteLength(event.message ?? '') > 1024) errors.push(invalid('message', '', 'can have at most 1024 characters'));
  }
  return [...errors, ...checked('namespace', namespace, dnsSubdomainProblems)];
}

const firstSeen = (event: Event, nowMs: number): string => ageOf(event.firstTimestamp ?? event.eventTime, nowMs);
function lastSeen(event: Event, nowMs: number): string {
  if (event.series !== undefined) return ageOf(event.series.lastObservedTime, nowMs);
  return event.lastTimestamp === undefined ? firstSeen(event, nowMs) : ageOf(event.lastTimestamp, nowMs);
}
function objectText({ involvedObject }: Event): string {
  const kind = (involvedObject?.kind ?? '').toLowerCase();
  return involvedObject?.name ? `${kind}/${involvedObject.name}` : kind;
}
function sourceText({ source, reportingComponent, reportingInstance }: Event): string {
  return [source?.component || (reportingComponent ?? ''), source?.host || (reportingInstance ?? '')].filter((part, index) => index === 0 || part !== '').join(', ');
}

export const eventColumns: readonly Column<Event>[] = [
  textColumn('Last Seen', lastSeen),
  textColumn('Type', ({ type }) => type ?? ''),
  textColumn('Reason', ({ reason }) => reason ?? ''),
  textColumn('Object', objectText),
  textColumn('Subobject', ({ involvedObject }) => involvedObject?.fieldPath ?? '', 1),
  textColumn('Source', sourceText, 1),
  textColumn('Message', ({ message }) => (message ?? '').trim()),
  textColumn('First Seen', firstSeen, 1),
  { name: 'Count', type: 'string', priority: 1, value: ({ series, count }) => String(series?.count ?? (count || 1)) },
  { name: 'Name', type: 'string', format: 'name', priority: 1, value: ({ metadata }) => metadata.name },
];

export const eventSelectableFields: Readonly<Record<string, (event: Event) => string>> = {
  'involvedObject.kind': ({ involvedObject }) => involvedObject?.kind ?? '',
  'involvedObject.namespace': ({ involvedObject }) => involvedObject?.namespace ?? '',
  'involvedObject.name': ({ involvedObject }) => involvedObject?.name ?? '',
  'involvedObject.uid': ({ involvedObject }) => involvedObject?.uid ?? '',
  'involvedObject.apiVersion': ({ involvedObject }) => involvedObject?.apiVersion ?? '',
  'involvedObject.resourceVersion': ({ involvedObject }) => involvedObject?.resourceVersion ?? '',
  'involvedObject.fieldPath': ({ involvedObject }) => involvedObject?.fieldPath ?? '',
  reason: ({ reason }) => reason ?? '',
  reportingComponent: ({ reportingComponent }) => reportingComponent ?? '',
  source: ({ source, reportingComponent }) => source?.component || (reportingComponent ?? ''),
  type: ({ type }) => type ?? '',
};

export const eventKind = defineKind<Event>({
  group: '', version: 'v1', kind: 'Event', plural: 'events', singular: 'event', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Event',
  shortNames: ['ev'],
  storageVersionHash: 'r2yiGXH7wu8=',
  applyDefaults: (event) => {
    event.involvedObject ??= {};
    event.source ??= {};
    event.reportingComponent ??= '';
    event.reportingInstance ??= '';
  },
  validate,
  validateName: pathSegmentProblems,
  selectableFields: eventSelectableFields,
  allowCreateOnUpdate: true,
  timeToLiveSeconds: EVENT_TTL_SECONDS,
  columns: eventColumns,
});
