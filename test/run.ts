// `npm test`: makes sure that the machine has what the tests need, builds, runs the fast tests and then those that start
// clusters, and ends with one summary. Arguments: paths of test files, to run only those.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../cli/local/find-program.ts';
import { installPackages, missingRequirements } from '../cli/local/preflight.ts';

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

const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'] as const;

/** The events of all groups one after the other, their closing counts added up into one summary. */
async function* runGroups(groups: readonly { files: string[]; concurrency: number }[]): AsyncGenerator<unknown> {
  const totals = new Map<string, number>();
  for (const { files, concurrency } of groups) {
    if (files.length === 0) continue;
    for await (const event of run({ files, concurrency, timeout: FILE_TIMEOUT_MS })) {
      const { type, data } = event as { type: string; data: { message?: string; nesting?: number; file?: string; details?: { type?: string } } };
      const [, name, count] = /^(\w+) ([\d.]+)$/.exec(data?.message ?? '') ?? [];
      if (type === 'test:diagnostic' && data.nesting === 0 && name !== undefined && (COUNTS as readonly string[]).includes(name)) {
        totals.set(name, (totals.get(name) ?? 0) + Number(count));
        continue;
      }
      if (type === 'test:fail') process.exitCode = 1;
      yield event;
    }
  }
  for (const name of COUNTS) yield { type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${totals.get(name) ?? 0}` } };
}

prepareMachine();
build();
const chosen = process.argv.slice(2).map((path) => join(process.cwd(), path));
const all = [...testFiles('lib'), ...testFiles('services'), ...testFiles('cli'), ...testFiles('images'), ...testFiles('test')];
const files = chosen.length > 0 ? chosen : all;
const startsClusters = (file: string): boolean => file.includes('/test/e2e/');
/** One compares the whole machine before and after, so no other cluster may come or go meanwhile; one has six hosts, and measures times. */
const isAlone = (file: string): boolean => ['command-line', 'masters'].some((name) => file.endsWith(`/${name}.test.ts`));
/** Those that take longest first; two at a time, for much of a cluster's test is waiting. */
const LONGEST = ['compose', 'kubectl-commands', 'rootless', 'kill'];
const rank = (file: string): number => (LONGEST.findIndex((name) => file.endsWith(`/${name}.test.ts`)) + LONGEST.length + 1) % (LONGEST.length + 1);
const clusterFiles = files.filter(startsClusters);
Readable.from(runGroups([
  { files: files.filter((file) => !startsClusters(file)), concurrency: 2 },
  { files: clusterFiles.filter(isAlone), concurrency: 1 },
  { files: clusterFiles.filter((file) => !isAlone(file)).sort((a, b) => rank(a) - rank(b)), concurrency: 2 },
])).compose(new spec()).pipe(process.stdout);
