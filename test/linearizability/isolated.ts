// The part of a run that is inside the namespaces: gets the options as JSON, prints lines, exits with 1 for what was found, 3 when it is not known.
import { runOnce, type RunOptions } from './run.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as Omit<RunOptions, 'print'>;
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const { problems, unknown, operations } = await runOnce({ ...options, print });
if (problems.length > 0) print(`found within ${operations} operations:`);
for (const problem of problems.slice(0, 20)) print(`FOUND: ${problem}`);
if (problems.length > 20) print(`FOUND: and ${problems.length - 20} more`);
for (const what of unknown) print(`UNKNOWN: ${what}`);
if (problems.length + unknown.length === 0) print(`as etcd promises: ${operations} operations`);
process.exit(problems.length > 0 ? 1 : unknown.length > 0 ? 3 : 0);
