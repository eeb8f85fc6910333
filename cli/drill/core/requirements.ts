// Whether a cluster is one that a drill can be run on.
import type { Requirements } from './drill.ts';

export interface ClusterFacts {
  readonly mode: 'local' | 'compose';
  readonly masters: number;
  readonly workers: number;
  readonly isRoot: boolean;
  readonly isFast: boolean;
  readonly missingPrograms: readonly string[];
}

/** What is lacking, in the words that follow "needs"; undefined: nothing. */
export function lackingFor({ masters = 1, 'max-masters': maxMasters, workers = 0, mode, root, 'fast-failure-detection': fast }: Requirements, facts: ClusterFacts): string | undefined {
  const needs: string[] = [];
  if (facts.masters < masters) needs.push(`${masters} masters (there ${facts.masters === 1 ? 'is one' : `are ${facts.masters}`}: kubreak up --masters ${masters})`);
  if (maxMasters !== undefined && facts.masters > maxMasters) needs.push(`${maxMasters === 1 ? 'a single master' : `at most ${maxMasters} masters`} (there are ${facts.masters})`);
  if (facts.workers < workers) needs.push(`${workers} workers (there are ${facts.workers})`);
  if (mode !== undefined && mode !== facts.mode) needs.push(mode === 'local' ? 'a local cluster (kubreak up)' : 'a cluster in containers (docker compose up, kubreak --compose)');
  if (root === true && !facts.isRoot) needs.push('a cluster of root');
  if (fast === true && !facts.isFast) needs.push('fast failure detection (kubreak up --fast-failure-detection)');
  if (fast === false && facts.isFast) needs.push('upstream\'s timings (kubreak up without --fast-failure-detection)');
  if (facts.missingPrograms.length > 0) needs.push(`${facts.missingPrograms.join(', ')} on this machine`);
  return needs.length === 0 ? undefined : needs.join('; ');
}
