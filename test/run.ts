// `npm test`: makes sure that the machine has what the tests need, builds, runs the fast tests and then those that start
// clusters, and ends with one summary. Arguments: paths of test files, to run only those.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../cli/local/find-program.ts';
import { installPackages, missingRequirements } from '../cli/local/preflight.ts';
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

/** One compares the whole machine before and after, so no other cluster may come or go meanwhile; one has six hosts, and measures times. */
const ALONE = ['command-line', 'masters'];
/** Those that take longest, first: nothing long is left for the end, when the others have ended. */
const LONGEST = [
  'compose', 'kubectl-commands', 'chaos', 'rootless', 'kill', 'experiments', 'images', 'api-fault', 'network-faults', 'host-faults',
  'raft.sim', 'on-hosts', 'membership.sim', 'controller-manager', 'crash-points', 'linearizability', 'etcd-fuzz', 'streaming', 'runtime', 'published-images', 'built-in-images', 'cni',
];
/** Much of a cluster's test is waiting, for leases, grace periods and reboots. */
const CLUSTERS_AT_A_TIME = 2;
const PROCESSORS = 2;

const isOneOf = (names: readonly string[], file: string): boolean => names.includes(basename(file, '.test.ts'));
const rank = (file: string): number => (LONGEST.indexOf(basename(file, '.test.ts')) + LONGEST.length + 1) % (LONGEST.length + 1);
const longestFirst = (files: readonly string[]): string[] => files.toSorted((a, b) => rank(a) - rank(b));

/** Files that import the tests of others, as many as there are processors. */
function sharedProcesses(files: readonly string[]): string[] {
  const folder = join(root, 'node_modules/.cache/kubreak/tests');
  mkdirSync(folder, { recursive: true });
  return Array.from({ length: Math.min(PROCESSORS, files.length) }, (_, index) => {
    const path = join(folder, `shared-${index + 1}.mjs`);
    writeFileSync(path, files.filter((_file, at) => at % PROCESSORS === index).map((file) => `await import(${JSON.stringify(file)});\n`).join(''));
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

/** So many at a time; in the order in which they end. */
async function* runFiles(files: readonly string[], atATime: number): AsyncGenerator<Outcome> {
  const waiting = [...files];
  const running = new Map<string, Promise<Outcome>>();
  for (;;) {
    for (let file: string | undefined; running.size < atATime && (file = waiting.shift()) !== undefined;) running.set(file, runFile(file));
    if (running.size === 0) return;
    const outcome = await Promise.race(running.values());
    running.delete(outcome.file);
    yield outcome;
  }
}

const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'] as const;
const LONGEST_SHOWN = 10;

/** The events of all groups one after the other, their closing counts added up into one summary. */
async function* runGroups(groups: readonly { name: string; files: string[]; atATime: number }[]): AsyncGenerator<TestEvent> {
  const startedMs = performance.now();
  const totals = new Map<string, number>();
  const summary: string[] = [];
  const outcomes: Omit<Outcome, 'events'>[] = [];
  for (const { name: group, files, atATime } of groups) {
    const groupStartedMs = performance.now();
    for await (const { file, seconds, events } of runFiles(files, atATime)) {
      outcomes.push({ file, seconds });
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
    if (files.length > 0) summary.push(`${group}: ${((performance.now() - groupStartedMs) / 1000).toFixed(0)} s, ${atATime} at a time`);
  }
  totals.set('duration_ms', performance.now() - startedMs);
  const longest = outcomes.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST_SHOWN);
  if (longest.length > 1) summary.push(`longest: ${longest.map(({ file, seconds }) => `${basename(file)} ${seconds.toFixed(0)} s`).join(', ')}`);
  for (const message of [...summary, ...COUNTS.map((name) => `${name} ${totals.get(name) ?? 0}`)]) yield { type: 'test:diagnostic', data: { nesting: 0, message } };
}

prepareMachine();
build();
const chosen = process.argv.slice(2).map((path) => join(process.cwd(), path));
const all = ['lib', 'services', 'cli', 'images', 'test'].flatMap(testFiles);
const files = chosen.length > 0 ? chosen : all;
const startsClusters = (file: string): boolean => file.includes('/test/e2e/');
const isShared = (file: string): boolean => chosen.length === 0 && sharesProcess(relative(root, file));
const isAlone = (file: string): boolean => isOneOf(ALONE, file);
const clusterFiles = files.filter(startsClusters);
const others = files.filter((file) => !startsClusters(file));
Readable.from(runGroups([
  { name: 'tests without a cluster', files: longestFirst([...sharedProcesses(others.filter(isShared)), ...others.filter((file) => !isShared(file))]), atATime: PROCESSORS },
  { name: 'clusters that have to be alone', files: clusterFiles.filter(isAlone), atATime: 1 },
  { name: 'clusters', files: longestFirst(clusterFiles.filter((file) => !isAlone(file))), atATime: CLUSTERS_AT_A_TIME },
])).compose(new spec()).pipe(process.stdout);
