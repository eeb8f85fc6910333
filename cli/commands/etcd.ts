// kubreak etcd restore: makes the data directory of an etcd member from a snapshot, as `etcdctl snapshot restore` does.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { UserError } from '../user-error.ts';

interface RestoreOptions {
  readonly name: string;
  readonly initialCluster: string;
  readonly initialClusterToken: string;
  readonly initialAdvertisePeerUrls: string;
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly skipHashCheck?: true;
  readonly bumpRevision?: string;
  readonly markCompacted?: true;
}

/** Names and defaults are those of `etcdctl snapshot restore`. */
export function addEtcdCommand(program: Command): void {
  const etcd = program.command('etcd').description('restore etcd from a snapshot');
  etcd.command('restore')
    .description('make the data directory of a member of a new cluster from a snapshot (etcdctl snapshot save)')
    .argument('<snapshot>', 'a file')
    .option('--name <name>', 'human-readable name for this member', 'default')
    .option('--initial-cluster <name=url,...>', 'the members of the new cluster', 'default=http://localhost:2380')
    .option('--initial-cluster-token <token>', 'tells clusters with the same addresses apart', 'etcd-cluster')
    .option('--initial-advertise-peer-urls <url,...>', 'this member\'s peer URLs', 'http://localhost:2380')
    .option('--data-dir <folder>', 'must be empty, or not there yet (default: NAME.etcd)')
    .option('--wal-dir <folder>', 'for the write-ahead log (default: in the data directory)')
    .option('--skip-hash-check', 'restore a file without a hash, such as one copied from a data directory')
    .option('--bump-revision <number>', 'how much to increase the latest revision after restore')
    .option('--mark-compacted', 'mark the latest revision after restore as compacted; goes with --bump-revision')
    .action((snapshot: string, options: RestoreOptions) => restore(snapshot, options));
}

function restore(snapshot: string, options: RestoreOptions): void {
  const { name, initialCluster, initialClusterToken, initialAdvertisePeerUrls, dataDir = `${name}.etcd`, walDir, skipHashCheck, bumpRevision, markCompacted } = options;
  // As etcdutl has it: a revision that jumps without telling watchers would be one that some of them miss.
  if ((bumpRevision === undefined) !== (markCompacted === undefined)) throw new UserError('--bump-revision and --mark-compacted go together', 2);
  if (bumpRevision !== undefined && !/^[1-9]\d{0,14}$/.test(bumpRevision)) throw new UserError(`--bump-revision must be a number above 0, not "${bumpRevision}"`, 2);
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [
    join(dirname(fileURLToPath(import.meta.url)), 'etcd.js'), `--emulator-restore-snapshot=${snapshot}`, `--name=${name}`, `--initial-cluster=${initialCluster}`,
    `--initial-cluster-token=${initialClusterToken}`, `--initial-advertise-peer-urls=${initialAdvertisePeerUrls}`, `--data-dir=${dataDir}`,
    ...(walDir === undefined ? [] : [`--wal-dir=${walDir}`]), ...(bumpRevision === undefined ? [] : [`--emulator-bump-revision=${bumpRevision}`]),
    ...(skipHashCheck === undefined ? [] : ['--emulator-skip-hash-check=true']),
  ], { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new UserError(stderr.trim().split('\n').at(-1)?.replace(/^etcd: /, '') || stdout.trim().split('\n').at(-1) || `etcd ended with ${status}`);
  process.stdout.write(`restored ${snapshot} into ${dataDir}\n`);
}
