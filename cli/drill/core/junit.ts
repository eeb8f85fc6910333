// Reports as JUnit has them, for continuous integration: a suite for each drill, a case for each step.
import type { DrillReport, StepReport } from './report.ts';

const escaped = (text: string): string => text
  .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd') // not allowed in XML at all
  .replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll('\n', '&#10;');
const seconds = (durationMs: number): string => (durationMs / 1000).toFixed(3);

export function junitText(reports: readonly DrillReport[]): string {
  const suites = reports.map(suiteOf);
  const sum = (key: 'tests' | 'failures' | 'errors' | 'skipped'): number => suites.reduce((total, suite) => total + suite[key], 0);
  const totalMs = reports.reduce((total, { durationMs }) => total + durationMs, 0);
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="kubreak drills" tests="${sum('tests')}" failures="${sum('failures')}" errors="${sum('errors')}" skipped="${sum('skipped')}" time="${seconds(totalMs)}">
${suites.map(({ text }) => text).join('\n')}
</testsuites>
`;
}

interface Suite {
  readonly text: string;
  readonly tests: number;
  readonly failures: number;
  readonly errors: number;
  readonly skipped: number;
}

function suiteOf(report: DrillReport): Suite {
  const { drill, status, problem = '', steps, startedAt, durationMs } = report;
  const cases = steps.map((step) => caseOf(drill, step));
  // What is no step's: it could not begin, or the cluster did not recover.
  const isOwn = status !== 'passed' && !steps.some((step) => step.status === 'failed' || step.status === 'error');
  const element = status === 'skipped' ? 'skipped' : status === 'failed' ? 'failure' : 'error';
  if (isOwn) cases.push({ element, text: `    <testcase classname="${escaped(drill)}" name="the drill as a whole" time="0.000"><${element} message="${escaped(problem)}"/></testcase>` });
  const count = (element: string): number => cases.filter((each) => each.element === element).length;
  const [failures, errors, skipped] = [count('failure'), count('error'), count('skipped')];
  return {
    tests: cases.length, failures, errors, skipped,
    text: `  <testsuite name="${escaped(drill)}" tests="${cases.length}" failures="${failures}" errors="${errors}" skipped="${skipped}" timestamp="${startedAt.slice(0, 19)}" time="${seconds(durationMs)}">
${cases.map(({ text }) => text).join('\n')}
  </testsuite>`,
  };
}

function caseOf(drill: string, { number, text, status, startMs = 0, endMs = 0, detail = '' }: StepReport): { readonly element: string | undefined; readonly text: string } {
  const element = status === 'done' ? undefined : status === 'failed' ? 'failure' : status === 'error' ? 'error' : 'skipped';
  const inner = element === undefined ? '/>' : `><${element} message="${escaped(element === 'skipped' ? status : detail)}"/></testcase>`;
  return { element, text: `    <testcase classname="${escaped(drill)}" name="${number}. ${escaped(text)}" time="${seconds(endMs - startMs)}"${inner}` };
}
