// kubreak record start|stop and kubreak replay.
import type { Command } from 'commander';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';

type AccessOf = (command: Command) => Promise<ClusterAccess>;

export function addRecordCommands(program: Command, accessOf: AccessOf): void {
  const record = program.command('record').description('write down what is done to the cluster from outside: writes of clients, and faults');
  record.command('start').description('begin; starts the API servers anew, for auditing').argument('[file]', 'where it will go')
    .option('--secrets', 'with what is in Secrets; otherwise their writes are noted without it, and not replayed')
    .action(async (file: string | undefined, { secrets = false }: { secrets?: boolean }, command: Command) => {
      const { startRecording } = await import('../record/record.ts');
      await startRecording(await accessOf(command), { ...(file === undefined ? {} : { file }), withSecrets: secrets });
      process.stdout.write(`recording; end it with: kubreak record stop${file === undefined ? ' FILE' : ''}\n`);
    });
  record.command('stop').description('end, and write the file; starts the API servers anew').argument('[file]').action(async (asked: string | undefined, _options: unknown, command: Command) => {
    const { stopRecording } = await import('../record/record.ts');
    const { file, recording: { steps, endMs, head }, notes } = await stopRecording(await accessOf(command), asked);
    const count = (type: string): number => steps.filter((step) => step.type === type).length;
    process.stdout.write(`${count('write')} writes, ${count('fault')} faults in ${(endMs / 1000).toFixed(0)} s: ${file}\n`);
    if (head.secrets === 'included') process.stdout.write('It holds what was written to Secrets: keep it secret.\n');
    for (const note of notes) process.stderr.write(`kubreak: ${note}\n`);
  });
  program.command('replay').description('do to this cluster what a recording says was done to another').argument('<file>')
    .option('--speed <factor>', '2: in half the time; "max": without pauses', '1')
    .option('--skip-user <names>', 'leave out the writes of these, comma separated; a * at the end stands for anything: operators that run here do them by themselves')
    .action((file: string, options: { speed: string; skipUser?: string }, command: Command) => runReplay(file, options, () => accessOf(command)));
}

async function runReplay(file: string, { speed: speedText, skipUser }: { speed: string; skipUser?: string }, access: () => Promise<ClusterAccess>): Promise<void> {
  const speed = speedText === 'max' ? Infinity : Number(speedText);
  if (!(speed > 0)) throw new UserError(`--speed must be a number above 0 or "max", not "${speedText}"`, 2);
  const { readRecording } = await import('../record/recording.ts');
  const { replay } = await import('../record/replay.ts');
  const recording = readRecording(file);
  const stopping = new AbortController();
  for (const event of ['SIGINT', 'SIGTERM'] as const) process.once(event, () => stopping.abort(new UserError(`stopped by ${event}; what it has broken is told by: kubreak faults`)));
  const cluster = await access();
  if (recording.steps.some((step) => step.type === 'fault' && step.kind === 'api-fault')) {
    const { enableApiFaults } = await import('../api-fault/enable.ts');
    await enableApiFaults(cluster); // before the clock runs: it starts the API servers anew
  }
  const { writes, faults, skipped, differences, stillBroken, lateMs } = await replay(cluster, recording, {
    speed, skipUsers: skipUser === undefined ? [] : skipUser.split(','), onStep: (line) => process.stdout.write(`${line}\n`), signal: stopping.signal,
  });
  process.stdout.write(`${writes} writes and ${faults} faults replayed${skipped === 0 ? '' : `, ${skipped} writes skipped`}; ${(lateMs / 1000).toFixed(1)} s behind at most\n`);
  if (stillBroken.length > 0) process.stdout.write(`the recording ends with faults in force: kubreak heal ${stillBroken.join(' ')}\n`);
  if (differences.length > 0) throw new UserError(`${differences.length} of ${recording.steps.length} steps came out otherwise than recorded`);
}
