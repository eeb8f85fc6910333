// Spans in OTLP's JSON form (opentelemetry-proto, trace/v1), as the OTLP file exporter writes it: a TracesData a line.
import type { Attributes, AttributeValue } from '@opentelemetry/api';
import type { EndedSpan } from './span.ts';

export type OtlpValue =
  | { readonly stringValue: string } | { readonly boolValue: boolean } | { readonly intValue: string } | { readonly doubleValue: number }
  | { readonly arrayValue: { readonly values: readonly OtlpValue[] } };
export interface OtlpAttribute {
  readonly key: string;
  readonly value: OtlpValue;
}
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer */
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly OtlpAttribute[];
  readonly events?: readonly { readonly timeUnixNano: string; readonly name: string; readonly attributes?: readonly OtlpAttribute[] }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string; readonly attributes?: readonly OtlpAttribute[] }[];
  /** code: 1 ok, 2 error */
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly flags?: number;
}
export interface TracesData {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly OtlpSpan[] }[];
  }[];
}

const nanos = (ms: number): string => {
  const whole = Math.floor(ms);
  return `${whole}${String(Math.floor((ms - whole) * 1e6)).padStart(6, '0')}`;
};

function otlpValue(value: AttributeValue): OtlpValue {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return { arrayValue: { values: value.flatMap((one) => (one === null || one === undefined ? [] : otlpValue(one))) } };
}

export const otlpAttributes = (attributes: Attributes): OtlpAttribute[] =>
  Object.entries(attributes).flatMap(([key, value]) => (value === undefined ? [] : { key, value: otlpValue(value) }));

export function otlpSpan({ name, kind, spanContext, parentSpanContext, startMs, endMs, attributes, events, links, status }: EndedSpan): OtlpSpan {
  return {
    traceId: spanContext.traceId, spanId: spanContext.spanId, ...(parentSpanContext ? { parentSpanId: parentSpanContext.spanId } : {}),
    name, kind: kind + 1, startTimeUnixNano: nanos(startMs), endTimeUnixNano: nanos(endMs), attributes: otlpAttributes(attributes),
    ...(events.length === 0 ? {} : { events: events.map((event) => ({ timeUnixNano: nanos(event.timeMs), name: event.name, attributes: otlpAttributes(event.attributes) })) }),
    ...(links.length === 0 ? {} : { links: links.map((link) => ({ traceId: link.context.traceId, spanId: link.context.spanId, attributes: otlpAttributes(link.attributes ?? {}) })) }),
    ...(status.code === 0 ? {} : { status: { code: status.code, ...(status.message === undefined ? {} : { message: status.message }) } }),
    flags: spanContext.traceFlags,
  };
}

/** Spans of one process, by their scopes. */
export function tracesData(resource: readonly OtlpAttribute[], spans: readonly EndedSpan[]): TracesData {
  const byScope = new Map<string, OtlpSpan[]>();
  for (const span of spans) {
    const own = byScope.get(span.scope);
    if (own) own.push(otlpSpan(span));
    else byScope.set(span.scope, [otlpSpan(span)]);
  }
  return { resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [...byScope].map(([name, own]) => ({ scope: { name }, spans: own })) }] };
}
