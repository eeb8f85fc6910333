// What stands in our nft table besides its fixed frame: chains with rules, sets and maps with elements.

export interface TableContent {
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Set or map => key => verdict; the verdict is empty in a set. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Sets of clients with session affinity => timeout in seconds. The kernel fills them. */
  readonly affinitySets: ReadonlyMap<string, number>;
}

/** The part of it that one Service contributes. */
export interface ServiceRules {
  readonly chains: readonly (readonly [name: string, rules: readonly string[]])[];
  readonly elements: readonly (readonly [set: string, key: string, verdict: string])[];
  readonly affinitySets: readonly (readonly [name: string, seconds: number])[];
}

export const EMPTY_CONTENT: TableContent = { chains: new Map(), elements: new Map(), affinitySets: new Map() };

/** Where two Services want the same address and port, the first one gets it. */
export function joinContent(parts: Iterable<ServiceRules>): TableContent {
  const chains = new Map<string, readonly string[]>();
  const elements = new Map<string, Map<string, string>>();
  const affinitySets = new Map<string, number>();
  for (const part of parts) {
    for (const [name, rules] of part.chains) chains.set(name, rules);
    for (const [name, seconds] of part.affinitySets) affinitySets.set(name, seconds);
    for (const [set, key, verdict] of part.elements) {
      let entries = elements.get(set);
      if (!entries) elements.set(set, (entries = new Map()));
      if (!entries.has(key)) entries.set(key, verdict);
    }
  }
  return { chains, elements, affinitySets };
}
