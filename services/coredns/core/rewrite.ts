// Questions asked under another name, and their answers told under the first one. Source: CoreDNS plugin/rewrite (name rules).
import type { DnsRecord, Reply, SrvData } from './message.ts';

export interface RewriteRule {
  readonly match: 'exact' | 'prefix' | 'suffix' | 'substring' | 'regex';
  /** Lower case; exact and suffix end with a dot. */
  readonly from: string;
  readonly to: string;
  /** Whether later rules are looked at, too. */
  readonly goesOn: boolean;
  /** Whether records of the new name are told under the name that was asked for. */
  readonly isReverted: boolean;
  /** What else becomes of names in answers. */
  readonly answers: readonly { readonly of: 'name' | 'value'; readonly from: RegExp; readonly to: string }[];
}

export interface Rewritten {
  /** Without the dot at the end, as the names of questions are. */
  readonly name: string;
  readonly restore: (reply: Reply) => Reply;
}

/** Undefined: no rule is for this name. */
export function rewriteName(asked: string, rules: readonly RewriteRule[]): Rewritten | undefined {
  let name = `${asked.toLowerCase()}.`;
  const steps: ((text: string, of: 'name' | 'value') => string)[] = [];
  for (const rule of rules) {
    const next = replaced(name, rule);
    if (next === undefined) continue;
    const before = name === `${asked.toLowerCase()}.` ? `${asked}.` : name;
    if (rule.isReverted) steps.unshift((text) => (text === next ? before : text));
    for (const { of, from, to } of rule.answers) steps.unshift((text, kind) => (kind === of ? byGroups(text, from, to) ?? text : text));
    name = next;
    if (!rule.goesOn) break;
  }
  if (name === `${asked.toLowerCase()}.` && steps.length === 0) return undefined;
  const restoredText = (text: string, of: 'name' | 'value'): string => {
    const dotted = `${text.toLowerCase()}.`;
    const result = steps.reduce((current, step) => step(current, of), dotted);
    return result === dotted ? text : result.replace(/\.$/, '');
  };
  const restored = (records: readonly DnsRecord[]): DnsRecord[] => records.map((record) => ({ ...record, name: restoredText(record.name, 'name'), data: restoredData(record, (text) => restoredText(text, 'value')) }));
  return {
    name: name.slice(0, -1),
    restore: (reply) => ({ ...reply, answers: restored(reply.answers), authorities: restored(reply.authorities), additionals: restored(reply.additionals) }),
  };
}

function replaced(name: string, { match, from, to }: RewriteRule): string | undefined {
  switch (match) {
    case 'exact': return name === from ? to : undefined;
    case 'prefix': return name.startsWith(from) ? to + name.slice(from.length) : undefined;
    case 'suffix': return name.endsWith(from) ? name.slice(0, name.length - from.length) + to : undefined;
    case 'substring': return name.includes(from) ? name.replaceAll(from, to) : undefined;
    case 'regex': return byGroups(name, new RegExp(from), to);
  }
}

/** `{1}` stands for the first group. The result is a name with a dot at its end. */
function byGroups(text: string, from: RegExp, to: string): string | undefined {
  const groups = from.exec(text);
  if (!groups) return undefined;
  const result = to.replace(/\{(\d+)\}/g, (_, index: string) => groups[Number(index)] ?? '');
  return result.endsWith('.') ? result : `${result}.`;
}

function restoredData({ type, data }: DnsRecord, restore: (text: string) => string): unknown {
  if (type === 'CNAME' || type === 'NS' || type === 'PTR') return restore(data as string);
  return type === 'SRV' ? { ...(data as SrvData), target: restore((data as SrvData).target) } : data;
}
