// kubreak etcd restore: makes the data directory of an etcd member from a snapshot, as `etcdctl snapshot restore` does; on this machine, or on
// a host of a running cluster whose etcd was stopped.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { isCompose } from '../access/access-option.ts';
import type { ClusterAccess, CommandResult } from '../access/cluster-access.ts';
import { lastWords } from '../access/run-command.ts';
import { uploadToHost } from '../access/upload.ts';
import { etcdPeerUrl, initialEtcdCluster, mastersOf } from '../cluster-layout.ts';
import { BUNDLE_FOLDER } from '../host-files.ts';
import { hostNamed } from '../host-named.ts';
import { UserError } from '../user-error.ts';

export interface RestoreOptions {
  readonly name?: string;
  readonly initialCluster?: string;
  readonly initialClusterToken: string;
  readonly initialAdvertisePeerUrls?: string;
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly skipHashCheck?: true;
  readonly bumpRevision?: string;
  readonly markCompacted?: true;
  readonly host?: string;
}

const HOST_DATA = '/var/lib/etcd';
/** Outside the data directory, which must be empty, but on a disk of the host. */
const UPLOADED = '/var/lib/.etcd-snapshot.db';
const RESTORE_TIMEOUT_MS = 600_000;

/** Names and defaults are those of `etcdctl snapshot restore`. */
export function addEtcdCommand(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  const etcd = program.command('etcd').description('restore etcd from a snapshot');
  etcd.command('restore')
    .description('make the data directory of a member of a new cluster from a snapshot (etcdctl snapshot save)')
    .argument('<snapshot>', 'a file on this machine')
    .option('--host <host>', 'on a master of the running cluster; there the defaults are that of its member, and the data directory one of the host')
    .option('--name <name>', 'human-readable name for this member (default: default; on a host: its name)')
    .option('--initial-cluster <name=url,...>', 'the members of the new cluster (default: this one at http://localhost:2380; on a host: all masters)')
    .option('--initial-cluster-token <token>', 'tells clusters with the same addresses apart', 'etcd-cluster')
    .option('--initial-advertise-peer-urls <url,...>', 'this member\'s peer URLs (default: http://localhost:2380; on a host: its own)')
    .option('--data-dir <folder>', `must be empty, or not there yet (default: NAME.etcd; on a host: ${HOST_DATA})`)
    .option('--wal-dir <folder>', 'for the write-ahead log (default: in the data directory)')
    .option('--skip-hash-check', 'restore a file without a hash, such as one copied from a data directory')
    .option('--bump-revision <number>', 'how much to increase the latest revision after restore')
    .option('--mark-compacted', 'mark the latest revision after restore as compacted; goes with --bump-revision')
    .action(async (snapshot: string, options: RestoreOptions, command: Command) => {
      if (options.host === undefined && isCompose(command)) throw new UserError('say on which master, with --host m-k8s', 2);
      const restored = options.host === undefined ? restoreHere(snapshot, options) : await restoreOnHost(await accessOf(command), snapshot, { ...options, host: options.host });
      process.stdout.write(`restored ${snapshot} into ${restored}\n`);
    });
}

interface Member {
  readonly name: string;
  readonly initialCluster: string;
  readonly peerUrls: string;
  readonly dataDir: string;
}

function flagsOf({ name, initialCluster, peerUrls, dataDir }: Member, snapshot: string, { initialClusterToken, walDir, skipHashCheck, bumpRevision, markCompacted }: RestoreOptions): string[] {
  // As etcdutl has it: a revision that jumps without telling watchers would be one that some of them miss.
  if ((bumpRevision === undefined) !== (markCompacted === undefined)) throw new UserError('--bump-revision and --mark-compacted go together', 2);
  if (bumpRevision !== undefined && !/^[1-9]\d{0,14}$/.test(bumpRevision)) throw new UserError(`--bump-revision must be a number above 0, not "${bumpRevision}"`, 2);
  return [
    `--emulator-restore-snapshot=${snapshot}`, `--name=${name}`, `--initial-cluster=${initialCluster}`, `--initial-cluster-token=${initialClusterToken}`, `--initial-advertise-peer-urls=${peerUrls}`, `--data-dir=${dataDir}`,
    ...(walDir === undefined ? [] : [`--wal-dir=${walDir}`]), ...(bumpRevision === undefined ? [] : [`--emulator-bump-revision=${bumpRevision}`]), ...(skipHashCheck === undefined ? [] : ['--emulator-skip-hash-check=true']),
  ];
}

/** What etcd says last. */
function reasonOf({ code, stdout, stderr }: CommandResult): string {
  return lastWords({ stdout, stderr }).replace(/^etcd: /, '') || `etcd ended with ${code}`;
}

function restoreHere(snapshot: string, options: RestoreOptions): string {
  const { name = 'default', initialCluster = 'default=http://localhost:2380', initialAdvertisePeerUrls: peerUrls = 'http://localhost:2380', dataDir = `${name}.etcd` } = options;
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), 'etcd.js'), ...flagsOf({ name, initialCluster, peerUrls, dataDir }, snapshot, options)], { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new UserError(reasonOf({ code: status ?? 1, stdout, stderr }));
  return dataDir;
}

/** Its etcd is not running: a data directory that is used is not empty. */
export async function restoreOnHost(cluster: ClusterAccess, snapshot: string, options: RestoreOptions & { readonly host: string }): Promise<string> {
  const host = hostNamed(options.host, cluster.hosts);
  const masters = mastersOf(cluster.hosts);
  if (!masters.includes(host)) throw new UserError(`${host.name} has no etcd; the masters are ${masters.map(({ name }) => name).join(', ')}`, 2);
  if (host.hasExternalEtcd) throw new UserError('this cluster keeps its state in an etcd of its own keeping: restore that with etcdutl snapshot restore');
  if (!existsSync(snapshot)) throw new UserError(`cannot open ${snapshot}: there is no such file`);
  const { name = host.name, initialCluster = initialEtcdCluster(masters), initialAdvertisePeerUrls: peerUrls = etcdPeerUrl(host), dataDir = HOST_DATA } = options;
  const flags = flagsOf({ name, initialCluster, peerUrls, dataDir }, UPLOADED, options);
  try {
    await uploadToHost(cluster, host.name, snapshot, UPLOADED);
    const result = await cluster.onHost(host.name, ['node', `${BUNDLE_FOLDER}/dist/etcd.js`, ...flags], { timeoutMs: RESTORE_TIMEOUT_MS });
    if (result.code !== 0) throw new UserError(`${host.name}: ${reasonOf(result)}`);
  } finally {
    await cluster.onHost(host.name, ['rm', '-f', UPLOADED]);
  }
  return `${dataDir} of ${host.name}`;
}
