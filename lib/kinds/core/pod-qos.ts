// Quality of service: who is killed first when memory runs out. Source: pkg/apis/core/helper/qos.
import { compareQuantities, parseQuantity } from '#lib/machinery/quantity.ts';
import type { Pod, ResourceRequirements } from '../types/core-v1.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const COUNTED = ['cpu', 'memory'] as const;
const positive = (amount: string | undefined): boolean => amount !== undefined && parseQuantity(amount).nanos > 0n;

function hasAnything({ requests, limits }: Readonly<ResourceRequirements>): boolean {
  return COUNTED.some((name) => positive(requests?.[name]) || positive(limits?.[name]));
}
function isGuaranteed({ requests, limits }: Readonly<ResourceRequirements>): boolean {
  return COUNTED.every((name) => {
    const [request, limit] = [requests?.[name], limits?.[name]];
    return limit !== undefined && positive(limit) && (request === undefined || !positive(request) || compareQuantities(request, limit) === 0);
  });
}

export function qosClassOf({ spec }: Readonly<Pod>): QosClass {
  const all = spec.resources === undefined
    ? [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ resources }) => resources ?? {})
    : [spec.resources];
  if (!all.some(hasAnything)) return 'BestEffort';
  return all.every(isGuaranteed) ? 'Guaranteed' : 'Burstable';
}
