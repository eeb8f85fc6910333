// kubreak: the command line.
import { Command, CommanderError } from 'commander';
import { accessOf } from './access/access-option.ts';
import { addComposeCommands } from './compose/commands.ts';
import { addChaosCommand } from './commands/chaos.ts';
import { addApiFaultCommands } from './commands/api-fault.ts';
import { acceptDirEverywhere } from './commands/cluster-option.ts';
import { addDownCommand } from './commands/down.ts';
import { addDrillCommands } from './commands/drill.ts';
import { addEtcdCommand } from './commands/etcd.ts';
import { addExecCommand, localHosts } from './commands/exec.ts';
import { addFaultCommands } from './commands/faults.ts';
import { addImageCommand } from './commands/image.ts';
import { addKubeconfigCommand } from './commands/kubeconfig.ts';
import { addLeverCommands } from './commands/levers.ts';
import { addLogsCommand } from './commands/logs.ts';
import { addNodeCommand } from './commands/node.ts';
import { addRecordCommands } from './commands/record.ts';
import { addSnapshotCommands } from './commands/snapshot.ts';
import { addStatusCommand } from './commands/status.ts';
import { addTraceCommand } from './commands/trace.ts';
import { addUpCommand } from './commands/up.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { UserError } from './user-error.ts';

// Whoever read our words may have stopped listening (`kubreak status | head`): no reason to complain.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

const program = new Command('kubreak')
  .description('A Kubernetes cluster on this machine, made to be broken on purpose.')
  .option('--dir <folder>', 'folder that holds the cluster', process.env['KUBREAK_DIR'] ?? '.kubreak')
  .option('--compose', 'the cluster that docker compose has started, instead of one in a folder (or KUBREAK_COMPOSE=1)')
  .enablePositionalOptions()
  .showHelpAfterError('(kubreak --help tells more)')
  .exitOverride();

const words = process.argv.slice(2);
const command = words.findIndex((word, at) => !word.startsWith('-') && words[at - 1] !== '--dir');
const isCompose = words.slice(0, command < 0 ? undefined : command).includes('--compose') || (process.env['KUBREAK_COMPOSE'] ?? '') !== '';
if (isCompose) addComposeCommands(program);
else {
  addUpCommand(program);
  addDownCommand(program);
  addStatusCommand(program);
  addExecCommand(program);
  addLogsCommand(program);
  addKubeconfigCommand(program);
  addNodeCommand(program);
  addImageCommand(program, localHosts);
}
addEtcdCommand(program, accessOf);
addLeverCommands(program, accessOf);
addTraceCommand(program, accessOf);
addDrillCommands(program, accessOf);
addFaultCommands(program, accessOf);
addApiFaultCommands(program, accessOf);
addSnapshotCommands(program, accessOf);
addRecordCommands(program, accessOf);
addChaosCommand(program, accessOf);
if (!isCompose) acceptDirEverywhere(program);
program.addHelpText('after', `
${isCompose ? 'Start the cluster with docker compose up -d, stop it with docker compose down (-v: its data, too).\n' : ''}Exit codes: 0 done, 1 it could not be done, 2 the command was not understood, 3 no cluster is running.
Components: etcd apiserver controller-manager scheduler kubelet container-runtime metrics-server kube-proxy calico-node coredns
            calico-kube-controllers; COMPONENT means all its instances, COMPONENT@HOST the one on that host.`);

program.parseAsync().catch((error: unknown) => {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (error instanceof UserError || error instanceof StatusError) {
    process.stderr.write(`kubreak: ${error.message}\n`);
    process.exitCode = error instanceof UserError ? error.exitCode : 1;
  } else {
    process.stderr.write(`kubreak: ${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env['KUBREAK_DEBUG'] !== undefined && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
    process.exitCode = 1;
  }
});
