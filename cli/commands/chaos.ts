// kubreak chaos: breaks the running cluster at random, heals it, and tells whether it came back whole.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import { integerBelow, systemRandom } from '#lib/environment/random.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';

const LARGEST_SEED = 100_000;
const INTERRUPTED = 130;

interface ChaosOptions {
  readonly seed?: number;
  readonly for?: number;
  readonly rounds?: number;
  readonly only?: readonly string[];
  readonly without?: readonly string[];
  readonly deadline: number;
  readonly report?: string;
}

export function addChaosCommand(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  program.command('chaos')
    .description('break things at random for a while, heal them, and see that nothing is lost or left over')
    .option('--seed <number>', 'the same seed breaks the same things in the same order', wholeNumber('--seed'))
    .addOption(new Option('--for <duration>', 'how long: 30m, 90s; faults overlap, each lasts as long as it was drawn to').argParser(duration('--for')).conflicts('rounds'))
    .option('--rounds <number>', 'instead: break some things, mend them, wait until the cluster is whole; so many times', wholeNumber('--rounds'))
    .option('--only <faults>', 'of these kinds only, such as kill,pause,partition', list)
    .option('--without <faults>', 'of all kinds but these', list)
    .option('--deadline <duration>', 'the cluster has to be whole again so long after it was healed', duration('--deadline'), 420_000)
    .option('--report <file>', 'where the figures go, as JSON (default: chaos-SEED.json in the folder of the cluster)')
    .action(async (options: ChaosOptions, command: Command) => {
      process.exitCode = await run(await accessOf(command), options);
    });
}

const print = (line: string): void => void process.stdout.write(`${new Date(systemClock.nowMs()).toISOString().slice(11, 19)} ${line}\n`);

async function run(access: ClusterAccess, options: ChaosOptions): Promise<number> {
  const { seed = integerBelow(systemRandom, LARGEST_SEED), for: durationMs, rounds } = options;
  if (durationMs !== undefined) return runSoak(access, { ...options, seed, durationMs });
  if (rounds === undefined) throw new UserError('say for how long, with --for 10m, or in how many rounds, with --rounds 20', 2);
  if (options.only || options.without || options.report !== undefined) throw new UserError('--only, --without and --report go with --for', 2);
  const { breakable } = await import('../chaos/breakable.ts');
  const { runRounds } = await import('../chaos/rounds.ts');
  const { NotWhole } = await import('../chaos/wholeness.ts');
  try {
    await runRounds(await breakable(access), { seed, rounds, deadlineMs: options.deadline, print });
    print('whole after every round');
    return 0;
  } catch (error) {
    if (!(error instanceof NotWhole)) throw error;
    print(`FAILED: ${error.message}`);
    return 1;
  }
}

async function runSoak(access: ClusterAccess, options: ChaosOptions & { seed: number; durationMs: number }): Promise<number> {
  const { seed, durationMs, deadline: deadlineMs } = options;
  const { chooseFaults } = await import('../chaos/menu.ts');
  const { soak } = await import('../chaos/soak.ts');
  const { describe } = await import('../chaos/describe.ts');
  const stopping = new AbortController();
  const stop = (): void => {
    if (stopping.signal.aborted) process.exit(INTERRUPTED); // who asks twice does not want to wait; timers undo what is broken
    print('stopping: what is broken is healed first');
    stopping.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const report = await soak(access, { seed, durationMs, menu: chooseFaults(options), deadlineMs, print, signal: stopping.signal });
  const file = resolve(options.report ?? join(access.folder, `chaos-${seed}.json`));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  for (const line of describe(report)) print(line);
  print(`all figures: ${file}`);
  if (report.problems.length > 0) return 1;
  return stopping.signal.aborted ? INTERRUPTED : 0;
}

const list = (text: string): string[] => text.split(',').map((word) => word.trim()).filter((word) => word !== '');

const wholeNumber = (option: string) => (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new UserError(`${option} must be a whole number, not "${text}"`, 2);
  return Number(text);
};

const duration = (option: string) => (text: string): number => {
  try {
    const ms = parseDurationMs(text);
    if (ms > 0) return ms;
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
  }
  throw new UserError(`${option} must be a duration such as 30m or 90s, not "${text}"`, 2);
};
