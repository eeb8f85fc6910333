// A span as read from the files of a host: OTLP's JSON, taken apart.
import type { OtlpAttribute, OtlpSpan, OtlpValue, TracesData } from '#lib/tracing/otlp-json.ts';

export type SpanValue = string | number | boolean | readonly SpanValue[];

export interface TraceSpan {
  /** On whose disk it was found. */
  readonly host: string;
  readonly service: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client';
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Milliseconds since 1970, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, SpanValue>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** Why it failed. */
  readonly error: string | undefined;
}

function valueOf(value: OtlpValue): SpanValue {
  if ('stringValue' in value) return value.stringValue;
  if ('boolValue' in value) return value.boolValue;
  if ('intValue' in value) return Number(value.intValue);
  if ('doubleValue' in value) return value.doubleValue;
  return (value.arrayValue.values ?? []).map(valueOf);
}

const attributesOf = (attributes: readonly OtlpAttribute[] = []): Record<string, SpanValue> => Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));

/** Nanoseconds do not fit a double: milliseconds with six digits do, nearly. */
const msOf = (nanos: string): number => Number(nanos.slice(0, -6)) + Number(nanos.slice(-6)) / 1e6;

function spanOf(span: OtlpSpan, host: string, service: string): TraceSpan {
  return {
    host, service, name: span.name, kind: span.kind === 2 ? 'server' : span.kind === 3 ? 'client' : 'internal',
    traceId: span.traceId, spanId: span.spanId, parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
    startMs: msOf(span.startTimeUnixNano), endMs: msOf(span.endTimeUnixNano), attributes: attributesOf(span.attributes),
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })), error: span.status?.code === 2 ? span.status.message ?? 'failed' : undefined,
  };
}

/** Undefined: no such line, such as one that a killed process did not finish. */
export function parseSpanLine(line: string, host: string): TraceSpan[] | undefined {
  let data: TracesData;
  try {
    data = JSON.parse(line) as TracesData;
  } catch {
    return undefined;
  }
  return (data.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const service = attributesOf(resource.attributes)['service.name'];
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => spanOf(span, host, typeof service === 'string' ? service : 'unknown')));
  });
}
