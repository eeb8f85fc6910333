// How fast nodes of a zone may be given up. When most of a zone is silent, the fault is likelier on our side of the
// network than on theirs, and evicting would do harm. Source: handleDisruption in node_lifecycle_controller.go.
import type { Node } from '#lib/kinds/types/core-v1.ts';

export interface ZoneSettings {
  /** Nodes per second. */
  readonly evictionRate: number;
  readonly secondaryEvictionRate: number;
  readonly largeClusterSize: number;
  readonly unhealthyShare: number;
}
export type ZoneState = 'Normal' | 'PartialDisruption' | 'FullDisruption';

/** Region and zone labels, as component-helpers' GetZoneKey; nodes without them share one zone. */
export function zoneOf({ metadata: { labels = {} } }: Readonly<Node>): string {
  const zone = labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? '';
  const region = labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? '';
  return zone === '' && region === '' ? '' : `${region}:\0:${zone}`;
}

export function zoneState(readyNodes: number, notReadyNodes: number, { unhealthyShare }: ZoneSettings): ZoneState {
  if (readyNodes === 0 && notReadyNodes > 0) return 'FullDisruption';
  if (notReadyNodes > 2 && notReadyNodes / (notReadyNodes + readyNodes) >= unhealthyShare) return 'PartialDisruption';
  return 'Normal';
}

function rateOf(state: ZoneState, size: number, settings: ZoneSettings): number {
  switch (state) {
    case 'Normal': case 'FullDisruption': return settings.evictionRate;
    case 'PartialDisruption': return size > settings.largeClusterSize ? settings.secondaryEvictionRate : 0;
  }
}

interface Zone {
  rate: number;
  /** Tokens of the rate limiter, at most one. */
  tokens: number;
  atMs: number;
  readonly waiting: Set<string>;
}

export interface ZoneVerdict {
  /** All zones are silent: nobody is evicted, and evictions under way are called off. */
  readonly isAllDisrupted: boolean;
  /** The silence has just ended: every node gets its grace period anew. */
  readonly hasJustRecovered: boolean;
}

/** The queues of nodes to be tainted NoExecute, one per zone. */
export class EvictionQueues {
  readonly #settings: ZoneSettings;
  readonly #zones = new Map<string, Zone>();
  #isAllDisrupted = false;

  constructor(settings: ZoneSettings) {
    this.#settings = settings;
  }

  /** Sets the rates by what the nodes look like now. */
  assess(nodes: readonly { readonly node: Readonly<Node>; readonly isReady: boolean }[], nowMs: number): ZoneVerdict {
    const counts = new Map<string, { ready: number; notReady: number }>();
    for (const { node, isReady } of nodes) {
      const count = counts.get(zoneOf(node)) ?? { ready: 0, notReady: 0 };
      counts.set(zoneOf(node), count);
      if (isReady) count.ready += 1;
      else count.notReady += 1;
    }
    const states = new Map([...counts].map(([zone, { ready, notReady }]) => [zone, zoneState(ready, notReady, this.#settings)]));
    const isAllDisrupted = states.size > 0 && [...states.values()].every((state) => state === 'FullDisruption');
    const hasJustRecovered = this.#isAllDisrupted && !isAllDisrupted;
    this.#isAllDisrupted = isAllDisrupted;
    for (const name of this.#zones.keys()) if (!counts.has(name)) this.#zones.delete(name);
    for (const [name, { ready, notReady }] of counts) {
      this.#refill(name, nowMs).rate = isAllDisrupted ? 0 : rateOf(states.get(name) ?? 'Normal', ready + notReady, this.#settings);
    }
    return { isAllDisrupted, hasJustRecovered };
  }

  add(node: Readonly<Node>, nowMs: number): void {
    this.#refill(zoneOf(node), nowMs).waiting.add(node.metadata.name);
  }
  remove(node: Readonly<Node>): void {
    this.#zones.get(zoneOf(node))?.waiting.delete(node.metadata.name);
  }

  /** Names of nodes whose turn it is. */
  take(nowMs: number): string[] {
    const taken: string[] = [];
    for (const name of this.#zones.keys()) {
      const zone = this.#refill(name, nowMs);
      const [first] = zone.waiting;
      if (first === undefined || zone.rate <= 0 || zone.tokens < 1) continue;
      zone.tokens -= 1;
      zone.waiting.delete(first);
      taken.push(first);
    }
    return taken;
  }

  /** Time until the next turn of anybody who waits. */
  nextTurnMs(): number | undefined {
    let soonest: number | undefined;
    for (const { waiting, rate, tokens } of this.#zones.values()) {
      if (waiting.size === 0 || rate <= 0) continue;
      const waitMs = Math.max(0, ((1 - tokens) / rate) * 1000);
      soonest = Math.min(soonest ?? waitMs, waitMs);
    }
    return soonest;
  }

  #refill(name: string, nowMs: number): Zone {
    const zone = this.#zones.get(name) ?? { rate: this.#settings.evictionRate, tokens: 1, atMs: nowMs, waiting: new Set<string>() };
    this.#zones.set(name, zone);
    zone.tokens = Math.min(1, zone.tokens + ((nowMs - zone.atMs) / 1000) * zone.rate);
    zone.atMs = nowMs;
    return zone;
  }
}
