// What a pod asks of a node. Source: k8s.io/component-helpers/resource PodRequests.
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';

/** Amounts by resource name: cpu in thousandths of a core, everything else in whole units (bytes, pods). */
export type Resources = Readonly<Record<string, number>>;

/** For scoring only: what a container without a request counts as. Source: schedutil.GetNonzeroRequests. */
export const DEFAULT_MILLI_CPU = 100;
export const DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024;

export function amountsOf(list: Readonly<Record<string, string>> | undefined): Resources {
  return Object.fromEntries(Object.entries(list ?? {}).map(([name, quantity]) => [name, name === 'cpu' ? milliValue(quantity) : integerValue(quantity)]));
}

export function add(left: Resources, right: Resources): Resources {
  const sum: Record<string, number> = { ...left };
  for (const [name, amount] of Object.entries(right)) sum[name] = (sum[name] ?? 0) + amount;
  return sum;
}

export function subtract(left: Resources, right: Resources): Resources {
  const rest: Record<string, number> = { ...left };
  for (const [name, amount] of Object.entries(right)) rest[name] = (rest[name] ?? 0) - amount;
  return rest;
}

function larger(left: Resources, right: Resources): Resources {
  const result: Record<string, number> = { ...left };
  for (const [name, amount] of Object.entries(right)) result[name] = Math.max(result[name] ?? 0, amount);
  return result;
}

const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always';

/**
 * The sum of the containers and sidecars, or what one init container needs together with the sidecars started before
 * it, whichever is larger; plus overhead. Requests of the pod as a whole take precedence.
 */
export function requestsOf({ spec }: Pod, requestsOfContainer: (container: Container) => Resources = ({ resources }) => amountsOf(resources?.requests)): Resources {
  let total = spec.containers.map(requestsOfContainer).reduce(add, {});
  let sidecars: Resources = {};
  let initial: Resources = {};
  for (const container of spec.initContainers ?? []) {
    const own = requestsOfContainer(container);
    if (isSidecar(container)) {
      sidecars = add(sidecars, own);
      initial = larger(initial, sidecars);
    } else {
      initial = larger(initial, add(sidecars, own));
    }
  }
  total = larger(add(total, sidecars), initial);
  total = { ...total, ...amountsOf(spec.resources?.requests) };
  return add(total, amountsOf(spec.overhead));
}

/** Requests of cpu and memory where a container without any counts with upstream's defaults. */
export function nonZeroRequestsOf(pod: Pod): Resources {
  return requestsOf(pod, ({ resources }) => ({ cpu: DEFAULT_MILLI_CPU, memory: DEFAULT_MEMORY_BYTES, ...amountsOf(resources?.requests) }));
}
