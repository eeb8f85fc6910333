import { runService } from '#lib/service/run-service.ts';
import { CommandLineError } from './command-line/command-line-error.ts';
import { readCommandLine, type CommandLine } from './command-line/command-line.ts';
import { etcdFlags } from './command-line/flags.ts';
import { enableFailPoints } from './edge/fail-points.ts';
import { newEtcdLog } from './edge/log.ts';
import { newEtcdWords } from './edge/log-words.ts';
import { ETCD_VERSION } from './edge/version.ts';
import { startEtcd } from './service.ts';

/** Lines and names as etcd's, for scripts that look for the version. */
const VERSION = `etcd Version: ${ETCD_VERSION}\nGit SHA: none, this is kubreak's etcd\nGo Version: none, this is Node.js ${process.version}\nGo OS/Arch: ${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}\n`;

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  const isGiven = (...flags: readonly string[]): boolean => argv.some((argument) => flags.includes(argument));
  const help = isGiven('--help', '-help', '-h');
  if (!help && isGiven('--version', '-version')) {
    process.stdout.write(VERSION);
    process.exit(0);
  }
  const { flags, notes } = help ? { flags: ['--help'], notes: [] } : await commandLineOrExit(argv);
  process.argv.splice(2, argv.length, ...flags);
  await enableFailPoints(process.env);
  let isReady = false;
  await runService('etcd', etcdFlags, async (parsed, environment, signal) => {
    environment.log.info({ args: ['etcd', ...argv] }, 'Running: ');
    for (const { level, message, fields } of notes) environment.log[level]({ ...fields }, message);
    await startEtcd(parsed, environment, signal, () => { isReady = true; });
  }, { newLog: (parsed) => newEtcdLog(parsed, flags.some((flag) => flag.startsWith('--log-level=')) ? undefined : process.env['LOG_LEVEL']), words: newEtcdWords(() => isReady) });
}

async function commandLineOrExit(argv: readonly string[]): Promise<CommandLine> {
  try {
    return await readCommandLine(argv, process.env);
  } catch (error) {
    if (!(error instanceof CommandLineError)) throw error;
    process.stderr.write(error.exitCode === 2 ? `${error.message}\nUsage:\n\n  etcd [flags]\n    Start an etcd server.\n\n  etcd --version\n    Show the version of etcd.\n\n  etcd -h | --help\n    Show the help information about etcd.\n` : `etcd: ${error.message}\n`);
    process.exit(error.exitCode);
  }
}

void main();
