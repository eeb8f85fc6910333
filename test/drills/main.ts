// npm run drills -- [NAME...] [--self-check] [--clusters N] [--masters N] [--upstream-timings] [--compose] [--report-dir FOLDER]: every drill
// (or those that are named) on clusters of their own; with --self-check each once more without its fault, when it has to fail.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { inSeconds } from '../../cli/drill/core/durations.ts';
import { ComposeCluster } from '../compose/cluster.ts';
import { TestCluster, type DrivenCluster } from '../e2e/cluster.ts';
import { ClusterPool, runDrill, shippedDrills } from './run-drill.ts';
import { selfCheckProblem } from './self-check.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'self-check': { type: 'boolean', default: false }, clusters: { type: 'string', default: '1' }, masters: { type: 'string', default: '1' },
    'upstream-timings': { type: 'boolean', default: false }, compose: { type: 'boolean', default: false }, 'report-dir': { type: 'string' },
  },
});
const print = (line: string): void => void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
const scratch = mkdtempSync(join(tmpdir(), 'kubreak-drills-'));

async function startCluster(): Promise<DrivenCluster> {
  if (values.compose) return ComposeCluster.start({ isFast: !values['upstream-timings'] });
  return TestCluster.start('self', ['--masters', values.masters, ...(values['upstream-timings'] ? [] : ['--fast-failure-detection'])]);
}

const failures: string[] = [];
let skipped = 0;

async function run(cluster: DrivenCluster, name: string): Promise<void> {
  const folder = join(values['report-dir'] ?? scratch, basename(name, '.yaml'));
  const { report } = await runDrill(cluster, name, { folder });
  print(`${name}: ${report.status} after ${inSeconds(report.durationMs)}${report.problem === undefined ? '' : `: ${report.problem}`}`);
  if (report.status === 'skipped') skipped += 1;
  else if (report.status !== 'passed') failures.push(`${name}: ${report.problem ?? report.status}`);
  if (!values['self-check'] || report.status === 'skipped') return;
  const { report: without } = await runDrill(cluster, name, { folder: `${folder}-without-fault`, isWithoutFault: true });
  const problem = selfCheckProblem(without);
  print(`${name} without its fault: ${problem ?? `fails, as it has to: ${without.problem ?? ''}`}`);
  if (problem !== undefined) failures.push(`${name} without its fault: ${problem}`);
}

const names = positionals.length > 0 ? positionals : (await shippedDrills()).map(({ name }) => name);
const clusters: DrivenCluster[] = [];
try {
  for (let count = values.compose ? 1 : Number(values.clusters); count > 0; count -= 1) clusters.push(await startCluster());
  const pool = new ClusterPool(clusters);
  const ends = await Promise.allSettled(names.map((name) => pool.with((cluster) => run(cluster, name))));
  ends.forEach((end, index) => {
    if (end.status === 'rejected') failures.push(`${names[index] ?? ''}: ${String(end.reason)}`);
  });
} finally {
  for (const cluster of clusters) await cluster.down();
  rmSync(scratch, { recursive: true, force: true });
}
print(`${names.length} drills, ${skipped} skipped, ${failures.length} problems`);
for (const failure of failures) print(`  ${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;
