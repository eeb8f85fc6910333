// Warnings about pods that are valid but hardly meant. Source: pkg/api/pod/warnings.go.
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import type { Container, Pod, PodSpec } from '../types/core-v1.ts';

const RENAMED_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

function resourceWarnings({ resources }: Container, path: string): string[] {
  return (['requests', 'limits'] as const).flatMap((list) => ['memory', 'ephemeral-storage'].flatMap((name) => {
    const amount = resources?.[list]?.[name];
    const isFraction = amount !== undefined && parseQuantity(amount).nanos % 1_000_000_000n !== 0n;
    return isFraction ? [`${path}.resources.${list}[${name}]: fractional byte value "${amount}" is invalid, must be an integer`] : [];
  }));
}

function environmentWarnings({ env }: Container, path: string): string[] {
  const first = new Map<string, number>();
  return (env ?? []).flatMap(({ name, value }, index) => {
    const before = first.get(name);
    first.set(name, index);
    // A value that mentions its own name builds on the earlier one.
    if (before === undefined || value?.includes(`$(${name})`)) return [];
    return [`${path}.env[${index}]: hides previous definition of "${name}", which may be dropped when using apply`];
  });
}

function portWarnings({ ports }: Container, path: string): string[] {
  const seen = new Map<string, number>();
  return (ports ?? []).flatMap(({ containerPort, protocol, hostPort, hostIP }, index) => {
    const key = `${containerPort}/${protocol ?? 'TCP'}/${hostPort ?? 0}/${hostIP ?? ''}`;
    const before = seen.get(key);
    if (before === undefined) {
      seen.set(key, index);
      return [];
    }
    return [`${path}.ports[${index}]: duplicate port definition with ${path}.ports[${before}]`];
  });
}

function containerWarnings(containers: readonly Container[] | undefined, path: string): string[] {
  return (containers ?? []).flatMap((container, index) => {
    const at = `${path}[${index}]`;
    return [...resourceWarnings(container, at), ...environmentWarnings(container, at), ...portWarnings(container, at)];
  });
}

/** Of pods and of pod templates; `path` ends in `spec`. */
export function podSpecWarnings(spec: PodSpec | undefined, path = 'spec'): string[] {
  if (spec === undefined) return [];
  const warnings = Object.keys(spec.nodeSelector ?? {}).flatMap((key) => {
    const text = RENAMED_LABELS[key];
    return text === undefined ? [] : [`${path}.nodeSelector[${key}]: ${text}`];
  });
  warnings.push(...containerWarnings(spec.initContainers, `${path}.initContainers`), ...containerWarnings(spec.containers, `${path}.containers`));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) warnings.push(`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`);
  return warnings;
}

/** Of what makes pods named after itself, on create. */
export function podNameWarnings(name: string): string[] {
  const problems = dnsLabelProblems(name);
  return problems.length === 0 ? [] : [`metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`];
}

export const podWarnings = ({ spec }: Pod): string[] => podSpecWarnings(spec);
