// A command for each way to break something, and heal, faults: what is broken now, and its undoing.
import { Option, type Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import { humanDuration } from '#lib/machinery/human-duration.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { isCompose } from '../access/access-option.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import type { FaultRecord } from '../faults/fault.ts';
import { FaultStore, hasFaults, isAlive } from '../faults/fault-store.ts';
import { FAULT_KINDS } from '../faults/kinds.ts';
import { healFault, healOverdue, makeFault, reportFaults, type FaultReport } from '../faults/make-and-heal.ts';
import { TIMER_COMMAND } from '../faults/timer.ts';
import { textTable } from '../text-table.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';

const HELP_GROUP = 'Faults (undone by heal, after --for, and when the cluster stops):';
const POLL_MS = 1_000;
/** A fault that could not be undone at its time is tried again so often; milliseconds. */
const RETRY_MS = 1_000;
/** ... and given up after so long: the next command of kubreak will try again. */
const GIVE_UP_MS = 600_000;
/** Commands that need no cluster, or end it. */
const WITHOUT_HEALING = new Set(['up', 'down', TIMER_COMMAND]);

type AccessOf = (command: Command) => Promise<ClusterAccess>;

export function addFaultCommands(program: Command, accessOf: AccessOf): void {
  for (const kind of FAULT_KINDS) {
    const command = program.command(kind.name).description(kind.description).helpGroup(HELP_GROUP);
    if (kind.arguments !== '') command.arguments(kind.arguments);
    for (const { flags, description } of kind.options ?? []) command.option(flags, description);
    command.option('--for <duration>', 'undo it after so long: 30s, 1m30s, 500ms', duration('--for'));
    command.action(async () => {
      const { for: forMs } = command.opts<{ for?: number }>();
      const made = await makeFault(await accessOf(command), kind.name, { args: command.args, options: optionsOf(command) }, forMs);
      if (made.isOver) process.stdout.write(`${made.note ?? made.text}\n`);
      else process.stdout.write(`${lineOf(made)}${made.note === undefined || made.note === '' ? '' : `: ${made.note}`}\n`);
    });
  }
  program.command('heal').description('undo faults: those that are named, or all').argument('[ids...]', 'f001 ...; see kubreak faults').option('--all', 'all of them, as without any id').helpGroup(HELP_GROUP)
    .action(async (ids: string[], { all = false }: { all?: boolean }, command: Command) => heal(await accessOf(command), ids, all));
  program.command('faults').description('list what is broken now, since when and until when').option('-o, --output <format>', 'json, or table', 'table').helpGroup(HELP_GROUP)
    .action(async ({ output }: { output: string }, command: Command) => {
      if (output !== 'json' && output !== 'table') throw new UserError(`--output must be json or table, not "${output}"`, 2);
      const reports = await reportFaults(await accessOf(command));
      process.stdout.write(output === 'json' ? `${JSON.stringify({ faults: reports.map(jsonOf) }, null, 2)}\n` : tableOf(reports, systemClock.nowMs()));
    });
  program.command(TIMER_COMMAND, { hidden: true }).argument('<id>').action((id: string, _options: unknown, command: Command) => undoLater(() => accessOf(command), id));
  program.hook('preAction', async (_program, command) => {
    if (WITHOUT_HEALING.has(command.name()) || !hasFaults(clusterFolderOf(command).path, isCompose(command) ? 'compose' : 'local')) return;
    const cluster = await accessOf(command).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error; // no cluster runs: nothing is broken any more
    });
    for (const record of cluster ? await healOverdue(cluster) : []) process.stderr.write(`kubreak: ${record.id} was over its time and is undone: ${record.text}\n`);
  });
}

/** For options that take a Go duration; milliseconds. */
const duration = (option: string) => (text: string): number => {
  const problem = new UserError(`${option} must be a duration such as 30s, 1m30s or 500ms, not "${text}"`, 2);
  try {
    const ms = parseDurationMs(text);
    if (ms > 0) return ms;
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
  }
  throw problem;
};

/** Under their own names, without --for and --dir. */
function optionsOf(command: Command): Record<string, string | boolean> {
  const values = command.opts<Record<string, string | boolean | undefined>>();
  const own = command.options.filter((option: Option) => !['for', 'dir'].includes(option.name()));
  return Object.fromEntries(own.flatMap((option) => {
    const value = values[option.attributeName()];
    return value === undefined ? [] : [[option.name(), value]];
  }));
}

const clockTime = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);
const lineOf = ({ id, text, untilMs }: FaultRecord): string => `${id} ${text}${untilMs === undefined ? '' : ` (until ${clockTime(untilMs)})`}`;

async function heal(cluster: ClusterAccess, ids: readonly string[], all: boolean): Promise<void> {
  if (all && ids.length > 0) throw new UserError('heal takes ids or --all, not both', 2);
  const broken = new FaultStore(cluster).list();
  const unknown = ids.filter((id) => broken.every((record) => record.id !== id));
  if (unknown.length > 0) throw new UserError(`no fault is called ${unknown.join(', ')}; ${broken.length === 0 ? 'nothing is broken' : `there are ${broken.map(({ id }) => id).join(', ')}`}`);
  const chosen = ids.length === 0 ? broken : broken.filter(({ id }) => ids.includes(id));
  if (chosen.length === 0) process.stdout.write('nothing is broken\n');
  const problems: string[] = [];
  // The newest first: what came on top of something goes before it.
  for (const record of chosen.reverse()) {
    try {
      await healFault(cluster, record);
      process.stdout.write(`${record.id} healed: ${record.text}\n`);
    } catch (error) {
      problems.push(`${record.id} (${record.text}): ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (problems.length > 0) throw new UserError(`not healed: ${problems.join('; ')}`);
}

/** The life of a timer: waits, undoes, ends; earlier when somebody else has undone it or the cluster has stopped. */
async function undoLater(access: () => Promise<ClusterAccess>, id: string): Promise<void> {
  const cluster = await access();
  const store = new FaultStore(cluster);
  const hasStopped = (): Promise<boolean> => access().then(({ runId }) => runId !== cluster.runId, (error: unknown) => error instanceof UserError && error.exitCode === 3);
  for (let problem = ''; ;) {
    const record = store.read(id);
    if (!record || record.untilMs === undefined) return;
    const leftMs = record.untilMs - systemClock.nowMs();
    if (leftMs > 0 || isAlive(record.maker)) {
      await systemClock.sleep(Math.max(1, Math.min(leftMs, POLL_MS)));
      if (cluster.mode === 'local' && await hasStopped()) return; // of containers it takes a docker command to know
      continue;
    }
    try {
      return await healFault(cluster, record);
    } catch (error) {
      if (leftMs < -GIVE_UP_MS || await hasStopped()) throw error;
      const message = error instanceof Error ? error.message : String(error);
      if (message !== problem) process.stderr.write(`${new Date(systemClock.nowMs()).toISOString()} ${id} (${record.text}) cannot be undone: ${message}\n`);
      problem = message;
      await systemClock.sleep(RETRY_MS);
    }
  }
}

const jsonOf = ({ record: { id, kind, text, sinceMs, untilMs }, state, problem }: FaultReport): object =>
  ({ id, kind, text, since: new Date(sinceMs).toISOString(), ...(untilMs !== undefined && { until: new Date(untilMs).toISOString() }), state, ...(problem !== undefined && { problem }) });

export function tableOf(reports: readonly FaultReport[], nowMs: number): string {
  if (reports.length === 0) return 'nothing is broken\n';
  const rows = [
    ['ID', 'AGE', 'UNTIL', 'STATE', 'FAULT'],
    ...reports.map(({ record: { id, text, sinceMs, untilMs }, state, problem }) =>
      [id, humanDuration(nowMs - sinceMs), untilMs === undefined ? '-' : clockTime(untilMs), `${state}${problem === undefined ? '' : `: ${problem}`}`, text]),
  ];
  return textTable(rows);
}
