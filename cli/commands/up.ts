// kubreak up: starts the cluster, in the foreground or detached.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { Command } from 'commander';
import { createInterface } from 'node:readline';
import { API_PORT, DEFAULT_WORKERS, MASTER_COUNTS, MAX_WORKERS } from '../cluster-layout.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { rootlessNotes } from '../local/rootless.ts';
import { superviseCluster, type ClusterOptions, type Progress } from '../local/supervisor.ts';
import { UserError } from '../user-error.ts';
import { withoutExtraAuthorities } from '../without-extra-authorities.ts';
import { clusterFolderOf } from './cluster-option.ts';
import { quantity } from './quantity-option.ts';

interface UpOptions extends ClusterOptions {
  readonly detach?: boolean;
}

function workerCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > MAX_WORKERS) throw new UserError(`--workers must be a number from 0 to ${MAX_WORKERS}, not "${text}"`, 2);
  return count;
}

function masterCount(text: string): number {
  const count = Number(text);
  if (!MASTER_COUNTS.includes(count)) throw new UserError(`--masters must be 1, 3 or 5, not "${text}": etcd needs a majority, so an even number stands no more failures than the odd one below it`, 2);
  return count;
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) throw new UserError(`--port must be a number from 1 to 65535, not "${text}"`, 2);
  return port;
}

export function addUpCommand(program: Command): void {
  program.command('up')
    .description('start the cluster of this folder (makes one when there is none) and wait until it is ready')
    .option('--port <number>', 'port of the API server on 127.0.0.1', portNumber, API_PORT)
    .option('--masters <number>', 'how many masters a new cluster has: 1, 3 or 5 (default: 1)', masterCount)
    .option('--workers <number>', `how many worker nodes a new cluster has (default: ${DEFAULT_WORKERS})`, workerCount)
    .option('--node-cpu <quantity>', 'CPU that each node of a new cluster has, such as 2 or 1500m (default: what the machine has)', quantity('--node-cpu'))
    .option('--node-memory <quantity>', 'memory that each node of a new cluster has, such as 2Gi (default: what the machine has)', quantity('--node-memory'))
    .option('--etcd-servers <urls>', 'keep the state of a new cluster in this etcd, https://ADDRESS:PORT,..., instead of one of its own')
    .option('--etcd-cafile <path>', 'authority of its certificates')
    .option('--etcd-certfile <path>', 'certificate that the API server shows it')
    .option('--etcd-keyfile <path>', 'the key of that certificate')
    .option('--fast-failure-detection', 'a new cluster with shorter timings: grace periods, tolerations, leases, back-offs (docs/failure-lab.md)')
    .option('--host-routes', 'let the machine itself reach hosts, pods and services (needs root)')
    .option('-d, --detach', 'return when the cluster is ready; stop it with: kubreak down')
    .action(async (options: UpOptions, command: Command) => {
      const folder = clusterFolderOf(command);
      await (options.detach ? startDetached(folder, options) : runInForeground(folder, options));
    });
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** One line a step; on a terminal also what is being waited for. */
function terminalProgress(startedMs: number): Progress {
  const isTerminal = process.stdout.isTTY;
  const clear = isTerminal ? '\r\x1b[K' : '';
  let lastMs = startedMs;
  return {
    step(text) {
      const nowMs = performance.now();
      process.stdout.write(`${clear}  ${text.padEnd(48)} ${seconds(nowMs - lastMs).padStart(7)}\n`);
      lastMs = nowMs;
    },
    waitingFor(text) {
      if (isTerminal) process.stdout.write(`${clear}  waiting for ${text} ...`);
    },
  };
}

function printReady(folder: ClusterFolder, startedMs: number): void {
  process.stdout.write(`The cluster is up after ${seconds(performance.now() - startedMs)}.${folder.provisioned.isFast ? '\nTimings: fast failure detection, not upstream\'s.' : ''}

kubeconfig: ${folder.kubeconfig}

Try, in another terminal:
  export KUBECONFIG=${folder.kubeconfig}
  kubectl get nodes
  kubectl get pods --all-namespaces
  npx kubreak status
`);
}

async function runInForeground(folder: ClusterFolder, options: ClusterOptions): Promise<void> {
  const startedMs = performance.now();
  const stopping = new AbortController();
  const isChildOfDetach = process.env['KUBREAK_DETACHED'] === '1';
  for (const event of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(event, () => {
      if (!stopping.signal.aborted && !isChildOfDetach) process.stdout.write('\nstopping the cluster ...\n');
      stopping.abort(new UserError(`stopped by ${event}`));
    });
  }
  if (isChildOfDetach) for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined); // who listened has gone
  process.stdout.write(`starting a cluster in ${folder.path}\n`);
  for (const note of rootlessNotes()) process.stdout.write(`  ${note}\n`);
  await superviseCluster(folder, options, terminalProgress(startedMs), () => {
    printReady(folder, startedMs);
    process.stdout.write(isChildOfDetach ? 'Stop it with: kubreak down\n' : 'Ctrl-C stops it; its data stays.\n');
    if (isChildOfDetach) process.stdout.write(DETACHED_READY);
  }, stopping.signal);
}

const DETACHED_READY = '\0ready\n';

/** Runs this same command in a session of its own and follows its words until the cluster is ready. */
async function startDetached(folder: ClusterFolder, { port, masters, workers, nodeCpu, nodeMemory, etcdServers, etcdCafile, etcdCertfile, etcdKeyfile, hostRoutes, fastFailureDetection }: ClusterOptions): Promise<void> {
  mkdirSync(folder.path, { recursive: true });
  const option = (name: string, value: string | number | undefined) => (value === undefined ? [] : [name, String(value)]);
  const options = [...option('--port', port), ...option('--masters', masters), ...option('--workers', workers), ...option('--node-cpu', nodeCpu), ...option('--node-memory', nodeMemory),
    ...option('--etcd-servers', etcdServers), ...option('--etcd-cafile', etcdCafile), ...option('--etcd-certfile', etcdCertfile), ...option('--etcd-keyfile', etcdKeyfile), ...(hostRoutes ? ['--host-routes'] : []), ...(fastFailureDetection ? ['--fast-failure-detection'] : [])];
  const child = spawn(process.execPath, ['--use-openssl-ca', process.argv[1] ?? '', '--dir', folder.path, 'up', ...options],
    { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...withoutExtraAuthorities(process.env), KUBREAK_DETACHED: '1' } });
  let problem = '';
  child.stderr.on('data', (chunk: Buffer) => (problem += chunk.toString()));
  const outcome = await new Promise<'ready' | number>((resolve) => {
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      if (`${line}\n` === DETACHED_READY) resolve('ready');
      else process.stdout.write(`${line}\n`);
    });
    child.once('exit', (code) => resolve(code ?? 1));
  });
  if (outcome !== 'ready') throw new UserError(problem.trim().replace(/^kubreak: /, '') || `the cluster did not start; see ${folder.logFile}`, outcome);
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
}
