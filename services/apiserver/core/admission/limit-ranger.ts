// LimitRanger: a namespace's LimitRanges complete the resources of containers and bound those of pods and claims.
// Source: plugin/pkg/admission/limitranger/admission.go.
import { limitRangeKind } from '#lib/kinds/core/limit-range.ts';
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import { canonicalQuantity, formatQuantity, parseQuantity } from '#lib/machinery/quantity.ts';
import type { ObjectReader } from '../object-reader.ts';
import { aggregateText, isKind, refusal, type AdmissionAttributes, type AdmissionPlugin } from './admission.ts';
import { amountsOf, podAmounts, type Amounts } from '#lib/quota/pod-amounts.ts';

const ANNOTATION = 'kubernetes.io/limit-ranger';
type ResourceList = Readonly<Record<string, string>>;

function defaultsOf({ spec }: Readonly<LimitRange>): { requests: ResourceList; limits: ResourceList } {
  const items = spec.limits.filter(({ type }) => type === 'Container');
  return { requests: Object.assign({}, ...items.map((item) => item.defaultRequest ?? {})) as ResourceList, limits: Object.assign({}, ...items.map((item) => item.default ?? {})) as ResourceList };
}

/** Sets what is missing; returns what was set, in words. */
function completeContainer(container: Container, defaults: { requests: ResourceList; limits: ResourceList }, what: string): string[] {
  const said: string[] = [];
  for (const part of ['requests', 'limits'] as const) {
    const missing = Object.entries(defaults[part]).filter(([name]) => container.resources?.[part]?.[name] === undefined);
    if (missing.length === 0) continue;
    container.resources = { ...container.resources, [part]: { ...container.resources?.[part], ...Object.fromEntries(missing) } };
    said.push(`${missing.map(([name]) => name).sort().join(', ')} ${part === 'requests' ? 'request' : 'limit'} for ${what} ${container.name}`);
  }
  return said;
}

export function completePod(pod: Pod, range: Readonly<LimitRange>): void {
  const defaults = defaultsOf(range);
  const said = [
    ...(pod.spec.containers ?? []).flatMap((container) => completeContainer(container, defaults, 'container')),
    ...(pod.spec.initContainers ?? []).flatMap((container) => completeContainer(container, defaults, 'init container')),
  ];
  if (said.length > 0) pod.metadata.annotations = { ...pod.metadata.annotations, [ANNOTATION]: `LimitRanger plugin set: ${said.join('; ')}` };
}


interface Measured {
  readonly requests: Amounts;
  readonly limits: Amounts;
}

function minProblems(type: string, min: ResourceList, { requests, limits }: Measured): string[] {
  return Object.entries(min).flatMap(([name, bound]) => {
    const least = parseQuantity(bound).nanos;
    const [request, limit] = [requests.get(name), limits.get(name)];
    const rule = `minimum ${name} usage per ${type} is ${canonicalQuantity(bound)}`;
    if (!request) return [`${rule}.  No request is specified`];
    if (request.nanos < least) return [`${rule}, but request is ${formatQuantity(request)}`];
    return limit && limit.nanos < least ? [`${rule}, but limit is ${formatQuantity(limit)}`] : [];
  });
}

function maxProblems(type: string, max: ResourceList, { requests, limits }: Measured): string[] {
  return Object.entries(max).flatMap(([name, bound]) => {
    const most = parseQuantity(bound).nanos;
    const [request, limit] = [requests.get(name), limits.get(name)];
    const rule = `maximum ${name} usage per ${type} is ${canonicalQuantity(bound)}`;
    if (!limit) return [`${rule}.  No limit is specified`];
    if (limit.nanos > most) return [`${rule}, but limit is ${formatQuantity(limit)}`];
    return request && request.nanos > most ? [`${rule}, but request is ${formatQuantity(request)}`] : [];
  });
}

function ratioProblems(type: string, ratios: ResourceList, { requests, limits }: Measured): string[] {
  return Object.entries(ratios).flatMap(([name, bound]) => {
    const [request, limit] = [requests.get(name), limits.get(name)];
    const rule = `${name} max limit to request ratio per ${type} is ${canonicalQuantity(bound)}`;
    if (!request || request.nanos === 0n) return [`${rule}, but no request is specified or request is 0`];
    if (!limit || limit.nanos === 0n) return [`${rule}, but no limit is specified or limit is 0`];
    const ratio = Number(limit.nanos) / Number(request.nanos);
    return ratio > Number(parseQuantity(bound).nanos) / 1e9 ? [`${rule}, but provided ratio is ${ratio.toFixed(6)}`] : [];
  });
}


const problemsOf = (item: LimitRangeItem, measured: Measured): string[] => [
  ...minProblems(item.type, item.min ?? {}, measured), ...maxProblems(item.type, item.max ?? {}, measured), ...ratioProblems(item.type, item.maxLimitRequestRatio ?? {}, measured),
];

export function podProblems(pod: Readonly<Pod>, range: Readonly<LimitRange>): string[] {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  return range.spec.limits.flatMap((item) => {
    if (item.type === 'Container') {
      return containers.flatMap(({ resources }) => problemsOf(item, { requests: amountsOf(resources?.requests), limits: amountsOf(resources?.limits) }));
    }
    return item.type === 'Pod' ? problemsOf(item, podAmounts(pod.spec)) : [];
  });
}

export function claimProblems(claim: Readonly<PersistentVolumeClaim>, range: Readonly<LimitRange>): string[] {
  const requests = amountsOf(claim.spec?.resources?.requests);
  return range.spec.limits.filter(({ type }) => type === 'PersistentVolumeClaim').flatMap((item) => [
    ...minProblems(item.type, item.min ?? {}, { requests, limits: new Map() }),
    ...Object.entries(item.max ?? {}).flatMap(([name, bound]) => {
      const request = requests.get(name);
      const rule = `maximum ${name} usage per ${item.type} is ${canonicalQuantity(bound)}`;
      if (!request) return [`${rule}.  No request is specified`];
      return request.nanos > parseQuantity(bound).nanos ? [`${rule}, but request is ${formatQuantity(request)}`] : [];
    }),
  ]);
}

/** Pods do not change what they ask for but by /resize. */
function isConcerned(attributes: AdmissionAttributes): 'pod' | 'claim' | undefined {
  const { operation, subresource, object } = attributes;
  if (operation === 'DELETE' || !object) return undefined;
  if (operation === 'UPDATE' && object.metadata.deletionTimestamp !== undefined) return undefined;
  if (isKind(attributes, '', 'Pod')) return (operation === 'CREATE' ? subresource === '' : subresource === 'resize') ? 'pod' : undefined;
  return isKind(attributes, '', 'PersistentVolumeClaim') && subresource === '' ? 'claim' : undefined;
}

export function limitRanger(objects: ObjectReader): AdmissionPlugin {
  const rangesOf = (namespace: string) => objects.listCached(limitRangeKind, namespace);
  return {
    name: 'LimitRanger',
    admit: (attributes) => {
      if (isConcerned(attributes) !== 'pod') return;
      for (const range of rangesOf(attributes.namespace)) completePod(attributes.object as Pod, range);
    },
    validate: (attributes) => {
      const what = isConcerned(attributes);
      if (!what) return;
      for (const range of rangesOf(attributes.namespace)) {
        const problems = what === 'pod' ? podProblems(attributes.object as Pod, range) : claimProblems(attributes.object as PersistentVolumeClaim, range);
        if (problems.length > 0) throw refusal(attributes, aggregateText(problems));
      }
    },
  };
}
