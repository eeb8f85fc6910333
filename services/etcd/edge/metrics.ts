// What /metrics tells, under etcd's names.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { goNameOf } from '#lib/grpc/status.ts';
import { doubling, type Durations, type MemberCounts, type PeerTraffic } from './counts.ts';
import { fileDescriptorLimit, usedFileDescriptors } from './file-descriptors.ts';

type CallType = 'unary' | 'bidi_stream' | 'server_stream';

export interface EtcdMetrics {
  /** For one method. */
  readonly callCounter: (type: CallType, service: string, method: string) => CallCounter;
  /** By kind of call, and the version of the API that the client says it has. */
  readonly countClientRequest: (type: 'unary' | 'stream', clientVersion: string | undefined) => void;
  /** Bytes of gRPC messages from and to clients, to be counted up. */
  readonly traffic: { received: number; sent: number };
  readonly observeFsync: (seconds: number) => void;
  readonly observeCommit: (seconds: number) => void;
  readonly countKv: (operation: 'range' | 'put' | 'delete' | 'txn') => void;
  readonly countEvents: (count: number) => void;
  readonly countLease: (what: 'granted' | 'revoked' | 'renewed' | 'expired') => void;
  readonly observeLeaseTtl: (seconds: number) => void;
  /** Resolves, or rejects, as `work` does. */
  readonly timed: <T>(what: 'defrag' | 'snapshot' | 'hash' | 'hashRev', work: () => Promise<T>) => Promise<T>;
  readonly countHealth: (isHealthy: boolean) => void;
  readonly proposalFailed: () => void;
  /** What is told of all that. */
  readonly scrape: () => Promise<string>;
}

export interface CallCounter {
  /** To be called when a call starts, and what that returns, with the code, when it ends. */
  readonly start: () => (code: number) => void;
  readonly received: () => void;
  readonly sent: () => void;
}

/** Read when somebody asks for the metrics. */
export interface MetricsSource {
  readonly counts: MemberCounts;
  readonly peers: () => readonly { readonly id: string; readonly isActive: boolean; readonly traffic: PeerTraffic }[];
  readonly walBytes: () => number;
  readonly features: Readonly<Record<string, { readonly isEnabled: boolean; readonly stage: string }>>;
  /** With how long calls took. */
  readonly isExtensive: boolean;
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
const DISK_BUCKETS = doubling(0.001, 14);
/** Source: etcd, server/lease/metrics.go; seconds. */
const TTL_BUCKETS = doubling(1, 24);
/** Source: prometheus.DefBuckets; seconds. */
const HANDLING_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Clients name their version themselves. */
const MAX_CLIENT_VERSIONS = 100;

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
  const { counts } = source;
  total('etcd_server_slow_apply_total', 'The total number of slow apply requests (likely overloaded from slow disk).', () => counts.slowApplies);
  total('etcd_server_slow_read_indexes_total', 'The total number of pending read indexes not in sync with leader\'s or timed out read index requests.', () => counts.slowReadIndexes);
  total('etcd_server_read_indexes_failed_total', 'The total number of failed read indexes seen.', () => counts.failedReadIndexes);
  total('etcd_server_learner_promote_successes', 'The total number of successful learner promotions while this member is leader.', () => counts.learnerPromotions);
  gauge('etcd_server_snapshot_apply_in_progress_total', '1 if the server is applying the incoming snapshot. 0 if none.', () => counts.snapshotsInApply);
  total('etcd_debugging_mvcc_db_compaction_keys_total', 'Total number of db keys compacted.', () => counts.compactedEntries);
  gauge('etcd_debugging_mvcc_db_compaction_last', 'The unix time of the last db compaction. Resets to 0 on start.', () => counts.lastCompaction);
  gauge('etcd_debugging_mvcc_total_put_size_in_bytes', 'The total size of put kv pairs seen by this member.', () => counts.putBytes);
  gauge('etcd_disk_wal_write_bytes_total', 'Total number of bytes written in WAL.', source.walBytes);
  gauge('os_fd_limit', 'The file descriptor limit.', fileDescriptorLimit);
  gauge('os_fd_used', 'The number of used file descriptors.', usedFileDescriptors);
  const enabled = new Gauge({ name: 'etcd_server_feature_enabled', help: 'Whether or not a feature is enabled. 1 is enabled, 0 is not.', labelNames: ['name', 'stage'], registers });
  for (const [name, { isEnabled, stage }] of Object.entries(source.features)) enabled.set({ name, stage }, Number(isEnabled));
  const perPeer = (name: string, help: string, label: 'To' | 'From', read: (traffic: PeerTraffic) => number): void => {
    new Counter({ name, help, labelNames: [label], registers, collect() {
      this.reset();
      for (const { id, traffic: ofPeer } of source.peers()) this.inc({ [label]: id }, read(ofPeer));
    } });
  };
  perPeer('etcd_network_peer_sent_bytes_total', 'The total number of bytes sent to peers.', 'To', ({ sentBytes }) => sentBytes);
  perPeer('etcd_network_peer_received_bytes_total', 'The total number of bytes received from peers.', 'From', ({ receivedBytes }) => receivedBytes);
  perPeer('etcd_network_peer_sent_failures_total', 'The total number of send failures from peers.', 'To', ({ failures }) => failures);
  const ofPeers = (name: string, help: string, read: (isActive: boolean) => number): void => {
    new Gauge({ name, help, labelNames: ['Local', 'Remote'], registers, collect() {
      this.reset();
      for (const { id, isActive } of source.peers()) this.set({ Local: source.serverId(), Remote: id }, read(isActive));
    } });
  };
  ofPeers('etcd_network_active_peers', 'The current number of active peer connections.', Number);
  new Gauge({ name: 'etcd_network_known_peers', help: 'The current number of known peers.', labelNames: ['Local', 'Remote'], registers, collect() {
    this.reset();
    for (const id of [source.serverId(), ...source.peers().map((peer) => peer.id)]) this.set({ Local: source.serverId(), Remote: id }, 1);
  } });
  const histogram = (name: string, help: string, read: () => readonly (readonly [labels: Readonly<Record<string, string>>, durations: Durations])[]): void => {
    registry.registerMetric({ name, help, type: 'histogram', aggregator: 'sum', get: async () => ({ name, help, type: 'histogram', values: read().flatMap(([labels, of]) => valuesOf(name, labels, of)) }) } as unknown as Histogram);
  };
  histogram('etcd_server_apply_duration_seconds', 'The latency distributions of v2 apply called by backend.', () => [...counts.applies].flatMap(([type, { done, refused }]) => {
    const op = type === 'compact' ? 'Compaction' : `${type.charAt(0).toUpperCase()}${type.slice(1)}`;
    return [[{ op, success: 'true', version: 'v3' }, done] as const, [{ op, success: 'false', version: 'v3' }, refused] as const].filter(([, { count }]) => count > 0);
  }));
  histogram('etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds', 'Bucketed histogram of index compaction pause duration.', () => [[{}, counts.indexCompactionMs]]);
  histogram('etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds', 'Bucketed histogram of db compaction pause duration.', () => [[{}, counts.compactionPauseMs]]);
  histogram('etcd_debugging_mvcc_db_compaction_total_duration_milliseconds', 'Bucketed histogram of db compaction total duration.', () => [[{}, counts.compactionMs]]);
  histogram('etcd_snap_db_save_total_duration_seconds', 'The total latency distributions of v3 snapshot save', () => [[{}, counts.snapshotSave]]);
  histogram('etcd_snap_db_fsync_duration_seconds', 'The latency distributions of fsyncing .snap.db file', () => [[{}, counts.snapshotSync]]);
  let scraping = 0;
  gauge('promhttp_metric_handler_requests_in_flight', 'Current number of scrapes being served.', () => scraping);
  const scrapes = { 200: 0, 500: 0, 503: 0 };
  new Counter({ name: 'promhttp_metric_handler_requests_total', help: 'Total number of scrapes by HTTP status code.', labelNames: ['code'], registers, collect() {
    this.reset();
    for (const [code, count] of Object.entries(scrapes)) this.inc({ code }, count);
  } });
  const leaseTtl = new Histogram({ name: 'etcd_debugging_lease_ttl_total', help: 'Bucketed histogram of lease TTLs.', buckets: TTL_BUCKETS, registers });
  const durations = {
    defrag: new Histogram({ name: 'etcd_disk_backend_defrag_duration_seconds', help: 'The latency distribution of backend defragmentation.', buckets: doubling(0.1, 13), registers }),
    snapshot: new Histogram({ name: 'etcd_disk_backend_snapshot_duration_seconds', help: 'The latency distribution of backend snapshots.', buckets: doubling(0.01, 17), registers }),
    hash: new Histogram({ name: 'etcd_mvcc_hash_duration_seconds', help: 'The latency distribution of storage hash operation.', buckets: doubling(0.01, 15), registers }),
    hashRev: new Histogram({ name: 'etcd_mvcc_hash_rev_duration_seconds', help: 'The latency distribution of storage hash by revision operation.', buckets: doubling(0.01, 15), registers }),
  };
  let defragmenting = 0;
  gauge('etcd_disk_defrag_inflight', 'Whether or not defrag is active on the member. 1 means active, 0 means not.', () => defragmenting);
  type ClientRequests = Map<string, { readonly labels: Readonly<Record<'type' | 'client_api_version', string>>; count: number }>;
  const clientRequests: Readonly<Record<'unary' | 'stream', ClientRequests>> = { unary: new Map(), stream: new Map() };
  new Counter({ name: 'etcd_server_client_requests_total', help: 'The total number of client requests per client version.', labelNames: ['type', 'client_api_version'], registers, collect() {
    this.reset();
    for (const ofType of Object.values(clientRequests)) for (const { labels, count } of ofType.values()) this.inc(labels, count);
  } });
  const failed = counter('etcd_server_proposals_failed_total', 'The total number of failed proposals seen.');
  const fsync = new Histogram({ name: 'etcd_disk_wal_fsync_duration_seconds', help: 'The latency distributions of fsync called by WAL.', buckets: DISK_BUCKETS, registers });
  const commit = new Histogram({ name: 'etcd_disk_backend_commit_duration_seconds', help: 'The latency distributions of commit called by backend.', buckets: DISK_BUCKETS, registers });
  const callLabels = ['grpc_type', 'grpc_service', 'grpc_method'] as const;
  // Counted in plain numbers, as there are many, and told when somebody asks.
  const calls: { readonly labels: Readonly<Record<(typeof callLabels)[number], string>>; started: number; received: number; sent: number; readonly handled: number[] }[] = [];
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
      for (const { labels, handled } of calls) handled.forEach((count, code) => this.inc({ grpc_code: goNameOf(code), ...labels }, count));
    },
  });

  const messages = (name: string, help: string, read: (call: (typeof calls)[number]) => number): void => {
    new Counter({ name, help, labelNames: callLabels, registers, collect() {
      this.reset();
      for (const call of calls) this.inc(call.labels, read(call));
    } });
  };
  messages('grpc_server_msg_received_total', 'Total number of RPC stream messages received on the server.', ({ received }) => received);
  messages('grpc_server_msg_sent_total', 'Total number of gRPC stream messages sent by the server.', ({ sent }) => sent);
  const handling = source.isExtensive
    ? new Histogram({ name: 'grpc_server_handling_seconds', help: 'Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.', labelNames: callLabels, buckets: HANDLING_BUCKETS, registers })
    : undefined;

  return {
    callCounter: (type, service, method) => {
      const call = { labels: { grpc_method: method, grpc_service: service, grpc_type: type }, started: 0, received: 0, sent: 0, handled: [] as number[] };
      calls.push(call);
      const finish = (code: number): void => { call.handled[code] = (call.handled[code] ?? 0) + 1; };
      return {
        start: () => {
          call.started += 1;
          if (handling === undefined) return finish;
          const startMs = performance.now();
          return (code) => {
            finish(code);
            handling.observe(call.labels, (performance.now() - startMs) / 1000);
          };
        },
        received: () => { call.received += 1; },
        sent: () => { call.sent += 1; },
      };
    },
    countClientRequest: (type, clientVersion = 'unknown') => {
      const ofType = clientRequests[type];
      const known = ofType.get(clientVersion);
      if (known !== undefined) known.count += 1;
      else if (ofType.size < MAX_CLIENT_VERSIONS) ofType.set(clientVersion, { labels: { client_api_version: clientVersion, type }, count: 1 });
    },
    observeLeaseTtl: (seconds) => leaseTtl.observe(seconds),
    timed: async (what, work) => {
      const startMs = performance.now();
      defragmenting += Number(what === 'defrag');
      try {
        return await work();
      } finally {
        defragmenting -= Number(what === 'defrag');
        durations[what].observe((performance.now() - startMs) / 1000);
      }
    },
    traffic,
    observeFsync: (seconds) => fsync.observe(seconds),
    observeCommit: (seconds) => commit.observe(seconds),
    countKv: (operation) => kv[operation].inc(),
    countEvents: (count) => events.inc(count),
    countLease: (what) => leases[what].inc(),
    countHealth: (isHealthy) => (isHealthy ? healthy : unhealthy).inc(),
    proposalFailed: () => failed.inc(),
    scrape: async () => {
      scraping += 1;
      try {
        const text = await registry.metrics();
        scrapes[200] += 1;
        return text;
      } catch (error) {
        scrapes[500] += 1;
        throw error;
      } finally {
        scraping -= 1;
      }
    },
  };
}

function valuesOf(name: string, labels: Readonly<Record<string, string>>, { bounds, upTo, count, sum }: Durations): object[] {
  let upToBound = 0;
  const buckets = bounds.map((bound, at) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: (upToBound += upTo[at] as number) }));
  return [...buckets, { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count }, { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: count }];
}
