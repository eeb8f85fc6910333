// Flags that lost their "experimental-" in 3.6, and what etcd says of flags on their way out.
// Source: etcd v3.6, server/embed/config.go (experimentalFlagMigrationMap), server/etcdmain/config.go (deprecatedFlags).
import { CommandLineError } from './command-line-error.ts';

/** Those without the prefix whose old name was taken, too. */
const RENAMED = [
  'compact-hash-check-time', 'corrupt-check-time', 'compaction-batch-limit', 'watch-progress-notify-interval', 'warning-apply-duration', 'bootstrap-defrag-threshold-megabytes', 'memory-mlock', 'snapshot-catchup-entries',
  'compaction-sleep-interval', 'downgrade-check-time', 'peer-skip-client-san-verification', 'enable-distributed-tracing', 'distributed-tracing-address', 'distributed-tracing-service-name', 'distributed-tracing-instance-id',
  'distributed-tracing-sampling-rate', 'warning-unary-request-duration',
] as const;

const NEW_NAMES: ReadonlyMap<string, string> = new Map([...RENAMED.map((name) => [`experimental-${name}`, name] as const), ['experimental-snapshot-catch-up-entries', 'snapshot-catchup-entries']]);

const DEPRECATED: ReadonlyMap<string, string> = new Map([
  ...RENAMED.map((name) => [`experimental-${name}`, `--experimental-${name} is deprecated in v3.6 and will be decommissioned in v3.7. Use '--${name}' instead.`] as const),
  ['experimental-compact-hash-check-enabled', '--experimental-compact-hash-check-enabled is deprecated in 3.6 and will be decommissioned in 3.7. Use \'--feature-gates=CompactHashCheck=true\' instead.'],
  ['experimental-txn-mode-write-with-shared-buffer', '--experimental-txn-mode-write-with-shared-buffer is deprecated in v3.6 and will be decommissioned in v3.7. Use \'--feature-gates=TxnModeWriteWithSharedBuffer=true\' instead.'],
  ['max-snapshots', '--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.'],
  ['v2-deprecation', '--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input.'],
]);

export const currentNameOf = (flag: string): string => NEW_NAMES.get(flag) ?? flag;

/** Throws CommandLineError when a flag is given under both of its names. */
export function checkRenamed(given: ReadonlySet<string>): void {
  for (const [old, current] of NEW_NAMES) {
    if (given.has(old) && given.has(current)) throw new CommandLineError(`cannot set --${old} and --${current} at the same time, please use --${current} only`, 1);
  }
}

/** What is to be said of the flags that are given. */
export const deprecationsOf = (given: ReadonlySet<string>): string[] => [...DEPRECATED].filter(([flag]) => given.has(flag)).map(([, text]) => text);
