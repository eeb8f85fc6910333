// etcd's flags, as its documentation and kubeadm's static pod have them.
import { boolean, duration, integer, list, path, text, type Flag, type Flags } from '#lib/service/flags.ts';

/** Accepted so that upstream's command lines work; what it governs comes with Raft or does not apply to LevelDB. */
const accepted = (help: string, fallback: string): Flag<string> => text({ help: `${help} (accepted; no effect here)`, default: fallback });

export const etcdFlags = {
  'name': text({ help: 'Human-readable name for this member.', default: 'default' }),
  'data-dir': path({ help: 'Path to the data directory. Default: ${name}.etcd.' }),
  'listen-client-urls': list({ help: 'URLs to listen on for client traffic.', default: ['http://localhost:2379'] }),
  'advertise-client-urls': list({ help: 'This member\'s client URLs to advertise.', default: ['http://localhost:2379'] }),
  'listen-metrics-urls': list({ help: 'URLs to listen on for /metrics and /health, besides the client URLs.', default: [] }),
  'listen-peer-urls': list({ help: 'URLs to listen on for peer traffic (not opened while the cluster has one member).', default: ['http://localhost:2380'] }),
  'initial-advertise-peer-urls': list({ help: 'This member\'s peer URLs to advertise.', default: ['http://localhost:2380'] }),
  'initial-cluster': list({ help: 'Initial cluster configuration, name=peer-url,...; one member for now.', default: [] }),
  'initial-cluster-state': text({ help: 'Initial cluster state (new or existing).', default: 'new' }),
  'initial-cluster-token': text({ help: 'Initial cluster token.', default: 'etcd-cluster' }),
  'cert-file': path({ help: 'Path to the client server TLS certificate file.' }),
  'key-file': path({ help: 'Path to the client server TLS key file.' }),
  'client-cert-auth': boolean({ help: 'Require clients to show a certificate of --trusted-ca-file.', default: false }),
  'trusted-ca-file': path({ help: 'Path to the authority of client certificates; giving it turns --client-cert-auth on.' }),
  'peer-cert-file': path({ help: 'Path to the peer server TLS certificate file.' }),
  'peer-key-file': path({ help: 'Path to the peer server TLS key file.' }),
  'peer-client-cert-auth': boolean({ help: 'Require peers to show a certificate.', default: false }),
  'peer-trusted-ca-file': path({ help: 'Path to the authority of peer certificates.' }),
  'max-request-bytes': integer({ help: 'Largest client request, in bytes.', default: 1_572_864, min: 1 }),
  'max-txn-ops': integer({ help: 'Most operations in a transaction.', default: 128, min: 1 }),
  'max-concurrent-streams': integer({ help: 'Most calls at once on one connection.', default: 2 ** 32 - 1, min: 1 }),
  'grpc-keepalive-min-time': duration({ help: 'A client that sends keep-alive pings more often is sent away.', default: '5s' }),
  'grpc-keepalive-interval': duration({ help: 'A client that is silent for so long is asked whether it is there.', default: '2h' }),
  'grpc-keepalive-timeout': duration({ help: 'Time for it to answer.', default: '20s' }),
  'quota-backend-bytes': integer({ help: 'Refuse puts when the data exceed this many bytes (0: 2 GiB).', default: 0 }),
  'auth-token': text({ help: 'Tokens of authenticated users: simple, or jwt with its options (sign-method, pub-key, priv-key, ttl).', default: 'simple' }),
  'auth-token-ttl': integer({ help: 'Seconds for which a simple token that is not used is good.', default: 300, min: 1 }),
  'bcrypt-cost': integer({ help: 'Cost of hashing a password, 4 to 31.', default: 10, min: 4 }),
  'auto-compaction-retention': text({ help: 'Compact automatically: hours or a duration (periodic), or a number of revisions. 0: off.', default: '0' }),
  'auto-compaction-mode': text({ help: 'periodic or revision.', default: 'periodic' }),
  'watch-progress-notify-interval': duration({ help: 'How often watchers that asked for it are told that nothing happened.', default: '10m' }),
  'experimental-watch-progress-notify-interval': duration({ help: 'As --watch-progress-notify-interval, by its name before 3.6. 0: not given.', default: '0' }),
  'snapshot-count': accepted('Committed transactions after which a snapshot is made', '10000'),
  'heartbeat-interval': accepted('Milliseconds between heartbeats', '100'),
  'election-timeout': accepted('Milliseconds until an election', '1000'),
  'experimental-initial-corrupt-check': { ...accepted('Check for corruption before serving', 'false'), isBoolean: true },
  'experimental-compact-hash-check-enabled': { ...accepted('Check hashes after compactions', 'false'), isBoolean: true },
  'strict-reconfig-check': { ...accepted('Refuse reconfigurations that would lose quorum', 'true'), isBoolean: true },
  'feature-gates': accepted('Feature gates', ''),
  'wal-dir': accepted('Path to the WAL', ''),
  'logger': accepted('Kind of logger', 'zap'),
  'log-level': accepted('Log level; set LOG_LEVEL instead', 'info'),
  'log-outputs': accepted('Where logs go; here: standard output', 'default'),
  'emulator-value-memory-bytes': integer({ help: 'Bytes of values held in memory; others are read from the disk.', default: 32 * 1024 * 1024, min: 0 }),
} as const;

export type EtcdFlags = Flags<typeof etcdFlags>;
