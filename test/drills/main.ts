// npm run drills -- [NAME...] [--self-check] [--masters N] [--upstream-timings] [--compose] [--report-dir FOLDER]: every drill (or
// those that are named) on a cluster of their own; with --self-check each once more without its fault, when it has to fail.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inSeconds } from '../../cli/drill/core/durations.ts';
import type { DrillReport } from '../../cli/drill/core/report.ts';
import { ComposeCluster } from '../compose/cluster.ts';
import { runCommand, TestCluster, type DrivenCluster } from '../e2e/cluster.ts';
import { selfCheckProblem } from './self-check.ts';

/** Of one drill; milliseconds. */
const LONGEST_MS = 30 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'self-check': { type: 'boolean', default: false }, masters: { type: 'string', default: '1' }, 'upstream-timings': { type: 'boolean', default: false },
    compose: { type: 'boolean', default: false }, 'report-dir': { type: 'string' },
  },
});
const print = (line: string): void => void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
const scratch = mkdtempSync(join(tmpdir(), 'kubreak-drills-'));

async function startCluster(): Promise<DrivenCluster> {
  if (values.compose) return ComposeCluster.start();
  return TestCluster.start('self', ['--masters', values.masters, ...(values['upstream-timings'] ? [] : ['--fast-failure-detection'])]);
}

async function run(cluster: DrivenCluster, name: string, isWithoutFault: boolean): Promise<DrillReport> {
  const folder = join(values['report-dir'] ?? scratch, isWithoutFault ? `${name}-without-fault` : name);
  const { stdout, stderr } = await cluster.kubreak(['drill', 'run', name, '--report-dir', folder, ...(isWithoutFault ? ['--without-fault'] : [])], { timeoutMs: LONGEST_MS });
  try {
    const { drills } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as { drills: DrillReport[] };
    const [report] = drills;
    if (report) return report;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  throw new Error(`kubreak drill run ${name} wrote no report:\n${stdout}${stderr}`);
}

const names = positionals.length > 0 ? positionals : (JSON.parse((await runCommand(process.execPath, ['dist/kubreak.js', 'drill', 'list', '-o', 'json'])).stdout) as { drills: { name: string }[] }).drills.map(({ name }) => name);
const cluster = await startCluster();
const failures: string[] = [];
let skipped = 0;
try {
  for (const name of names) {
    const report = await run(cluster, name, false);
    print(`${name}: ${report.status} after ${inSeconds(report.durationMs)}${report.problem === undefined ? '' : `: ${report.problem}`}`);
    if (report.status === 'skipped') skipped += 1;
    else if (report.status !== 'passed') failures.push(`${name}: ${report.problem ?? report.status}`);
    if (!values['self-check'] || report.status === 'skipped') continue;
    const without = await run(cluster, name, true);
    const problem = selfCheckProblem(without);
    print(`  without its fault: ${problem ?? `fails, as it has to: ${without.problem ?? ''}`}`);
    if (problem !== undefined) failures.push(`${name} without its fault: ${problem}`);
  }
} finally {
  await cluster.down();
  rmSync(scratch, { recursive: true, force: true });
}
print(`${names.length} drills, ${skipped} skipped, ${failures.length} problems`);
for (const failure of failures) print(`  ${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;
