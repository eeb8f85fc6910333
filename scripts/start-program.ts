// Runs a bundled program with V8's code cache. Part of the build: every dist/NAME.js is a few lines that call this.
// Some thirty processes that each parse and compile a megabyte of JavaScript cost seconds of a cluster's start. As
// CommonJS under vm.Script a program skips the ES module loader and takes its compiled functions from the cache.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

type ModuleFunction = (exports: object, require: NodeJS.Require, module: { exports: object }, filename: string) => void;

/** A bundle's name holds a hash of its content, so a cache of another build is never found; V8 refuses one of another version or other flags. */
export const codeCachePath = (bundle: string): string => `${bundle}.${process.version}-${process.arch}.cache`;

/**
 * How much a function runs before V8 optimizes it (bytes of bytecode; default 67584). Most of what is hot in a control
 * plane's burst is idle again before optimized code has paid for itself, on cores that some thirty compilers share.
 * Measured: a first start takes 5 to 7 % less CPU, 100 pods 10 %, and the idle cluster 50 MiB less. What stays hot is
 * optimized a little later.
 */
const OPTIMIZE_AFTER = 1_500_000;

function load(bundle: string): Script {
  setFlagsFromString(`--interrupt-budget=${OPTIMIZE_AFTER}`); // here, so that a cache is written and read under the same flags
  const cache = codeCachePath(bundle);
  const source = Module.wrap(readFileSync(bundle, 'utf8'));
  return new Script(source, { filename: bundle, ...(existsSync(cache) ? { cachedData: readFileSync(cache) } : {}) });
}

/** Without a cache, or with one that V8 refuses, the program is compiled as any other: slower, not different. */
export function startProgram(starter: string, bundle: string): void {
  run(load(bundle), starter, bundle);
}

function run(script: Script, starter: string, bundle: string): void {
  (script.runInThisContext() as ModuleFunction)({}, Module.createRequire(bundle), { exports: {} }, starter);
}

/**
 * Lets a program print its help and writes down what V8 compiled for that (all its modules, and of them what runs at
 * every start) to the cache's name with `.new`. Compiling everything ahead was measured too: reading that much back
 * costs more than it saves.
 */
export function writeCodeCache(starter: string, bundle: string): void {
  const script = load(bundle);
  process.on('exit', () => writeFileSync(`${codeCachePath(bundle)}.new`, script.createCachedData()));
  process.argv = [process.execPath, starter, '--help'];
  run(script, starter, bundle);
}
