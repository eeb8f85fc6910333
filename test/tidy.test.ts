// Which part may import which: read from the sources, checked against a table. Each rule names its reason.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What a file imports: `packages` stands for anything from node_modules; types alone do not count in a core. */
interface Rule {
  readonly from: RegExp;
  readonly forbids: (target: string, file: string) => boolean;
  readonly because: string;
}

const serviceOf = (path: string): string | undefined => /^services\/([^/]+)\//.exec(path)?.[1];
const isPackage = (target: string): boolean => !target.startsWith('lib/') && !/^(services|cli|scripts|test|bench|images)\//.test(target) && !target.startsWith('node:');

const rules: readonly Rule[] = [
  { from: /^services\//, forbids: (target, file) => serviceOf(target) !== undefined && serviceOf(target) !== serviceOf(file), because: 'services talk over the network only' },
  { from: /^services\//, forbids: (target) => target.startsWith('cli/') || target.startsWith('test/'), because: 'a service knows nothing of how it is started' },
  { from: /^services\/[^/]+\/core\//, forbids: (target, file) => target.startsWith(`services/${serviceOf(file) ?? ''}/edge/`), because: 'the core must run in a simulation' },
  { from: /^services\/[^/]+\/core\//, forbids: (target) => target.startsWith('node:') || isPackage(target), because: 'the core must run in a simulation' },
  { from: /^lib\//, forbids: (target) => /^(services|cli|test)\//.test(target), because: 'lib knows no service' },
];

/** Words that bring time, chance or the process into a core by the back door. */
const CORE_FORBIDDEN = /\b(?:Date\.now|Math\.random|setTimeout|setInterval|setImmediate)\b|new Date\(\)|\bprocess\./;

function sources(): string[] {
  return ['lib', 'services', 'cli'].flatMap((folder) => list(join(root, folder))).filter((file) => file.endsWith('.ts')).map((file) => relative(root, file));
}
function list(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? list(join(folder, entry.name)) : [join(folder, entry.name)]));
}

function importsOf(file: string, text: string): { target: string; isTypeOnly: boolean }[] {
  return [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm)].map((match) => {
    const specifier = match[2] ?? match[3] ?? match[4] ?? '';
    const target = specifier.startsWith('#lib/') ? `lib/${specifier.slice(5)}` : specifier.startsWith('.') ? relative(root, join(root, dirname(file), specifier)) : specifier;
    return { target, isTypeOnly: match[1] !== undefined };
  });
}

const isTest = (file: string): boolean => /\.(test|sim\.test)\.ts$/.test(file) || file.includes('/testing/');

test('imports stay within the boundaries of the design', () => {
  const problems: string[] = [];
  const files = sources();
  assert.ok(files.length > 100, 'the sources were not found');
  for (const file of files.filter((candidate) => !isTest(candidate))) {
    for (const { target, isTypeOnly } of importsOf(file, readFileSync(join(root, file), 'utf8'))) {
      for (const { from, forbids, because } of rules) {
        if (isTypeOnly && isPackage(target)) continue;
        if (from.test(file) && forbids(target, file)) problems.push(`${file} imports ${target}: ${because}`);
      }
    }
  }
  assert.deepEqual(problems, []);
});

test('cores take time and chance from outside', () => {
  const problems: string[] = [];
  for (const file of sources().filter((candidate) => /^services\/[^/]+\/core\//.test(candidate) && !isTest(candidate))) {
    readFileSync(join(root, file), 'utf8').split('\n').forEach((line, index) => {
      const code = line.replace(/\/\/.*$/, '').replace(/^\s*\*.*$/, '');
      if (CORE_FORBIDDEN.test(code)) problems.push(`${file}:${index + 1}: ${code.trim()}`);
    });
  }
  assert.deepEqual(problems, []);
});

test('every service tells what it does in a README', () => {
  const services = readdirSync(join(root, 'services'), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const without = services.filter((name) => !readdirSync(join(root, 'services', name)).includes('README.md'));
  assert.deepEqual(without, []);
});
