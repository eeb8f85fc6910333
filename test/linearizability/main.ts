// npm run linearizability -- --seed N --members N --for 10m [--clients N] [--rate N] [--changes off] [--program "/path/to/etcd"] [--runs N] [--fail-points "name=terms;..."|none] [--faults pause,kill]
//  npm run linearizability -- --crashes N [--seed N]
//  npm run linearizability -- --check FILE
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseDurationMs } from '#lib/service/flags.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { runCrashPoints, runSnapshotCrashes } from './crash-points.ts';
import { WEIGHTS } from './faults.ts';
import { runIsolated } from './isolate.ts';
import { checkHistory, type RunOptions } from './run.ts';
import { readHistory } from './stored-history.ts';

const OWN_PROGRAM = [process.execPath, fileURLToPath(new URL('../../dist/etcd.js', import.meta.url))];
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 100_000) }, members: { type: 'string', default: '3' }, for: { type: 'string', default: '1m' },
    changes: { type: 'string', default: 'on' }, clients: { type: 'string', default: '8' }, rate: { type: 'string', default: '200' }, runs: { type: 'string', default: '1' },
    program: { type: 'string' }, flag: { type: 'string', multiple: true, default: [] }, 'fail-points': { type: 'string' }, faults: { type: 'string', default: '' }, crashes: { type: 'string', default: '0' }, check: { type: 'string' },
  },
});
const [seed = 0, members = 0, clients = 0, rate = 0, runs = 0, crashes = 0] = [values.seed, values.members, values.clients, values.rate, values.runs, values.crashes].map(Number);
if (![seed, members, clients, rate, runs, crashes].every((number) => Number.isInteger(number) && number >= 0)) {
  process.stderr.write('--seed, --members, --clients, --rate, --runs and --crashes are whole numbers\n');
  process.exit(2);
}
const faults = values.faults.split(',').filter((name) => name !== '');
if (faults.some((name) => !(name in WEIGHTS))) {
  process.stderr.write(`--faults: any of ${Object.keys(WEIGHTS).join()}\n`);
  process.exit(2);
}
// By default a kill loses what was not synced, as a power cut would. A real etcd has none of these.
const failPoints = values['fail-points'] ?? (values.program === undefined ? 'walKeepUnsynced=return' : 'none');
if (values.check !== undefined) {
  const { history, reference, endMs } = readHistory(values.check);
  const { problems, unknown } = checkHistory(history, reference, endMs, 600_000);
  for (const line of [...problems, ...unknown, `${problems.length} problems`]) process.stdout.write(`${line}\n`);
  process.exit(problems.length > 0 ? 1 : unknown.length > 0 ? 3 : 0);
}
if (crashes > 0) {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const options = { program: values.program?.split(' ') ?? OWN_PROGRAM, dataDir: join(mkdtempSync(join(tmpdir(), 'kubreak-crash-')), 'data'), random: seededRandom(seed), print };
  const { problems, crashes: crashed, acknowledged } = await runCrashPoints(options, crashes);
  for (let round = 0; round < crashes && problems.length === 0; round += 1) problems.push(...await runSnapshotCrashes({ ...options, dataDir: `${options.dataDir}-snapshot-${round}` }));
  for (const problem of problems) print(`FOUND: ${problem}`);
  print(`seed ${seed}: ${crashed} crashes while writing, ${acknowledged} writes acknowledged before them, data in ${options.dataDir}`);
  process.exit(problems.length > 0 ? 1 : 0);
}
for (let run = 0; run < runs && process.exitCode === undefined; run += 1) {
  const options: Omit<RunOptions, 'print'> = {
    seed: seed + run, members, clients, changes: members > 1 && values.changes !== 'off', forMs: parseDurationMs(values.for), requestsPerSecond: rate, checkLimitMs: 120_000,
    program: values.program?.split(' ') ?? OWN_PROGRAM, flags: ['--watch-progress-notify-interval=1s', '--snapshot-count=1000', ...values.flag],
    hasFailPoints: failPoints !== 'none', failPoints, faults, folder: mkdtempSync(join(tmpdir(), 'kubreak-linearizability-')),
  };
  const code = await runIsolated(fileURLToPath(new URL('./isolated.ts', import.meta.url)), [JSON.stringify(options)], (line) => process.stdout.write(`${line}\n`));
  if (code !== 0) process.exitCode = code;
}
