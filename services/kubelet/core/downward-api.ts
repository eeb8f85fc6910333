// Values of a pod's own fields, for environments and downwardAPI volumes.
// Source: pkg/fieldpath/fieldpath.go, pkg/api/v1/resource/helpers.go.
import type { Container, Pod, ResourceFieldSelector } from '#lib/kinds/types/core-v1.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';
import { allContainersOf } from './pod-spec.ts';
import { ConfigurationError } from './environment-variables.ts';

export interface FieldContext {
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  readonly nodeName: string;
  /** Stands in for limits that are not set. */
  readonly nodeAllocatable: Readonly<Record<string, string>>;
}

/** A map as a file shows it: `key="value"`, sorted by key. */
function mapText(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {}).sort(([left], [right]) => (left < right ? -1 : 1)).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join('\n');
}

export function fieldValue(pod: Pod, fieldPath: string, context: FieldContext): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(fieldPath);
  if (subscript) return metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2] ?? ''] ?? '';
  switch (fieldPath) {
    case 'metadata.name': return metadata.name;
    case 'metadata.namespace': return metadata.namespace ?? '';
    case 'metadata.uid': return metadata.uid ?? '';
    case 'metadata.labels': return mapText(metadata.labels);
    case 'metadata.annotations': return mapText(metadata.annotations);
    case 'spec.nodeName': return context.nodeName;
    case 'spec.serviceAccountName': return spec.serviceAccountName ?? '';
    case 'status.hostIP': return context.hostIPs[0] ?? '';
    case 'status.hostIPs': return context.hostIPs.join(',');
    case 'status.podIP': return context.podIPs[0] ?? '';
    case 'status.podIPs': return context.podIPs.join(',');
    default: throw new ConfigurationError(`unsupported fieldPath: ${fieldPath}`);
  }
}

export function resourceValue(pod: Pod, current: Container | undefined, { containerName, resource, divisor }: ResourceFieldSelector, context: FieldContext): string {
  const container = containerName === undefined || containerName === '' ? current : allContainersOf(pod).find(({ name }) => name === containerName);
  if (!container) throw new ConfigurationError(`container ${containerName ?? ''} not found`);
  const [kind, ...rest] = resource.split('.');
  const name = rest.join('.');
  const { limits, requests } = container.resources ?? {};
  const limit = limits?.[name] ?? (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' ? context.nodeAllocatable[name] : undefined);
  const quantity = kind === 'limits' ? limit : requests?.[name];
  const unit = divisor === undefined || divisor === '' || divisor === '0' ? '1' : divisor;
  if (name === 'cpu') return String(Math.ceil(milliValue(quantity) / milliValue(unit)));
  return String(Math.ceil(integerValue(quantity) / integerValue(unit)));
}
