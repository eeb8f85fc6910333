// kubreak drill list|show|check|run: failure experiments that are files. All that it needs is loaded when one of them runs.
import type { Command } from 'commander';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';

type AccessOf = (command: Command) => Promise<ClusterAccess>;

/** Shells say so of what Ctrl-C has ended. */
const INTERRUPTED = 130;
/** None failed, but not all could be run on this cluster. */
const SKIPPED = 4;

interface RunFlags {
  readonly all?: boolean;
  readonly reportDir?: string;
  readonly withoutFault?: boolean;
  readonly quiet?: boolean;
  readonly parallel?: boolean;
}

export function addDrillCommands(program: Command, accessOf: AccessOf): void {
  const drill = program.command('drill').description('failure experiments: what is broken and what has to be seen, as files');
  drill.command('list').description('the drills that come with kubreak').option('-o, --output <format>', 'json, or table', 'table').action(async ({ output }: { output: string }) => {
    if (output !== 'json' && output !== 'table') throw new UserError(`--output must be json or table, not "${output}"`, 2);
    const { findDrill, shippedNames } = await import('../drill/catalogue.ts');
    const drills = shippedNames().map((name) => findDrill(name).drill);
    if (output === 'json') process.stdout.write(`${JSON.stringify({ drills: drills.map(({ name, title, description, experiment, requires, scope }) => ({ name, title, description, experiment, requires, scope })) }, null, 2)}\n`);
    else {
      const width = Math.max(...drills.map(({ name }) => name.length));
      for (const { name, title, requires = {} } of drills) {
        const needs = Object.entries(requires).map(([key, value]) => (value === true ? key : `${key} ${String(value)}`)).join(', ');
        process.stdout.write(`${name.padEnd(width)}   ${title}${needs === '' ? '' : ` (needs ${needs})`}\n`);
      }
    }
  });
  drill.command('show').description('what a drill does, as it is written').argument('<name>', 'NAME or FILE').action(async (name: string) => {
    const { findDrill } = await import('../drill/catalogue.ts');
    process.stdout.write(findDrill(name).text);
  });
  drill.command('check').description('whether files are drills; needs no cluster').argument('<files...>').action(async (files: string[]) => {
    const { findDrill } = await import('../drill/catalogue.ts');
    for (const file of files) process.stdout.write(`${file}: ${findDrill(file).drill.steps.length} steps\n`);
  });
  drill.command('run').description('run drills on the running cluster: what they break is mended at the end, whatever happens')
    .argument('[drills...]', 'NAME or FILE')
    .option('--all', 'all that come with kubreak')
    .option('--report-dir <folder>', 'write report.json, junit.xml and a page for each drill there')
    .option('--without-fault', 'leave out what breaks something: a drill that passes like this shows nothing')
    .option('--parallel', 'those that stay in their own namespace at the same time, the others one after the other')
    .option('-q, --quiet', 'print the outcomes only')
    .action(async (names: string[], flags: RunFlags, command: Command) => {
      const { findDrill, shippedNames } = await import('../drill/catalogue.ts');
      if ((names.length === 0) === (flags.all !== true)) throw new UserError('name the drills to run, or --all; kubreak drill list shows them', 2);
      const chosen = (flags.all === true ? shippedNames() : names).map((name) => findDrill(name).drill);
      const { runDrills } = await import('../drill/run-drills.ts');
      const reports = await runDrills(chosen, await accessOf(command), {
        isWithoutFault: flags.withoutFault === true, isParallel: flags.parallel === true, isQuiet: flags.quiet === true, print: (line) => process.stdout.write(`${line}\n`),
        ...(flags.reportDir !== undefined && { reportFolder: flags.reportDir }),
      });
      const has = (...wanted: string[]): boolean => reports.some(({ status }) => wanted.includes(status));
      process.exitCode = has('interrupted') ? INTERRUPTED : has('failed', 'error') ? 1 : has('skipped') ? SKIPPED : 0;
    });
}
