// `npm test`: makes sure that the machine has what the tests need, builds, runs all tests, and ends with one summary.
// Arguments: paths of test files, to run only those.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { BUILT_PROGRAMS } from '#lib/testing/program.ts';
import { findProgram } from '../cli/local/find-program.ts';
import { installPackages, missingRequirements } from '../cli/local/preflight.ts';
import { entryPointsOf } from '../scripts/entry-points.ts';
import { sharesProcess } from './tools/shared-process.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** A test file that takes longer hangs; milliseconds. */
const FILE_TIMEOUT_MS = 900_000;

function prepareMachine(): void {
  const forTests = [{ program: 'etcdctl', debianPackage: 'etcd-client' }, { program: 'openssl', debianPackage: 'openssl' }, { program: 'newuidmap', debianPackage: 'uidmap' }].filter(({ program }) => findProgram(program) === undefined);
  const missing = [...missingRequirements(), ...forTests];
  if (process.getuid?.() !== 0) {
    process.stderr.write('npm test: the tests make network namespaces and mounts and need root: run them with sudo\n');
    process.exit(1);
  }
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))];
  if (findProgram('apt-get') === undefined) {
    process.stderr.write(`npm test: missing programs: ${missing.map(({ program }) => program).join(', ')}. Install them first (Debian package names: ${packages.join(' ')})\n`);
    process.exit(1);
  }
  process.stdout.write(`npm test: installing ${packages.join(' ')}\n`);
  installPackages(packages);
}

function build(): void {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function testFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? testFiles(path) : entry.name.endsWith('.test.ts') ? [join(root, path)] : [];
  });
}

/** Those that take longest, first: nothing long is left for the end, when the others have ended. */
const LONGEST = [
  'compose', 'drills', 'kubectl-commands', 'chaos', 'masters', 'rootless', 'kill', 'experiments', 'images', 'api-fault', 'network-faults', 'host-faults', 'network', 'command-line',
  'crash-points', 'linearizability', 'controller-manager', 'raft.sim', 'cluster', 'on-hosts', 'workloads', 'streaming', 'membership.sim', 'runtime', 'client', 'snapshot', 'durability',
];
/** How many files at a time: two keep two processors busy, a third makes use of them while clusters wait for leases, grace periods and reboots. */
const AT_A_TIME = 3;
/** Files that share processes are spread over so many. */
const SHARED_PROCESSES = 2;

const rank = (file: string): number => (LONGEST.indexOf(basename(file, '.test.ts')) + LONGEST.length + 1) % (LONGEST.length + 1);
const longestFirst = (files: readonly string[]): string[] => files.toSorted((a, b) => rank(a) - rank(b));

/** Files that import the tests of others. */
function sharedProcesses(files: readonly string[]): string[] {
  const folder = join(root, 'node_modules/.cache/kubreak/tests');
  mkdirSync(folder, { recursive: true });
  return Array.from({ length: Math.min(SHARED_PROCESSES, files.length) }, (_, index) => {
    const path = join(folder, `shared-${index + 1}.mjs`);
    writeFileSync(path, files.filter((_file, at) => at % SHARED_PROCESSES === index).map((file) => `await import(${JSON.stringify(file)});\n`).join(''));
    return path;
  });
}

interface TestEvent {
  readonly type: string;
  readonly data: { readonly message?: string; readonly nesting?: number };
}
interface Outcome {
  readonly file: string;
  readonly seconds: number;
  readonly events: readonly TestEvent[];
}

async function runFile(file: string): Promise<Outcome> {
  const startedMs = performance.now();
  const events: TestEvent[] = [];
  for await (const event of run({ files: [file], concurrency: 1, timeout: FILE_TIMEOUT_MS })) events.push(event as TestEvent);
  return { file, events, seconds: (performance.now() - startedMs) / 1000 };
}

/** In the order in which they end. One place is for clusters from the start, the others are for them when all else is done. */
async function* runFiles(clusters: readonly string[], others: readonly string[]): AsyncGenerator<Outcome> {
  const queues = { clusters: [...clusters], others: [...others] };
  const running = new Map<number, Promise<Outcome & { place: number }>>();
  const fill = (place: number): void => {
    const file = place === 0 ? (queues.clusters.shift() ?? queues.others.shift()) : (queues.others.shift() ?? queues.clusters.shift());
    if (file !== undefined) running.set(place, runFile(file).then((outcome) => ({ ...outcome, place })));
  };
  for (let place = 0; place < AT_A_TIME; place += 1) fill(place);
  while (running.size > 0) {
    const { place, ...outcome } = await Promise.race(running.values());
    running.delete(place);
    fill(place);
    yield outcome;
  }
}

const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'] as const;
const LONGEST_SHOWN = 10;

/** The events of all files, their closing counts added up into one summary. */
async function* eventsOf(outcomes: AsyncIterable<Outcome>): AsyncGenerator<TestEvent> {
  const startedMs = performance.now();
  const totals = new Map<string, number>();
  const durations: Omit<Outcome, 'events'>[] = [];
  for await (const { file, seconds, events } of outcomes) {
    durations.push({ file, seconds });
    for (const event of events) {
      const { type, data } = event;
      const [, name, count] = /^(\w+) ([\d.]+)$/.exec(data.message ?? '') ?? [];
      if (type === 'test:diagnostic' && data.nesting === 0 && name !== undefined && (COUNTS as readonly string[]).includes(name)) {
        totals.set(name, (totals.get(name) ?? 0) + Number(count));
        continue;
      }
      if (type === 'test:fail') process.exitCode = 1;
      yield event;
    }
  }
  totals.set('duration_ms', performance.now() - startedMs);
  const longest = durations.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST_SHOWN);
  const summary = [`longest: ${longest.map(({ file, seconds }) => `${basename(file)} ${seconds.toFixed(0)} s`).join(', ')}`, ...COUNTS.map((name) => `${name} ${totals.get(name) ?? 0}`)];
  for (const message of summary) yield { type: 'test:diagnostic', data: { nesting: 0, message } };
}

prepareMachine();
build();
process.env[BUILT_PROGRAMS] = JSON.stringify(Object.fromEntries(Object.entries(entryPointsOf(root)).map(([name, main]) => [main, join(root, 'dist', `${name}.js`)])));
const chosen = process.argv.slice(2).map((path) => join(process.cwd(), path));
const all = ['lib', 'services', 'cli', 'images', 'test'].flatMap(testFiles);
const files = chosen.length > 0 ? chosen : all;
const startsClusters = (file: string): boolean => file.includes('/test/e2e/');
const isShared = (file: string): boolean => chosen.length === 0 && sharesProcess(relative(root, file));
const clusters = files.filter(startsClusters);
const others = files.filter((file) => !startsClusters(file));
Readable.from(eventsOf(runFiles(longestFirst(clusters), [...sharedProcesses(others.filter(isShared)), ...longestFirst(others.filter((file) => !isShared(file)))])))
  .compose(new spec()).pipe(process.stdout);
