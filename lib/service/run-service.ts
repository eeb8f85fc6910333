// The life of a process: flags, logger, start, signals, orderly stop, exit code.
import { setMaxListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pino, { type Logger } from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { systemRandom } from '#lib/environment/random.ts';
import { startTracing, stopTracing } from '#lib/tracing/start-tracing.ts';
import { describeFlags, FlagError, parseFlags, type FlagDefinitions, type Flags } from './flags.ts';
import { keepClockFromChildren } from './shifted-clock.ts';

/**
 * Longest time an orderly stop may take before the process ends anyway.
 * Milliseconds; below the 30 s of grace that pods and host services get.
 */
const STOP_DEADLINE_MS = 10_000;

/**
 * When the garbage of the start is collected; milliseconds. An idle process allocates too little for V8 to do it by
 * itself, and would keep up to 20 MB for nothing: with some thirty processes that counts.
 */
const COLLECT_AFTER_MS = 8_000;
/** That much of the second before: then V8 collects by itself, bit by bit, and nobody is to wait for 20 to 40 ms. */
const BUSY_SHARE = 0.1;
const LOOK_BACK_MS = 1_000;

function collectStartGarbage(): void {
  setTimeout(() => {
    const before = performance.eventLoopUtilization();
    setTimeout(() => {
      if (performance.eventLoopUtilization(before).utilization > BUSY_SHARE) return collectStartGarbage();
      setFlagsFromString('--expose-gc');
      (runInNewContext('gc') as () => void)();
    }, LOOK_BACK_MS).unref();
  }, COLLECT_AFTER_MS - LOOK_BACK_MS).unref();
}

export interface ServiceOptions<D extends FlagDefinitions> {
  /** JSON to standard output by default; may throw FlagError. */
  readonly newLog?: (flags: Flags<D>) => Logger;
  readonly words?: ServiceWords;
}

/** How the log tells of the life of the process. */
export interface ServiceWords {
  readonly onSignal: (log: Logger, event: NodeJS.Signals) => void;
  readonly onStopped: (log: Logger) => void;
  readonly onFailed: (log: Logger, error: unknown) => void;
}

const WORDS: ServiceWords = {
  onSignal: (log, event) => log.info({ event }, 'stopping'),
  onStopped: (log) => log.info('stopped'),
  onFailed: (log, error) => log.fatal({ err: error }, 'cannot go on'),
};

/**
 * Parses the flags, runs `start` and keeps it running until it settles or SIGTERM/SIGINT aborts its signal; a second
 * signal insists. `start` returns a promise that settles when all its work has ended.
 * Exit codes: 0 orderly stop, 1 failure, 2 bad flags.
 */
export async function runService<D extends FlagDefinitions>(
  name: string,
  definitions: D,
  start: (flags: Flags<D>, environment: Environment, signal: AbortSignal) => Promise<void>,
  { newLog = () => pino({ name, level: process.env['LOG_LEVEL'] ?? 'info', base: { name } }, pino.destination({ dest: 1, sync: true })), words = WORDS }: ServiceOptions<D> = {},
): Promise<never> {
  process.title = name;
  keepClockFromChildren(process.env);
  const argv = process.argv.slice(2);
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(describeFlags(name, definitions));
    process.exit(0);
  }
  const flags = parseOrExit(name, definitions, argv);
  const log = newLogOrExit(name, flags, newLog);
  collectStartGarbage();
  startTracing(name, process.env, log);
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal); // informers, loops and servers all wait for it
  for (const event of ['SIGTERM', 'SIGINT'] as const) {
    process.once(event, () => {
      words.onSignal(log, event);
      stopping.abort(new Error(`stopped by ${event}`));
      setTimeout(() => process.exit(1), STOP_DEADLINE_MS).unref();
      process.once(event, () => process.exit(1));
    });
  }
  process.on('unhandledRejection', (reason) => {
    log.fatal({ err: reason }, 'unhandled rejection');
    process.exit(1);
  });
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    process.exit(1);
  });
  try {
    await start(flags, { clock: systemClock, random: systemRandom, log }, stopping.signal);
    await stopTracing();
    words.onStopped(log);
    process.exit(0);
  } catch (error) {
    if (stopping.signal.aborted) process.exit(0);
    words.onFailed(log, error);
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

function newLogOrExit<F>(name: string, flags: F, newLog: (flags: F) => Logger): Logger {
  try {
    return newLog(flags);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(1);
  }
}

function parseOrExit<D extends FlagDefinitions>(name: string, definitions: D, argv: readonly string[]): Flags<D> {
  try {
    return parseFlags(definitions, argv);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    process.stderr.write(`Error: ${error.message}\nSee '${name} --help' for usage.\n`);
    process.exit(2);
  }
}
