// Bundles every program into dist/NAME.js: one file a process, so that it starts in milliseconds and reads no sources.
// Native packages stay outside the bundle and are loaded from node_modules.
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Folder in services/ => name of the program, where upstream calls it otherwise. */
const PROGRAM_NAMES: Readonly<Record<string, string>> = {
  apiserver: 'kube-apiserver',
  'controller-manager': 'kube-controller-manager',
  scheduler: 'kube-scheduler',
  'container-runtime': 'containerd',
};

const entryPoints: Record<string, string> = {};
for (const service of readdirSync(`${root}services`)) {
  const main = `${root}services/${service}/main.ts`;
  if (existsSync(main)) entryPoints[PROGRAM_NAMES[service] ?? service] = main;
}
entryPoints['hostctl'] = `${root}services/node/hostctl.ts`;
entryPoints['kubreak'] = `${root}cli/main.ts`;
entryPoints['lab'] = `${root}cli/local/lab/main.ts`;

const dist = join(root, 'dist');
const written = new Set<string>();

/** A running cluster has this folder mounted: files change one at a time and in one step, and only when they differ. */
function put(path: string, content: Uint8Array, mode: number): void {
  written.add(path);
  if (existsSync(path) && readFileSync(path).equals(content) && (statSync(path).mode & 0o777) === mode) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, content);
  chmodSync(`${path}.new`, mode); // whatever the umask: containers run programs under other users
  renameSync(`${path}.new`, path);
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesOf(join(folder, entry.name)) : [join(folder, entry.name)]));
}

const { outputFiles } = await build({
  write: false,
  entryPoints,
  outdir: dist,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  splitting: false,
  // Small for memory (the source stays in it), in short lines so that an error shows a line and not a whole program.
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 160,
  sourcemap: false,
  legalComments: 'linked',
  external: ['classic-level', '@lydell/node-pty', 'esbuild'],
  // CommonJS packages inside an ES module bundle still ask for `require`.
  banner: { js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
  logLevel: 'warning',
});

for (const { path, contents } of outputFiles) put(path, contents, path.endsWith('.js') ? 0o755 : 0o644);
// The built-in images go where the bundles go.
for (const file of filesOf(join(root, 'images'))) put(join(dist, 'images', relative(join(root, 'images'), file)), readFileSync(file), statSync(file).mode & 0o111 ? 0o755 : 0o644);
for (const file of filesOf(dist)) if (!written.has(file)) rmSync(file);

// `npx kubreak` in a clone finds the command here; without it npx would pack and build the project once more.
const link = join(root, 'node_modules/.bin/kubreak');
if (existsSync(dirname(link)) && !lstatSync(link, { throwIfNoEntry: false })) symlinkSync('../../dist/kubreak.js', link);
