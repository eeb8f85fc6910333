// Bundles every program into one file, dist/programs/NAME-HASH.js, with V8's code cache beside it, so that it starts in
// milliseconds and reads no sources; dist/NAME.js starts it. Native packages stay outside and are loaded from node_modules.
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { entryPointsOf } from './entry-points.ts';
import { openApiDescriptions } from './openapi-descriptions.ts';
import { codeCachePath } from './start-program.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const entryPoints = entryPointsOf(root);
const dist = join(root, 'dist');
const written = new Set<string>();

/** Too small for a code cache to pay, and without help to print. */
const UNCACHED = new Set(['hostctl', 'lab', 'compose-agent', 'fault-helper', 'stand-in-server', 'ctr', 'cni', 'master-tool']);

/**
 * When V8 optimizes, where it is not as start-program.ts has it. Of etcd as late as of the others, 300 times 15,000 bytes of bytecode; once it is
 * busy it asks for fewer times (services/etcd/edge/busy-code.ts), and what ran often until then is optimized at once.
 */
const V8_FLAGS: Readonly<Record<string, string>> = { etcd: '--interrupt-budget=15000 --ticks-before-optimization=300 --max-bytecode-size-for-early-opt=0' };

/**
 * A running cluster has this folder mounted: files change one at a time and in one step, and only when they differ.
 * Returns whether it did.
 */
function put(path: string, content: Uint8Array, mode: number): boolean {
  written.add(path);
  if (existsSync(path) && readFileSync(path).equals(content) && (statSync(path).mode & 0o777) === mode) return false;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, content);
  chmodSync(`${path}.new`, mode); // whatever the umask: containers run programs under other users
  renameSync(`${path}.new`, path);
  return true;
}

/** Made by the program itself: a process of its own, started as it will be started. */
async function putCodeCache(start: string, bundle: string): Promise<void> {
  const cache = codeCachePath(bundle);
  written.add(cache);
  if (existsSync(cache) && !areCachesStale) return;
  const call = `require(${JSON.stringify(join(dist, 'programs/start.js'))}).writeCodeCache(${JSON.stringify(start)}, ${JSON.stringify(bundle)})`;
  const { stderr } = await promisify(execFile)(process.execPath, ['--eval', call], { env: { ...process.env, NODE_OPTIONS: '' } });
  process.stderr.write(stderr);
  chmodSync(`${cache}.new`, 0o644);
  renameSync(`${cache}.new`, cache); // never seen half written
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesOf(join(folder, entry.name)) : [join(folder, entry.name)]));
}

const common = { write: false, bundle: true, platform: 'node', format: 'cjs', target: 'node20', charset: 'ascii', minifySyntax: true, minifyWhitespace: true, logLevel: 'warning' } as const;
const { outputFiles, metafile } = await build({
  ...common,
  entryPoints: { ...entryPoints },
  outdir: dist,
  entryNames: 'programs/[name]-[hash]',
  metafile: true,
  // Minified for memory (the source stays in it), in short lines so that an error shows a line and not a whole program.
  lineLimit: 160,
  legalComments: 'linked',
  // Native, or of use to few: the exporters of spans are most of OpenTelemetry.
  external: ['classic-level', '@lydell/node-pty', 'esbuild', '@opentelemetry/sdk-trace-base', '@opentelemetry/exporter-trace-otlp-*'],
  // `import(PACKAGE)` becomes a `require` on demand: a script of its own has no module loader to ask.
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': '__starterUrl' },
  banner: { js: "const __starterUrl = require('node:url').pathToFileURL(__filename).href;" },
});
const [starter] = (await build({ ...common, entryPoints: [`${root}scripts/start-program.ts`], outdir: dist })).outputFiles;

for (const { path, contents } of outputFiles) put(path, contents, 0o644);
const areCachesStale = put(join(dist, 'programs/start.js'), starter?.contents ?? new Uint8Array(), 0o644);
put(join(dist, 'package.json'), Buffer.from('{"type":"commonjs"}\n'), 0o644);
const programs = Object.entries(metafile.outputs).flatMap(([output, { entryPoint }]) => {
  const program = Object.keys(entryPoints).find((name) => entryPoint !== undefined && join(root, entryPoint) === entryPoints[name]);
  return program === undefined ? [] : [{ program, file: basename(output) }];
});
/** As many of these at a time as there are processors. */
async function putPrograms(): Promise<void> {
  for (let next = programs.shift(); next !== undefined; next = programs.shift()) {
    const { program, file } = next;
    const start = join(dist, `${program}.js`);
    if (!UNCACHED.has(program)) await putCodeCache(start, join(dist, 'programs', file));
    const flags = V8_FLAGS[program] === undefined ? '' : `, '${V8_FLAGS[program]}'`;
    put(start, Buffer.from(`#!/usr/bin/env node\nrequire('./programs/start.js').startProgram(__filename, \`\${__dirname}/programs/${file}\`${flags});\n`), 0o755);
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, putPrograms));
// The API server reads them when somebody asks for OpenAPI.
const descriptions = openApiDescriptions(root);
if (descriptions) put(join(dist, 'openapi-descriptions.json'), Buffer.from(JSON.stringify(descriptions)), 0o644);
else console.warn('kubectl explain will have no descriptions: @kubernetes/client-node, a development dependency, is not installed');
// The built-in images go where the bundles go.
for (const file of [join(root, 'images/catalogue.json'), ...filesOf(join(root, 'images/layers'))]) put(join(dist, 'images', relative(join(root, 'images'), file)), readFileSync(file), statSync(file).mode & 0o111 ? 0o755 : 0o644);
for (const file of filesOf(join(root, 'drills'))) put(join(dist, 'drills', relative(join(root, 'drills'), file)), readFileSync(file), 0o644);
for (const file of filesOf(dist)) if (!written.has(file)) rmSync(file);

// `npx kubreak` in a clone finds the command here; without it npx would pack and build the project once more.
const link = join(root, 'node_modules/.bin/kubreak');
if (existsSync(dirname(link)) && !lstatSync(link, { throwIfNoEntry: false })) symlinkSync('../../dist/kubreak.js', link);
