// The last two measurements of everything, and the usage between them. Source: pkg/storage of metrics-server.
import type { Batch, Point } from './resource-metrics.ts';

/** A container younger than this has run too short a time for its first measurement to say anything. Milliseconds. Source: freshContainerMinMetricsResolution. */
const FRESH_CONTAINER_MIN_MS = 10_000;

export interface Usage {
  readonly cpuNanoCores: number;
  readonly memoryBytes: number;
  readonly atMs: number;
  readonly windowMs: number;
}
export interface PodUsage {
  readonly atMs: number;
  readonly windowMs: number;
  readonly containers: readonly { readonly name: string; readonly usage: Usage }[];
}
interface Measured {
  readonly last: Point;
  /** The measurement before, of the same run; undefined: there is none. */
  readonly previous: Point | undefined;
}

/** Undefined when the counter went backwards. */
function usageOf({ last, previous }: Measured): Usage | undefined {
  if (!previous || last.startedMs < previous.startedMs || last.cpuNs < previous.cpuNs) return undefined;
  const windowMs = last.atMs - previous.atMs;
  return { cpuNanoCores: Math.floor(((last.cpuNs - previous.cpuNs) * 1000) / windowMs), memoryBytes: last.memoryBytes, atMs: last.atMs, windowMs };
}

/** The earlier point that goes with a new one: what was last, or, of an unchanged measurement, what came before that. */
function earlier(known: Measured | undefined, next: Point): Point | undefined {
  if (!known) return undefined;
  if (next.atMs > known.last.atMs) return known.last;
  return known.previous && known.previous.atMs < next.atMs ? known.previous : undefined;
}

export class MetricsStore {
  readonly #resolutionMs: number;
  #nodes = new Map<string, Measured>();
  #pods = new Map<string, Map<string, Measured>>();

  constructor(resolutionMs: number) {
    this.#resolutionMs = resolutionMs;
  }

  /** Takes one round of measurements; what is not in it is forgotten. */
  store({ nodes, pods }: Batch): void {
    this.#nodes = new Map([...nodes].map(([name, last]) => [name, { last, previous: earlier(this.#nodes.get(name), last) }]));
    this.#pods = new Map([...pods].map(([pod, containers]) => [pod, new Map([...containers].map(([name, last]) => [name, { last, previous: this.#earlierOf(pod, name, last) }]))]));
  }

  #earlierOf(pod: string, container: string, next: Point): Point | undefined {
    const ageMs = next.atMs - next.startedMs;
    // Started since the last round: its start, when it had used nothing, is the earlier point.
    if (ageMs > 0 && ageMs < this.#resolutionMs && ageMs >= FRESH_CONTAINER_MIN_MS) return { ...next, atMs: next.startedMs, cpuNs: 0 };
    const known = this.#pods.get(pod)?.get(container);
    return known && next.startedMs < known.last.atMs ? earlier(known, next) : undefined;
  }

  /** Whether anything can be told yet. */
  get isReady(): boolean {
    return this.count().nodes + this.count().containers > 0;
  }

  /** How many can be told about. */
  count(): { readonly nodes: number; readonly containers: number } {
    const known = (measured: Iterable<Measured>): number => [...measured].filter(({ previous }) => previous !== undefined).length;
    return { nodes: known(this.#nodes.values()), containers: [...this.#pods.values()].reduce((sum, containers) => sum + known(containers.values()), 0) };
  }

  node(name: string): Usage | undefined {
    const measured = this.#nodes.get(name);
    return measured && usageOf(measured);
  }

  /** `pod`: namespace/name. Undefined until each of its containers has been measured twice. */
  pod(pod: string): PodUsage | undefined {
    const measured = [...this.#pods.get(pod) ?? []];
    if (measured.length === 0 || measured.some(([, { previous }]) => previous === undefined)) return undefined;
    const containers = measured.flatMap(([name, one]) => {
      const usage = usageOf(one);
      return usage ? [{ name, usage }] : [];
    });
    const [first] = containers.map(({ usage }) => usage).sort((left, right) => left.atMs - right.atMs);
    return first && { atMs: first.atMs, windowMs: first.windowMs, containers };
  }
}
