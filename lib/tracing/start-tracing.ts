// Gives a process its tracing: spans go to a file on its host, and to a collector when somebody asks for it.
import { hostname } from 'node:os';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { context, propagation, trace } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { attribute } from './attributes.ts';
import { PromiseContextManager } from './context-manager.ts';
import { noteSpan } from './in-span.ts';
import { otlpAttributes } from './otlp-json.ts';
import { parentBased, ratioSampler, samplerNamed, type IsSampled } from './sampler.ts';
import { tracerProvider, type EndedSpan } from './span.ts';
import { openSpanFile, type SpanFile } from './span-file.ts';
import { SPAN_FOLDER, SPAN_FOLDER_VARIABLE } from './span-folder.ts';
import { TraceContextPropagator } from './trace-context.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** What upstream's TracingConfiguration says (apiserver --tracing-config-file, `tracing` of a KubeletConfiguration), or etcd's flags. */
export interface CollectorOptions {
  /** `host:port` of a collector that speaks OTLP over gRPC. */
  readonly endpoint: string;
  readonly samplingRatePerMillion: number;
  /** What exported spans say of the process, besides what is known of it. */
  readonly resource?: Readonly<Record<string, string>>;
}

export interface SpanExporter {
  add(span: EndedSpan): void;
  /** Resolves when what waits has been sent, or could not be. */
  stop(): Promise<void>;
}

interface Tracing {
  file: SpanFile | undefined;
  exporter: SpanExporter | undefined;
  isSampled: IsSampled;
  /** As the environment says; undefined: it says nothing. */
  readonly sampler: string | undefined;
  readonly resource: Readonly<Record<string, string | number>>;
  readonly log: Logger;
}
let tracing: Tracing | undefined;

/** `service.name=x,key=value`: values are percent-encoded. Source: OTEL_RESOURCE_ATTRIBUTES. */
function resourceAttributes(text: string): Record<string, string> {
  return Object.fromEntries(text.split(',').flatMap((pair) => {
    const at = pair.indexOf('=');
    return at <= 0 ? [] : [[pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim())]];
  }));
}

const wantsExport = (variables: Variables): boolean =>
  (variables['OTEL_TRACES_EXPORTER'] ?? 'otlp') === 'otlp' && Boolean(variables['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? variables['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']);

/**
 * Without a folder for spans and without a collector nothing is traced, and the API of OpenTelemetry does nothing.
 * Throws for variables that make no sense.
 */
export function startTracing(name: string, variables: Variables, log: Logger): void {
  if (variables['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return;
  const folder = variables[SPAN_FOLDER_VARIABLE] ?? SPAN_FOLDER;
  const resource = {
    [attribute.serviceName]: variables['OTEL_SERVICE_NAME'] ?? name, [attribute.hostName]: hostname(), [attribute.processId]: process.pid,
    ...resourceAttributes(variables['OTEL_RESOURCE_ATTRIBUTES'] ?? ''),
  };
  const hasFolder = existsSync(folder);
  if (!hasFolder && !wantsExport(variables)) return;
  begin(resource, log, variables);
  if (hasFolder) keepSpans(join(folder, `${name}.jsonl`));
  noteSpan(trace.getTracer('kubreak/service'), 'start', {});
  if (wantsExport(variables)) void import('./otlp-export.ts').then(({ exporterByVariables }) => exporterByVariables(variables, resource)).then(exportTo, cannotExport);
}

function begin(resource: Tracing['resource'], log: Logger, variables: Variables): Tracing {
  const sampler = variables['OTEL_TRACES_SAMPLER'];
  const started: Tracing = tracing = { file: undefined, exporter: undefined, isSampled: samplerNamed(sampler, variables['OTEL_TRACES_SAMPLER_ARG']), sampler, resource, log };
  context.setGlobalContextManager(new PromiseContextManager());
  propagation.setGlobalPropagator(new TraceContextPropagator());
  trace.setGlobalTracerProvider(tracerProvider({
    isSampled: (traceId, parent) => started.isSampled(traceId, parent),
    onEnd(span) {
      started.file?.add(span);
      if (span.spanContext.traceFlags !== 0) started.exporter?.add(span);
    },
  }));
  return started;
}

/** A component without its spans does its work all the same. */
function keepSpans(path: string): void {
  if (!tracing) return;
  const { resource, log } = tracing;
  const onFailure = (error: unknown): void => log.warn({ err: error, path }, 'cannot keep spans');
  try {
    const file = tracing.file = openSpanFile({ path, resource: otlpAttributes(resource), onFailure });
    process.once('exit', () => file.flush());
  } catch (error) {
    onFailure(error);
  }
}

function exportTo(exporter: SpanExporter): void {
  if (tracing) tracing.exporter = exporter;
}
function cannotExport(error: unknown): void {
  tracing?.log.error({ err: error }, 'cannot export spans');
}

/** Exports to a collector as a flag or a configuration file says; what the environment says goes first. */
export async function exportSpans({ endpoint, samplingRatePerMillion, resource }: CollectorOptions, name: string, log: Logger): Promise<void> {
  const started = tracing ?? begin({ [attribute.serviceName]: name, [attribute.hostName]: hostname(), [attribute.processId]: process.pid }, log, {});
  if (started.exporter) return;
  if (started.sampler === undefined) started.isSampled = parentBased(ratioSampler(samplingRatePerMillion / 1e6));
  const { exporterToCollector } = await import('./otlp-export.ts');
  started.exporter = await exporterToCollector(endpoint, { ...started.resource, ...resource });
}

/** Before the process ends. */
export async function stopTracing(): Promise<void> {
  tracing?.file?.flush();
  await tracing?.exporter?.stop();
}
