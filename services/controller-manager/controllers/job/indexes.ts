// Completion indexes of an Indexed Job, and the text that lists them: `0,2-4`. Source: pkg/controller/job/indexed_job_utils.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';

export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

/** Undefined: the pod has none, or not a number. */
export function completionIndexOf({ metadata }: Readonly<Pod>): number | undefined {
  const text = metadata.annotations?.[COMPLETION_INDEX];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Indexes at or beyond `completions` are left out: the Job may have been made smaller. */
export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? '').split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) continue;
    const last = Math.min(Number(match[2] ?? match[1]), completions - 1);
    for (let index = Number(match[1]); index <= last; index += 1) indexes.add(index);
  }
  return indexes;
}

export function formatIndexes(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].sort((left, right) => left - right);
  const parts: string[] = [];
  for (let start = 0; start < sorted.length;) {
    let end = start;
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end += 1;
    const [first, last] = [sorted[start] ?? 0, sorted[end] ?? 0];
    parts.push(first === last ? `${first}` : last === first + 1 ? `${first},${last}` : `${first}-${last}`);
    start = end + 1;
  }
  return parts.join(',');
}

/** The lowest indexes that nothing has taken. */
export function firstFreeIndexes(count: number, completions: number, isTaken: (index: number) => boolean): number[] {
  const free: number[] = [];
  for (let index = 0; index < completions && free.length < count; index += 1) if (!isTaken(index)) free.push(index);
  return free;
}
