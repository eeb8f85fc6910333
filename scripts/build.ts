// Bundles every program into dist/NAME.js: one file a process, so that it starts in milliseconds and reads no sources.
// Native packages stay outside the bundle and are loaded from node_modules.
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
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

rmSync(`${root}dist`, { recursive: true, force: true });
await build({
  entryPoints,
  outdir: `${root}dist`,
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

// The built-in images go where the bundles go.
cpSync(`${root}images`, `${root}dist/images`, { recursive: true, verbatimSymlinks: true });
