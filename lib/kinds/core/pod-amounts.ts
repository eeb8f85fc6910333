// What a pod as a whole asks for: its containers together, or its init containers where those need more at once.
// Source: component-helpers resource/helpers.go, PodRequests and PodLimits.
import type { Container, PodSpec } from '../types/core-v1.ts';
import { addQuantities, parseQuantity, type Quantity } from '#lib/machinery/quantity.ts';

export type Amounts = Map<string, Quantity>;
type ResourceList = Readonly<Record<string, string>>;

export function addTo(sum: Amounts, more: ReadonlyMap<string, Quantity>): Amounts {
  for (const [name, amount] of more) {
    const known = sum.get(name);
    sum.set(name, known ? addQuantities(known, amount) : amount);
  }
  return sum;
}
function raiseTo(sum: Amounts, more: ReadonlyMap<string, Quantity>): void {
  for (const [name, amount] of more) {
    const known = sum.get(name);
    if (!known || known.nanos < amount.nanos) sum.set(name, amount);
  }
}

export const amountsOf = (list: ResourceList | undefined): Amounts => new Map(Object.entries(list ?? {}).map(([name, amount]) => [name, parseQuantity(amount)]));

function together(spec: Readonly<PodSpec>, part: 'requests' | 'limits'): Amounts {
  const of = (container: Readonly<Container>) => amountsOf(container.resources?.[part]);
  const total: Amounts = new Map();
  for (const container of spec.containers ?? []) addTo(total, of(container));
  const sidecars: Amounts = new Map();
  const peak: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') { // runs on beside all that come after it
      addTo(total, of(container));
      raiseTo(peak, addTo(sidecars, of(container)));
    } else {
      raiseTo(peak, addTo(new Map(sidecars), of(container)));
    }
  }
  raiseTo(total, peak);
  for (const [name, amount] of amountsOf(spec.resources?.[part])) total.set(name, amount); // set for the pod as a whole
  return total;
}

export function podAmounts(spec: Readonly<PodSpec>, options: { readonly withOverhead?: boolean } = {}): { readonly requests: Amounts; readonly limits: Amounts } {
  const [requests, limits] = [together(spec, 'requests'), together(spec, 'limits')];
  if (options.withOverhead && spec.overhead) {
    addTo(requests, amountsOf(spec.overhead));
    for (const [name, amount] of amountsOf(spec.overhead)) if (limits.has(name)) addTo(limits, new Map([[name, amount]]));
  }
  return { requests, limits };
}
