// Runs a bundled program with V8's code cache. Part of the build: every dist/NAME.js is a few lines that call this.
// Some thirty processes that each parse and compile a megabyte of JavaScript cost seconds of a cluster's start. As
// CommonJS under vm.Script a program skips the ES module loader and takes its compiled functions from the cache.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

type ModuleFunction = (exports: object, require: NodeJS.Require, module: { exports: object }, filename: string) => void;

/** A bundle's name holds a hash of its content, so a cache of another build is never found; V8 refuses one of another version. */
export const codeCachePath = (bundle: string): string => `${bundle}.${process.version}-${process.arch}.cache`;

/**
 * How much a function runs before V8 optimizes it (bytes of bytecode; default 67584). Most of what is hot in a control
 * plane's burst is idle again before optimized code has paid for itself, on cores that some thirty compilers share.
 * Measured: a first start takes 5 to 7 % less CPU, 100 pods 10 %, and the idle cluster 50 MiB less. What stays hot is
 * optimized a little later.
 */
const OPTIMIZE_LATE = '--interrupt-budget=1500000';

/**
 * V8 takes a code cache only under the flags it was made with, and that of Node's own modules was made without any. Flags that lay
 * out the heap have had their effect when the first line runs: taken back, they spare each process 25 ms of compiling http2, tls
 * and the like.
 */
function takeBackFlags(): void {
  setFlagsFromString('--max-semi-space-size=0 --max-old-space-size=0');
}

function load(bundle: string): Script {
  const cache = codeCachePath(bundle);
  const source = Module.wrap(readFileSync(bundle, 'latin1')); // it is ASCII
  return new Script(source, { filename: bundle, ...(existsSync(cache) ? { cachedData: readFileSync(cache) } : {}) });
}

/** Without a cache, or with one that V8 refuses, the program is compiled as any other: slower, not different. `flags`: when V8 optimizes. */
export function startProgram(starter: string, bundle: string, flags = OPTIMIZE_LATE): void {
  takeBackFlags();
  run(load(bundle), starter, bundle);
  Module.createRequire(bundle)('node:cluster'); // the first server that listens loads it
  setFlagsFromString(flags); // changes what V8 takes, so not before all modules are there
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
  takeBackFlags();
  const script = load(bundle);
  process.on('exit', () => writeFileSync(`${codeCachePath(bundle)}.new`, script.createCachedData()));
  process.argv = [process.execPath, starter, '--help'];
  run(script, starter, bundle);
}
