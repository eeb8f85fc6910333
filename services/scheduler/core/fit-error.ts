// The text that says why a pod is on no node. Source: framework.FitError.
import type { FilterOutcome } from './framework.ts';

export const NO_NODES = 'no nodes available to schedule pods';

/** `0/4 nodes are available: 1 node(s) had untolerated taint(s), 3 Insufficient cpu.` */
export function fitErrorText(nodeCount: number, { rejections, refusedOutright }: Pick<FilterOutcome, 'rejections' | 'refusedOutright'>, postFilter = ''): string {
  if (nodeCount === 0) return NO_NODES;
  const tail = postFilter === '' ? '' : ` ${postFilter}`;
  const head = `0/${nodeCount} nodes are available:`;
  if (refusedOutright) return `${head} ${refusedOutright.reasons.join(', ')}.${tail}`;
  const counts = new Map<string, number>();
  for (const { reasons } of rejections.values()) for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const listed = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  return `${head} ${listed.join(', ')}.${tail}`;
}

/** Events hold at most 1024 bytes of text. Source: events.k8s.io validation, schedule_one.go truncateMessage. */
export function truncatedNote(text: string): string {
  const limit = 1024;
  return text.length <= limit ? text : `${text.slice(0, limit - 4)} ...`;
}
