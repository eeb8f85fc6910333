// What upstream's configuration says of tracing: TracingConfiguration of the API server, `tracing` of a KubeletConfiguration.
// Source: component-base tracing/api/v1.
import type { CollectorOptions } from './start-tracing.ts';

/** Where a collector is, unless it is said. */
export const DEFAULT_COLLECTOR = 'localhost:4317';
const MILLION = 1_000_000;

/** Throws for what is out of bounds; `path` names the fields in errors. */
export function collectorOptions(fields: Readonly<Record<string, unknown>>, path = ''): CollectorOptions {
  const { endpoint = DEFAULT_COLLECTOR, samplingRatePerMillion = 0 } = fields;
  if (typeof endpoint !== 'string' || endpoint === '') throw new Error(`${path}endpoint: Invalid value: ${JSON.stringify(endpoint)}: must be host:port or a URL`);
  if (typeof samplingRatePerMillion !== 'number' || !Number.isInteger(samplingRatePerMillion) || samplingRatePerMillion < 0) {
    throw new Error(`${path}samplingRatePerMillion: Invalid value: ${JSON.stringify(samplingRatePerMillion)}: sampling rate must be positive`);
  }
  if (samplingRatePerMillion > MILLION) throw new Error(`${path}samplingRatePerMillion: Invalid value: ${samplingRatePerMillion}: sampling rate per million must be less than or equal to one million`);
  return { endpoint, samplingRatePerMillion };
}

/** A file for --tracing-config-file, parsed. */
export function tracingConfiguration(document: unknown): CollectorOptions {
  const { apiVersion, kind, ...fields } = (document ?? {}) as Record<string, unknown>;
  if (kind !== 'TracingConfiguration' || typeof apiVersion !== 'string' || !/^apiserver\.(k8s|config\.k8s)\.io\/v1(alpha1|beta1)?$/.test(apiVersion)) {
    throw new Error(`no kind "TracingConfiguration" of apiserver.k8s.io: ${JSON.stringify(kind)} in ${JSON.stringify(apiVersion)}`);
  }
  const unknown = Object.keys(fields).find((field) => field !== 'endpoint' && field !== 'samplingRatePerMillion');
  if (unknown !== undefined) throw new Error(`unknown field ${JSON.stringify(unknown)}`);
  return collectorOptions(fields);
}
