// Sends spans that were read from the hosts to a collector on this machine or elsewhere: OTLP over HTTP, in JSON, as they
// are kept. The hosts need not reach it, and what happened before anybody asked is there, too.
import { UserError } from '../user-error.ts';
import type { OtlpSpan, OtlpValue, TracesData } from '#lib/tracing/otlp-json.ts';
import type { SpanValue, TraceSpan } from './trace-span.ts';

/** Spans of one request. */
const BATCH = 500;
const TIMEOUT_MS = 10_000;
const KINDS = { internal: 1, server: 2, client: 3 } as const;

type Variables = Readonly<Record<string, string | undefined>>;

function otlpValue(value: SpanValue): OtlpValue {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return { arrayValue: { values: value.map(otlpValue) } };
}

const nanos = (ms: number): string => `${Math.floor(ms)}${String(Math.floor((ms % 1) * 1e6)).padStart(6, '0')}`;

function otlpSpan({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, links, error }: TraceSpan): OtlpSpan {
  return {
    traceId, spanId, ...(parentSpanId === undefined ? {} : { parentSpanId }), name, kind: KINDS[kind], startTimeUnixNano: nanos(startMs), endTimeUnixNano: nanos(endMs),
    attributes: Object.entries(attributes).map(([key, value]) => ({ key, value: otlpValue(value) })), ...(links.length === 0 ? {} : { links }), ...(error === undefined ? {} : { status: { code: 2, message: error } }),
  };
}

/** Spans of several processes as one message. */
export function tracesDataOf(spans: readonly TraceSpan[]): TracesData {
  const byProcess = new Map<string, TraceSpan[]>();
  for (const span of spans) {
    const process = `${span.host}/${span.service}`;
    const own = byProcess.get(process);
    if (own) own.push(span);
    else byProcess.set(process, [span]);
  }
  return {
    resourceSpans: [...byProcess.values()].map((own) => ({
      resource: { attributes: [{ key: 'service.name', value: { stringValue: own[0]?.service ?? '' } }, { key: 'host.name', value: { stringValue: own[0]?.host ?? '' } }] },
      scopeSpans: [{ scope: { name: 'kubreak' }, spans: own.map(otlpSpan) }],
    })),
  };
}

/** `name=value,name=value`, percent-encoded. Source: OTEL_EXPORTER_OTLP_HEADERS. */
const headersOf = (text: string): Record<string, string> =>
  Object.fromEntries(text.split(',').flatMap((pair) => (pair.includes('=') ? [[pair.slice(0, pair.indexOf('=')).trim(), decodeURIComponent(pair.slice(pair.indexOf('=') + 1).trim())]] : [])));

/** By the variables of OpenTelemetry. Throws UserError when there is no collector. */
export async function exportSpans(spans: readonly TraceSpan[], variables: Variables): Promise<string> {
  const base = variables['OTEL_EXPORTER_OTLP_ENDPOINT'] || 'http://localhost:4318';
  const url = variables['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || `${base.replace(/\/$/, '')}/v1/traces`;
  const headers = { ...headersOf(variables['OTEL_EXPORTER_OTLP_TRACES_HEADERS'] ?? variables['OTEL_EXPORTER_OTLP_HEADERS'] ?? ''), 'content-type': 'application/json' };
  for (let from = 0; from < spans.length; from += BATCH) {
    const body = JSON.stringify(tracesDataOf(spans.slice(from, from + BATCH)));
    const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((error: unknown) => {
      const { cause } = error as { cause?: unknown };
      throw new UserError(`cannot reach the collector at ${url}: ${cause instanceof Error ? cause.message : String(error)}`);
    });
    if (!response.ok) throw new UserError(`the collector at ${url} refuses spans: ${response.status} ${(await response.text()).slice(0, 200)}`);
    await response.arrayBuffer();
  }
  return url;
}
