// `npm test`: makes sure that the machine has what the tests need, builds, runs all tests, and ends with one summary.
// Arguments: paths of test files, to run only those; --all: what the usual run leaves out as well.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BUILT_PROGRAMS } from '#lib/testing/program.ts';
import { findProgram } from '../cli/local/find-program.ts';
import { installPackages, missingForFaults, missingRequirements } from '../cli/local/preflight.ts';
import { entryPointsOf } from '../scripts/entry-points.ts';
import { bundleTests, sourceOf, type Place } from './tools/bundle-tests.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const BUNDLES = join(root, 'node_modules/.cache/kubreak/tests');
/** A test file that takes longer hangs; milliseconds. */
const FILE_TIMEOUT_MS = 900_000;

function prepareMachine(): void {
  const forTests = [{ program: 'etcdctl', debianPackage: 'etcd-client' }, { program: 'openssl', debianPackage: 'openssl' }, { program: 'newuidmap', debianPackage: 'uidmap' }].filter(({ program }) => findProgram(program) === undefined);
  const missing = [...missingRequirements(), ...missingForFaults(), ...forTests];
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
  'drills', 'compose', 'kubectl-commands', 'chaos', 'rootless', 'kill', 'experiments', 'images', 'api-fault', 'network-faults', 'host-faults', 'network', 'command-line',
  'crash-points', 'linearizability', 'controller-manager', 'raft.sim', 'cluster', 'on-hosts', 'workloads', 'streaming', 'membership.sim', 'runtime', 'client', 'snapshot', 'durability',
];
/** Minutes in which most is waiting: the suite of every day goes without. */
const ONLY_WITH_ALL: readonly string[] = ['drills'];
/** How many files at a time: two keep two processors busy, a third makes use of them while clusters wait for leases, grace periods and reboots. */
const PLACES = 3;

const nameOf = (file: string): string => basename(file).replace(/\.test\.m?[tj]s$/, '');
const rank = (file: string): number => (LONGEST.indexOf(nameOf(file)) + LONGEST.length + 1) % (LONGEST.length + 1);
/** One has six hosts, and what it promises is a time: it runs alone, after all others. */
const isAlone = (file: string): boolean => nameOf(file) === 'masters';
/** Drills have three clusters of their own. */
const placesOf = (file: string): number => (isAlone(file) ? PLACES : nameOf(file) === 'drills' ? 2 : 1);
const startsClusters = (file: string): boolean => file.includes('/test/e2e/');
const longestFirst = (files: readonly string[]): string[] => files.toSorted((a, b) => Number(isAlone(a)) - Number(isAlone(b)) || rank(a) - rank(b));

interface TestEvent {
  readonly type: string;
  readonly data: { readonly message?: string; readonly nesting?: number; readonly file?: string; readonly line?: number; readonly column?: number };
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

/** In the order in which they end. One is a cluster's from the start; more of those come when all else is done. */
async function* runFiles(clusters: readonly string[], others: readonly string[]): AsyncGenerator<Outcome> {
  const queues = { clusters: [...clusters], others: [...others] };
  const running = new Map<string, Promise<Outcome>>();
  const placesOfAll = (): number => [...running.keys()].reduce((sum, file) => sum + placesOf(file), 0);
  for (;;) {
    for (;;) {
      const queue = queues.others.length === 0 || (queues.clusters.length > 0 && ![...running.keys()].some(startsClusters)) ? queues.clusters : queues.others;
      const [file] = queue;
      if (file === undefined || placesOfAll() + placesOf(file) > PLACES) break;
      queue.shift();
      running.set(file, runFile(file));
    }
    if (running.size === 0) return;
    const outcome = await Promise.race(running.values());
    running.delete(outcome.file);
    yield outcome;
  }
}

const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'] as const;
const LONGEST_SHOWN = 10;

function placeOf({ file, line, column }: TestEvent['data']): Partial<Place> {
  return file?.startsWith(BUNDLES) && line !== undefined && column !== undefined ? sourceOf({ file, line, column }) : {};
}

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
      yield type === 'test:fail' ? { type, data: { ...data, ...placeOf(data) } } : event;
    }
  }
  totals.set('duration_ms', performance.now() - startedMs);
  const longest = durations.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST_SHOWN);
  const summary = [`longest: ${longest.map(({ file, seconds }) => `${nameOf(file)} ${seconds.toFixed(0)} s`).join(', ')}`, ...COUNTS.map((name) => `${name} ${totals.get(name) ?? 0}`)];
  for (const message of summary) yield { type: 'test:diagnostic', data: { nesting: 0, message } };
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { all: { type: 'boolean', default: false } } });
prepareMachine();
build();
if (positionals.length === 0 && !values.all) process.stdout.write(`npm test: without ${ONLY_WITH_ALL.join(', ')}, which take minutes more: npm test -- --all\n`);
process.env[BUILT_PROGRAMS] = JSON.stringify(Object.fromEntries(Object.entries(entryPointsOf(root)).map(([name, main]) => [main, join(root, 'dist', `${name}.js`)])));
let files = positionals.map((path) => join(process.cwd(), path));
if (files.length === 0) {
  const wanted = ['lib', 'services', 'cli', 'images', 'test'].flatMap(testFiles).filter((file) => values.all || !ONLY_WITH_ALL.includes(nameOf(file)));
  files = await bundleTests(wanted, { root, folder: BUNDLES });
  process.execArgv.splice(0, process.execArgv.length, '--enable-source-maps'); // of the processes of the tests: bundles need no loader
}
Readable.from(eventsOf(runFiles(longestFirst(files.filter(startsClusters)), longestFirst(files.filter((file) => !startsClusters(file)))))).compose(new spec()).pipe(process.stdout);
