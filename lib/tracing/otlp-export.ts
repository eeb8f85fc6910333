// Sends spans to a collector, by OpenTelemetry's own exporters. Loaded only when somebody asks for it: with what it brings
// along it would double the size of a small process.
import { SpanKind, type HrTime } from '@opentelemetry/api';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter as SdkExporter } from '@opentelemetry/sdk-trace-base';
import type { EndedSpan } from './span.ts';
import type { SpanExporter } from './start-tracing.ts';

type Resource = Readonly<Record<string, string | number>>;
type Variables = Readonly<Record<string, string | undefined>>;

/** By OTEL_EXPORTER_OTLP_PROTOCOL; the exporters read endpoint, headers, certificates and deadlines from the environment. */
export async function exporterByVariables(variables: Variables, resource: Resource): Promise<SpanExporter> {
  const protocol = variables['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? variables['OTEL_EXPORTER_OTLP_PROTOCOL'] ?? 'http/protobuf';
  switch (protocol) {
    case 'http/protobuf': return batched(new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter(), resource);
    case 'http/json': return batched(new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter(), resource);
    case 'grpc': return batched(new (await import('@opentelemetry/exporter-trace-otlp-grpc')).OTLPTraceExporter(), resource);
    default: throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL: there is no protocol ${JSON.stringify(protocol)}`);
  }
}

/** Plain gRPC, as upstream's components export. */
export async function exporterToCollector(endpoint: string, resource: Resource): Promise<SpanExporter> {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
  return batched(new OTLPTraceExporter({ url: endpoint.includes('://') ? endpoint : `http://${endpoint}` }), resource);
}

function batched(exporter: SdkExporter, resource: Resource): SpanExporter {
  const processor = new BatchSpanProcessor(exporter);
  const shared: ReadableSpan['resource'] = {
    attributes: resource, merge: () => shared, getRawAttributes: () => Object.entries(resource),
  };
  return {
    add: (span) => processor.onEnd(readable(span, shared)),
    stop: () => processor.shutdown(),
  };
}

const hrTime = (ms: number): HrTime => [Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];

function readable({ scope, name, kind, spanContext, parentSpanContext, startMs, endMs, status, attributes, links, events }: EndedSpan, resource: ReadableSpan['resource']): ReadableSpan {
  return {
    name, kind: kind satisfies SpanKind, status, attributes, resource, ended: true,
    spanContext: () => spanContext, ...(parentSpanContext ? { parentSpanContext } : {}),
    startTime: hrTime(startMs), endTime: hrTime(endMs), duration: hrTime(endMs - startMs),
    links: [...links], events: events.map(({ name: event, timeMs, attributes: own }) => ({ name: event, time: hrTime(timeMs), attributes: own })),
    instrumentationScope: { name: scope }, droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0,
  };
}
