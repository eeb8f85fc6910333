// nft scripts: one that makes the table right whatever it holds, and one that only carries the differences.
// Chains that nobody goes to any more are emptied at once and deleted in a later transaction: the kernel may still hold
// references to them from elements deleted in the same one. Source: kubernetes pkg/proxy/nftables (staleChains).
import { TABLE, type Frame } from './table-frame.ts';
import type { TableContent } from './table-content.ts';

/** Elements in one statement; keeps lines of a script within reason. */
const BATCH = 500;
const IN_TABLE = `ip ${TABLE}`;

export interface Leftovers {
  readonly chains: readonly string[];
  readonly sets: readonly string[];
}

export interface Present {
  readonly chains: readonly string[];
  readonly sets: readonly string[];
}

/** What is in the table but not wanted. */
export function leftoversOf(present: Present, content: TableContent, frame: Frame): Leftovers {
  const isFrameChain = new Set([...frame.rules.keys(), ...frame.baseChains.map(([name]) => name)]);
  const isFrameSet = new Set(frame.sets.map(([, name]) => name));
  return {
    chains: present.chains.filter((name) => !content.chains.has(name) && !isFrameChain.has(name)),
    sets: present.sets.filter((name) => !content.affinitySets.has(name) && !isFrameSet.has(name)),
  };
}

/** Makes frame and content anew but keeps the sets of session affinity; `leftovers` are emptied. */
export function fullTransaction(content: TableContent, frame: Frame, leftovers: Leftovers): string {
  const lines = [`add table ${IN_TABLE} { comment "rules for kube-proxy"; }`];
  for (const [name, hook] of frame.baseChains) lines.push(`add chain ${IN_TABLE} ${name} { ${hook} }`);
  for (const [kind, name, declaration] of frame.sets) lines.push(`add ${kind} ${IN_TABLE} ${name} { ${declaration} }`);
  for (const name of frame.rules.keys()) lines.push(`add chain ${IN_TABLE} ${name}`, `flush chain ${IN_TABLE} ${name}`);
  for (const [kind, name] of frame.sets) lines.push(`flush ${kind} ${IN_TABLE} ${name}`);
  for (const [name, seconds] of content.affinitySets) lines.push(addAffinitySet(name, seconds));
  for (const name of content.chains.keys()) lines.push(`add chain ${IN_TABLE} ${name}`, `flush chain ${IN_TABLE} ${name}`);
  for (const name of leftovers.chains) lines.push(`flush chain ${IN_TABLE} ${name}`);
  for (const [name, rules] of [...frame.rules, ...content.chains]) for (const rule of rules) lines.push(`add rule ${IN_TABLE} ${name} ${rule}`);
  pushElements(lines, 'add', 'nodeport-ips', new Map(frame.nodePortIps.map((address) => [address, ''])));
  for (const [set, elements] of content.elements) pushElements(lines, 'add', set, elements);
  return `${lines.join('\n')}\n`;
}

export interface IncrementalTransaction {
  /** Empty when nothing differs. */
  readonly script: string;
  readonly leftovers: Leftovers;
}

export function incrementalTransaction(applied: TableContent, wanted: TableContent): IncrementalTransaction {
  const lines: string[] = [];
  const rules: string[] = [];
  for (const [name, seconds] of wanted.affinitySets) if (!applied.affinitySets.has(name)) lines.push(addAffinitySet(name, seconds));
  for (const [name, chain] of wanted.chains) {
    const known = applied.chains.get(name);
    if (known && known.length === chain.length && known.every((rule, index) => rule === chain[index])) continue;
    lines.push(`add chain ${IN_TABLE} ${name}`, `flush chain ${IN_TABLE} ${name}`);
    for (const rule of chain) rules.push(`add rule ${IN_TABLE} ${name} ${rule}`);
  }
  const added: string[] = [];
  for (const set of new Set([...applied.elements.keys(), ...wanted.elements.keys()])) {
    const before = applied.elements.get(set) ?? new Map<string, string>();
    const after = wanted.elements.get(set) ?? new Map<string, string>();
    pushElements(lines, 'delete', set, new Map([...before].filter(([key, verdict]) => after.get(key) !== verdict)));
    pushElements(added, 'add', set, new Map([...after].filter(([key, verdict]) => before.get(key) !== verdict)));
  }
  const leftovers = {
    chains: [...applied.chains.keys()].filter((name) => !wanted.chains.has(name)),
    sets: [...applied.affinitySets.keys()].filter((name) => !wanted.affinitySets.has(name)),
  };
  for (const name of leftovers.chains) lines.push(`flush chain ${IN_TABLE} ${name}`);
  const all = [...lines, ...rules, ...added];
  return { script: all.length === 0 ? '' : `${all.join('\n')}\n`, leftovers };
}

/** Deletes what earlier transactions emptied. */
export function cleanupTransaction({ chains, sets }: Leftovers): string {
  return [...chains.map((name) => `delete chain ${IN_TABLE} ${name}`), ...sets.map((name) => `delete set ${IN_TABLE} ${name}`), ''].join('\n');
}

const addAffinitySet = (name: string, seconds: number): string => `add set ${IN_TABLE} ${name} { type ipv4_addr; flags dynamic,timeout; timeout ${seconds}s; }`;

function pushElements(lines: string[], verb: 'add' | 'delete', set: string, elements: ReadonlyMap<string, string>): void {
  const texts = [...elements].map(([key, verdict]) => (verdict === '' || verb === 'delete' ? key : `${key} : ${verdict}`));
  for (let start = 0; start < texts.length; start += BATCH) lines.push(`${verb} element ${IN_TABLE} ${set} { ${texts.slice(start, start + BATCH).join(', ')} }`);
}
