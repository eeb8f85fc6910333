// A drill that cannot fail shows nothing: without its fault it has to miss something that it expects.
import type { DrillReport } from '../../cli/drill/core/report.ts';

/** Of a drill that was run without its fault; undefined: it failed as it has to. */
export function selfCheckProblem({ status, problem = '', steps }: Pick<DrillReport, 'status' | 'problem' | 'steps'>): string | undefined {
  if (status === 'passed') return 'it passes, and shows nothing';
  // That it could not be carried out says nothing about what it expects.
  if (status !== 'failed' || !steps.some((step) => step.status === 'failed')) return `it ended otherwise: ${status}: ${problem}`;
  return undefined;
}
