// What /metrics tells, under etcd's names.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { goNameOf } from '#lib/grpc/status.ts';

type CallType = 'unary' | 'bidi_stream' | 'server_stream';

export interface EtcdMetrics {
  /** For one method: to be called when a call starts, and what that returns, with the code, when it ends. */
  readonly callCounter: (type: CallType, service: string, method: string) => () => (code: number) => void;
  /** Bytes of gRPC messages from and to clients, to be counted up. */
  readonly traffic: { received: number; sent: number };
  readonly observeFsync: (seconds: number) => void;
  readonly observeCommit: (seconds: number) => void;
  readonly countKv: (operation: 'range' | 'put' | 'delete' | 'txn') => void;
  readonly countEvents: (count: number) => void;
  readonly countLease: (what: 'granted' | 'revoked' | 'renewed' | 'expired') => void;
  readonly countHealth: (isHealthy: boolean) => void;
  readonly proposalFailed: () => void;
}

/** Read when somebody asks for the metrics. */
export interface MetricsSource {
  readonly serverId: () => string;
  readonly hasLeader: () => boolean;
  readonly isLeader: () => boolean;
  readonly isLearner: () => boolean;
  readonly leaderChanges: () => number;
  readonly committedIndex: () => number;
  readonly appliedIndex: () => number;
  readonly pending: () => number;
  readonly revision: () => number;
  readonly compactRevision: () => number;
  readonly keys: () => number;
  readonly sizeInUse: () => number;
  readonly sizeOnDisk: () => Promise<number>;
  readonly quotaBytes: number;
  readonly leases: () => number;
  readonly authRevision: () => number;
  readonly watchers: () => { streams: number; watchers: number; slow: number };
  readonly version: string;
  /** Without the patch; empty until it is decided. */
  readonly clusterVersion: () => string;
}

/** Source: etcd, wal and backend histograms. Seconds: 1 ms doubling to 8 s. */
const DISK_BUCKETS = Array.from({ length: 14 }, (_, index) => 0.001 * 2 ** index);

export function newEtcdMetrics(registry: Registry, source: MetricsSource): EtcdMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    new Gauge({ name, help, registers, async collect() { this.set(await read()); } });
  };
  const total = (name: string, help: string, read: () => number): void => {
    new Counter({
      name, help, registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });

  gauge('etcd_server_has_leader', 'Whether or not a leader exists. 1 is existence, 0 is not.', () => Number(source.hasLeader()));
  gauge('etcd_server_is_leader', 'Whether or not this member is a leader. 1 if is, 0 otherwise.', () => Number(source.isLeader()));
  gauge('etcd_server_is_learner', 'Whether or not this member is a learner. 1 if is, 0 otherwise.', () => Number(source.isLearner()));
  total('etcd_server_leader_changes_seen_total', 'The number of leader changes seen.', source.leaderChanges);
  gauge('etcd_server_proposals_committed_total', 'The total number of consensus proposals committed.', source.committedIndex);
  gauge('etcd_server_proposals_applied_total', 'The total number of consensus proposals applied.', source.appliedIndex);
  gauge('etcd_server_proposals_pending', 'The current number of pending proposals to commit.', source.pending);
  gauge('etcd_server_quota_backend_bytes', 'Current backend storage quota size in bytes.', () => source.quotaBytes);
  gauge('etcd_debugging_mvcc_current_revision', 'The current revision of store.', source.revision);
  gauge('etcd_debugging_mvcc_compact_revision', 'The revision of the last compaction in store.', source.compactRevision);
  gauge('etcd_debugging_mvcc_keys_total', 'Total number of keys.', source.keys);
  gauge('etcd_mvcc_db_total_size_in_bytes', 'Total size of the underlying database physically allocated in bytes.', source.sizeOnDisk);
  gauge('etcd_mvcc_db_total_size_in_use_in_bytes', 'Total size of the underlying database logically in use in bytes.', source.sizeInUse);
  gauge('etcd_debugging_mvcc_watch_stream_total', 'Total number of watch streams.', () => source.watchers().streams);
  gauge('etcd_debugging_mvcc_watcher_total', 'Total number of watchers.', () => source.watchers().watchers);
  gauge('etcd_debugging_mvcc_slow_watcher_total', 'Total number of unsynced slow watchers.', () => source.watchers().slow);
  gauge('etcd_debugging_auth_revision', 'The current revision of auth store.', source.authRevision);
  const traffic = { received: 0, sent: 0 };
  total('etcd_network_client_grpc_received_bytes_total', 'The total number of bytes received from grpc clients.', () => traffic.received);
  total('etcd_network_client_grpc_sent_bytes_total', 'The total number of bytes sent to grpc clients.', () => traffic.sent);
  gauge('etcd_debugging_lease_total', 'Total number of leases.', source.leases);
  new Gauge({ name: 'etcd_server_version', help: 'Which version is running. 1 for \'server_version\' label with current version.', labelNames: ['server_version'], registers })
    .set({ server_version: source.version }, 1);
  const clusterVersions = new Set<string>();
  new Gauge({
    name: 'etcd_cluster_version', help: 'Which version is running. 1 for \'cluster_version\' label with current cluster version.', labelNames: ['cluster_version'], registers,
    collect() {
      const current = source.clusterVersion();
      if (current !== '') clusterVersions.add(current);
      for (const version of clusterVersions) this.set({ cluster_version: version }, Number(version === current)); // former ones stay, as 0
    },
  });
  new Gauge({ name: 'etcd_server_id', help: 'Server or member ID in hexadecimal format. 1 for \'server_id\' label with current ID.', labelNames: ['server_id'], registers })
    .set({ server_id: source.serverId() }, 1);

  const kv = {
    range: counter('etcd_mvcc_range_total', 'Total number of ranges seen by this member.'),
    put: counter('etcd_mvcc_put_total', 'Total number of puts seen by this member.'),
    delete: counter('etcd_mvcc_delete_total', 'Total number of deletes seen by this member.'),
    txn: counter('etcd_mvcc_txn_total', 'Total number of txns seen by this member.'),
  };
  const leases = {
    granted: counter('etcd_debugging_lease_granted_total', 'The total number of granted leases.'),
    revoked: counter('etcd_debugging_lease_revoked_total', 'The total number of revoked leases.'),
    renewed: counter('etcd_debugging_lease_renewed_total', 'The number of renewed leases seen by the leader.'),
    expired: counter('etcd_debugging_server_lease_expired_total', 'The total number of expired leases.'),
  };
  const events = counter('etcd_debugging_mvcc_events_total', 'Total number of events sent by this member.');
  const healthy = counter('etcd_server_health_success', 'The total number of successful health checks');
  const unhealthy = counter('etcd_server_health_failures', 'The total number of failed health checks');
  const failed = counter('etcd_server_proposals_failed_total', 'The total number of failed proposals seen.');
  const fsync = new Histogram({ name: 'etcd_disk_wal_fsync_duration_seconds', help: 'The latency distributions of fsync called by WAL.', buckets: DISK_BUCKETS, registers });
  const commit = new Histogram({ name: 'etcd_disk_backend_commit_duration_seconds', help: 'The latency distributions of commit called by backend.', buckets: DISK_BUCKETS, registers });
  const callLabels = ['grpc_type', 'grpc_service', 'grpc_method'] as const;
  // Counted in plain numbers, as there are many, and told when somebody asks.
  const calls: { readonly labels: Readonly<Record<(typeof callLabels)[number], string>>; started: number; readonly handled: number[] }[] = [];
  new Counter({
    name: 'grpc_server_started_total', help: 'Total number of RPCs started on the server.', labelNames: callLabels, registers,
    collect() {
      this.reset();
      for (const call of calls) this.inc(call.labels, call.started);
    },
  });
  new Counter({
    name: 'grpc_server_handled_total', help: 'Total number of RPCs completed on the server, regardless of success or failure.', labelNames: [...callLabels, 'grpc_code'], registers,
    collect() {
      this.reset();
      for (const { labels, handled } of calls) handled.forEach((count, code) => this.inc({ ...labels, grpc_code: goNameOf(code) }, count));
    },
  });

  return {
    callCounter: (type, service, method) => {
      const call = { labels: { grpc_type: type, grpc_service: service, grpc_method: method }, started: 0, handled: [] as number[] };
      calls.push(call);
      const finish = (code: number): void => { call.handled[code] = (call.handled[code] ?? 0) + 1; };
      return () => {
        call.started += 1;
        return finish;
      };
    },
    traffic,
    observeFsync: (seconds) => fsync.observe(seconds),
    observeCommit: (seconds) => commit.observe(seconds),
    countKv: (operation) => kv[operation].inc(),
    countEvents: (count) => events.inc(count),
    countLease: (what) => leases[what].inc(),
    countHealth: (isHealthy) => (isHealthy ? healthy : unhealthy).inc(),
    proposalFailed: () => failed.inc(),
  };
}
