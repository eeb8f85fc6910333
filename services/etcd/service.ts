// Puts an etcd member together: data, leases, gRPC and HTTP on the client URLs, HTTP on the metrics URLs.
import { steadily, steadyClock } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { rangeRequest } from '#lib/etcd-api/messages.ts';
import { GrpcServer } from '#lib/grpc/server.ts';
import { aborted } from '#lib/service/abort.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { newMetrics } from '#lib/service/health-server.ts';
import { exportSpans } from '#lib/tracing/start-tracing.ts';
import { AutoCompactor, type AutoCompaction } from './core/auto-compaction.ts';
import { shortVersion } from './core/versions.ts';
import { Lessor } from './core/lessor.ts';
import { COMPACTED_AT_ONCE } from './core/store.ts';
import { withAccessControl } from './edge/access-control.ts';
import { Authenticator } from './edge/authenticator.ts';
import { newAuthService } from './edge/auth-service.ts';
import { bootstrap } from './edge/bootstrap.ts';
import { ClusterVersion } from './edge/cluster-version.ts';
import { newClusterService } from './edge/cluster-service.ts';
import { CorruptionChecker } from './edge/corruption-checker.ts';
import { Database } from './edge/database.ts';
import { debugVars } from './edge/debug-vars.ts';
import { discoveryOf } from './edge/discovery/discovery-flags.ts';
import { newElectionService } from './edge/election-service.ts';
import { newGateway } from './edge/gateway.ts';
import { Gate } from './edge/gate.ts';
import { goDuration } from './edge/go-text.ts';
import { newHealthService, ServingStatus } from './edge/health-service.ts';
import { newHttpHandler } from './edge/http.ts';
import { tokenSignerFor } from './edge/jwt.ts';
import { newKvService } from './edge/kv-service.ts';
import { LeaderLeases } from './edge/leader-leases.ts';
import { newLeaseService, revokeExpiredLeases } from './edge/lease-service.ts';
import { newLockService } from './edge/lock-service.ts';
import { listen, type Listening } from './edge/listen.ts';
import { newMaintenanceService } from './edge/maintenance-service.ts';
import { Member, type MemberEvents } from './edge/member.ts';
import { Membership } from './edge/membership.ts';
import { newEtcdMetrics, type EtcdMetrics } from './edge/metrics.ts';
import { newPeerHandler } from './edge/peers/peer-server.ts';
import { publish } from './edge/publisher.ts';
import { Quota } from './edge/quota.ts';
import { setUpTls } from './edge/tls/set-up-tls.ts';
import { ETCD_VERSION } from './edge/version.ts';
import { WatchService } from './edge/watch-service.ts';
import { checkFlags } from './command-line/check-flags.ts';
import { featuresOf, stagesOf } from './command-line/feature-gates.ts';
import type { EtcdFlags } from './command-line/flags.ts';

/** Source: etcd, storage.DefaultQuotaBytes. */
const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;
/** What a message may be larger than a request, for gRPC to pass it on and etcd to refuse it. Source: etcd, grpcOverheadBytes. */
const GRPC_OVERHEAD_BYTES = 512 * 1024;
/** Between two batches of a compaction. Source: etcd, minimumBatchInterval. */
const COMPACTION_PAUSE_MS = 10;
/** How long clients wait outside until the cluster is ready; then they are let in whatever its state. Source: etcd --wait-cluster-ready-timeout. */
const READY_TIMEOUT_MS = 5_000;
/** A member that was removed goes on for so long, so that the answer to its removal gets out. Source: etcd, EtcdServer.stopWithDelay. */
const REMOVED_DELAY_MS = 1_000;
/** Time that calls under way get to finish when the service stops. */
const DRAIN_MS = 500;

/** Runs until the signal aborts. `onListening` gets the URLs that clients can use. */
export async function startEtcd(flags: EtcdFlags, environment: Environment, signal: AbortSignal, onListening?: (urls: readonly string[]) => void): Promise<void> {
  const { clock, random, log } = environment;
  checkFlags(flags);
  const autoCompaction = autoCompactionOf(flags);
  const features = featuresOf(flags);
  const signer = tokenSignerFor(flags.authToken);
  if (flags.emulatorRestoreSnapshot !== '') return restore(flags, environment);
  if (flags.enableDistributedTracing) {
    const { distributedTracingAddress: endpoint, distributedTracingSamplingRate: samplingRatePerMillion, distributedTracingServiceName: service, distributedTracingInstanceId: instance } = flags;
    await exportSpans({ endpoint, samplingRatePerMillion, resource: { 'service.name': service, ...(instance === '' ? {} : { 'service.instance.id': instance }) } }, 'etcd', log);
  }
  const dataDir = flags.dataDir || `${flags.name}.etcd`;
  log.info(describeStart(flags, dataDir), 'starting an etcd server');
  const tls = await setUpTls(flags, { dataDir, nowMs: clock.nowMs(), log });
  const database = await Database.open(dataDir);
  const failing = new AbortController();
  /** The cluster goes on without this member. */
  const removed = new AbortController();
  const ending = new AbortController();
  const stopping = AbortSignal.any([signal, failing.signal, ending.signal]);
  const observer: { metrics?: EtcdMetrics } = {};
  const registry = newMetrics();
  const { name, initialCluster, initialClusterState, initialAdvertisePeerUrls: peerUrls, advertiseClientUrls: clientUrls, walDir } = flags;
  const initialClusterToken = flags.discoveryToken || flags.initialClusterToken;
  const { heartbeatInterval: heartbeatMs, electionTimeout: electionMs } = flags;
  const bootstrapped = await bootstrap({
    name, dataDir, walDir, initialCluster, initialClusterState, initialClusterToken, forceNewCluster: flags.forceNewCluster, peerUrls, clientUrls, peerTls: tls.toPeers, database, log,
    discover: discoveryOf(flags, log, signal),
    walOptions: { log, dataDir, unsafeNoFsync: flags.unsafeNoFsync, maxWals: flags.maxWals, onSync: (seconds) => observer.metrics?.observeFsync(seconds) },
  });
  const member: Member = await Member.open({
    ...bootstrapped, database, dataDir, peerUrls, peerTls: tls.toPeers, heartbeatMs, electionMs, preVote: flags.preVote, snapshotCount: flags.snapshotCount, catchUpEntries: flags.snapshotCatchupEntries,
    maxLearners: flags.maxLearners, maxValueBytes: flags.emulatorValueMemoryBytes, compactionBatch: flags.compactionBatchLimit || COMPACTED_AT_ONCE, compactionPauseMs: flags.compactionSleepIntervalMs || COMPACTION_PAUSE_MS, warningApplyMs: flags.warningApplyDurationMs, log, clock, random,
    onFatal: (error) => failing.abort(error), onRemoved: () => removed.abort(), onCommit: (seconds) => metrics.observeCommit(seconds), onProposalFailed: () => metrics.proposalFailed(),
  });
  const membership = new Membership({ member, clock, strictReconfigCheck: flags.strictReconfigCheck, heartbeatMs, electionMs });
  const clusterVersion = new ClusterVersion({ member, clock, log, downgradeCheckMs: flags.downgradeCheckTimeMs });
  const corruptionChecker = new CorruptionChecker({
    member, clock, log, periodMs: flags.corruptCheckTimeMs,
    compactHashPeriodMs: features.CompactHashCheck ? flags.compactHashCheckTimeMs : 0,
  });
  const quotaBytes = flags.quotaBackendBytes || DEFAULT_QUOTA_BYTES;
  const quota = new Quota({
    limitBytes: quotaBytes, sizeBytes: () => member.store.sizeBytes,
    raiseAlarm: () => member.propose({ type: 'alarm', request: { action: 'ACTIVATE', memberID: member.memberId, alarm: 'NOSPACE' } }),
  });
  const lessor = new Lessor(() => member.store.leases);
  Object.assign(member.events, {
    onPromoted: () => lessor.promote(steadyClock.nowMs(), member.cluster.list().length > 1 ? electionMs : 0), onDemoted: () => lessor.demote(),
    onLeaseGranted: (id) => lessor.start(id, steadyClock.nowMs()), onCompacting: () => watch.catchUp(), onStoreReplaced: () => watch.useStore(), onVersionSet: () => clusterVersion.wake(),
  } satisfies MemberEvents);
  const leases = new LeaderLeases({ member, membership, lessor, clock: steadyClock, metrics: () => metrics });
  const metrics = newEtcdMetrics(registry, {
    counts: member.counts, walBytes: () => bootstrapped.wal.writtenBytes, isExtensive: flags.metrics === 'extensive', features: stagesOf(features),
    peers: () => member.transport.others.map((peer) => ({ ...peer, id: peer.id.toString(16) })),
    serverId: () => member.memberId.toString(16), hasLeader: () => member.leader !== 0n, isLeader: () => member.isLeader, isLearner: () => member.isLearner,
    leaderChanges: () => member.leaderChanges, committedIndex: () => member.raftStatus().commit, appliedIndex: () => member.appliedIndex, pending: () => member.pendingCount, revision: () => member.revision,
    compactRevision: () => member.store.compactRevision, keys: () => member.store.liveKeyCount, sizeInUse: () => member.sizeInUseBytes,
    sizeOnDisk: () => database.sizeOnDisk(), quotaBytes, leases: () => member.store.leases.size, authRevision: () => member.store.auth.revision, watchers: () => watch.counts(), version: ETCD_VERSION, clusterVersion: () => shortVersion(member.cluster.clusterVersion),
  });
  observer.metrics = metrics;

  const tokenTtlMs = flags.authTokenTtl * 1000;
  const authenticator = new Authenticator({ member, clock, tokenTtlMs, clientCertAuth: tls.clientCertAuth, signer });
  const context = { member, warningUnaryMs: flags.warningUnaryRequestDurationMs, warningApplyMs: flags.warningApplyDurationMs, onSlowRead: () => { member.counts.slowApplies += 1; }, gate: new Gate(member, electionMs), metrics, log, quota, authenticator };
  const { maxRequestBytes, maxTxnOps } = flags;
  const leaseOptions = { ...context, lessor, leases, clock: steadyClock };
  const serving = new ServingStatus();
  const maintenance = { ...context, serving: features.StopGRPCServiceOnDefrag ? serving : undefined, database, quotaBytes, dataDir, membership, clusterVersion };
  const watch = new WatchService({
    ...context, clock, random, maxRequestBytes, signal: stopping,
    progressIntervalMs: flags.watchProgressNotifyIntervalMs,
  });
  const grpc = new GrpcServer({
    maxReceiveBytes: maxRequestBytes + GRPC_OVERHEAD_BYTES, maxConcurrentStreams: flags.maxConcurrentStreams,
    minPingIntervalMs: flags.grpcKeepaliveMinTimeMs, keepAliveTimeMs: flags.grpcKeepaliveIntervalMs, keepAliveTimeoutMs: flags.grpcKeepaliveTimeoutMs,
  });
  const services = [
    newKvService({ ...context, maxRequestBytes, maxTxnOps }), newLeaseService(leaseOptions), watch.methods, newClusterService({ ...context, membership }),
    newMaintenanceService(maintenance), newAuthService({ ...context, clock, bcryptCost: flags.bcryptCost, tokenTtlMs, signer }), newHealthService(serving, context),
    newLockService(context), newElectionService(context),
  ];
  for (const method of services.flat()) grpc.add(method);
  const httpOptions = {
    registry, metrics, alarms: () => member.store.alarms.list(), hasLeader: () => member.leader !== 0n, isLearner: () => member.isLearner, clusterVersion: () => member.cluster.clusterVersion,
    read: (serializable: boolean) => member.range({ ...rangeRequest.decode(HEALTH_READ), serializable }),
  };
  const gateway = newGateway({ handlers: services.flat(), maxRequestBytes: 2 * maxRequestBytes + GRPC_OVERHEAD_BYTES }); // base64 makes it larger

  const access = { cors: flags.cors, hostWhitelist: flags.hostWhitelist, takesUsersFromCertificates: () => tls.clientCertAuth && flags.enableGrpcGateway && member.store.auth.isEnabled, log };

  if (bootstrapped.isRestarted && features.InitialCorruptCheck) await corruptionChecker.checkInitially();
  const listening: Listening[] = [];
  const loops: Promise<void>[] = [];
  const peers = await listen({ urls: flags.listenPeerUrls, tls: tls.servers.peers, http: newPeerHandler({ member, membership, leases }) });
  const closing = { name, 'data-dir': dataDir, 'advertise-peer-urls': peerUrls, 'advertise-client-urls': clientUrls };
  let isClosing = false;
  const tellClosing = (): void => {
    if (!isClosing) log.info(closing, 'closing etcd server');
    isClosing = true;
  };
  const publishing = { member, name, clientUrls, clock, log };
  try {
    await member.start();
    const localMember = { 'local-member-id': member.memberId.toString(16) };
    log.info({ 'current-rev': member.revision }, 'kvstore restored');
    log.info({ ...localMember, 'local-server-version': ETCD_VERSION, 'cluster-id': member.clusterId.toString(16), 'cluster-version': shortVersion(member.cluster.clusterVersion) || 'to_be_decided' }, 'starting etcd server');
    for (const url of peers.urls) log.info({ address: addressIn(url) }, 'serving peer traffic');
    if (flags.initialElectionTickAdvance) loops.push(member.hastenFirstElection(stopping));
    const published = publish(publishing, stopping);
    loops.push(published, clusterVersion.run(stopping), corruptionChecker.run(stopping));
    listening.push(await listen({ urls: flags.listenMetricsUrls, tls: tls.servers.metrics, http: newHttpHandler(httpOptions) }));
    await Promise.race([published, clock.sleep(READY_TIMEOUT_MS, stopping).catch(() => undefined)]);
    const clientHttp = withAccessControl(access, newHttpHandler({ ...httpOptions, debugVars: () => debugVars(member.raftStatus()), ...(flags.enableGrpcGateway ? { gateway } : {}) }));
    const isHttpApart = flags.listenClientHttpUrls.length > 0;
    listening.push(await listen({ urls: flags.listenClientUrls, tls: tls.servers.clients, ...(isHttpApart ? {} : { http: clientHttp }), onGrpcConnection: (connection) => grpc.accept(connection) }));
    listening.push(await listen({ urls: flags.listenClientHttpUrls, tls: tls.servers.clients, http: clientHttp }));
    loops.push(watch.run());
    loops.push(revokeExpiredLeases(leaseOptions, stopping));
    if (autoCompaction.mode !== 'off') loops.push(compactRegularly(autoCompaction, member, environment, stopping));
    const [metricsUrls, clients] = listening.map(({ urls }) => urls);
    log.info({ urls: [...(clients ?? []), ...(metricsUrls ?? [])], peerUrls: peers.urls, version: ETCD_VERSION }, 'ready to serve client requests');
    for (const url of clients ?? []) {
      const isSecure = /^(https|unixs):/.test(url);
      const traffic = { traffic: isHttpApart ? 'grpc' : 'grpc+http', address: addressIn(url) };
      log.info(traffic, isSecure ? 'serving client traffic securely' : 'serving client traffic insecurely; this is strongly discouraged!');
    }
    onListening?.(clients ?? []);
    await Promise.race([aborted(stopping), aborted(removed.signal).then(() => clock.sleep(REMOVED_DELAY_MS, stopping).catch(() => undefined))]);
    tellClosing();
    ending.abort();
    await Promise.all([grpc.drain(DRAIN_MS), member.settled()]);
    if (failing.signal.aborted) throw failing.signal.reason;
  } finally {
    tellClosing();
    ending.abort();
    await Promise.all(listening.map(({ close }) => close()));
    grpc.close();
    await Promise.all(loops);
    const checkpoints = lessor.allCheckpoints(steadyClock.nowMs());
    await member.stop(checkpoints.length > 0 && !failing.signal.aborted ? { type: 'leaseCheckpoint', request: { checkpoints } } : undefined);
    await peers.close(); // it took part in handing the leadership on
    log.info(closing, 'closed etcd server');
  }
}

async function restore(flags: EtcdFlags, { log }: Environment): Promise<void> {
  const { restoreSnapshot } = await import('./edge/restore.ts');
  const { name, initialCluster, initialClusterToken, initialAdvertisePeerUrls: peerUrls, walDir, emulatorRestoreSnapshot: snapshotPath, emulatorSkipHashCheck: skipHashCheck, emulatorBumpRevision: bumpRevision } = flags;
  const dataDir = flags.dataDir || `${name}.etcd`;
  log.info({ path: snapshotPath, dataDir }, 'restoring snapshot');
  await restoreSnapshot({ name, initialCluster, initialClusterToken, peerUrls, dataDir, walDir, snapshotPath, skipHashCheck, bumpRevision, walOptions: { log } });
  log.info({ path: snapshotPath, dataDir }, 'restored snapshot');
}

/** Of etcd's fields those that count here. Source: etcd v3.6, server/embed/etcd.go (print). */
const describeStart = (flags: EtcdFlags, dataDir: string): Readonly<Record<string, unknown>> => ({
  'etcd-version': ETCD_VERSION, name: flags.name, 'data-dir': dataDir, 'wal-dir': flags.walDir, 'force-new-cluster': flags.forceNewCluster,
  'heartbeat-interval': goDuration(flags.heartbeatInterval), 'election-timeout': goDuration(flags.electionTimeout), 'initial-election-tick-advance': flags.initialElectionTickAdvance,
  'snapshot-count': flags.snapshotCount, 'max-wals': flags.maxWals, 'snapshot-catchup-entries': flags.snapshotCatchupEntries,
  'initial-advertise-peer-urls': flags.initialAdvertisePeerUrls, 'listen-peer-urls': flags.listenPeerUrls, 'advertise-client-urls': flags.advertiseClientUrls, 'listen-client-urls': flags.listenClientUrls,
  'listen-metrics-urls': flags.listenMetricsUrls, cors: flags.cors, 'host-whitelist': flags.hostWhitelist, 'initial-cluster': flags.initialCluster.join(), 'initial-cluster-state': flags.initialClusterState,
  'initial-cluster-token': flags.initialClusterToken, 'quota-backend-bytes': flags.quotaBackendBytes, 'max-request-bytes': flags.maxRequestBytes, 'max-concurrent-streams': flags.maxConcurrentStreams,
  'pre-vote': flags.preVote, 'feature-gates': flags.featureGates, 'auto-compaction-mode': flags.autoCompactionMode, 'auto-compaction-retention': flags.autoCompactionRetention,
});

/** Host and port, or the path of a unix socket. */
const addressIn = (url: string): string => url.replace(/^[a-z]+:\/\//, '');

const HEALTH_READ = rangeRequest.encode({ key: 'health', keysOnly: true, limit: 1 });

function autoCompactionOf({ autoCompactionMode, autoCompactionRetention }: EtcdFlags): AutoCompaction {
  if (autoCompactionMode !== 'periodic' && autoCompactionMode !== 'revision') throw new FlagError(autoCompactionMode === '' ? 'undefined auto-compaction-mode' : `unknown auto-compaction-mode ${JSON.stringify(autoCompactionMode)}`);
  const plain = /^\d+$/.test(autoCompactionRetention) ? Number(autoCompactionRetention) : undefined;
  if (autoCompactionMode === 'revision') {
    if (plain === undefined) throw new FlagError(`invalid --auto-compaction-retention "${autoCompactionRetention}": must be a number of revisions`);
    return plain === 0 ? { mode: 'off' } : { mode: 'revision', keepRevisions: plain };
  }
  const keepMs = plain === undefined ? parseDurationMs(autoCompactionRetention) : plain * 3_600_000; // a plain number means hours
  return keepMs <= 0 ? { mode: 'off' } : { mode: 'periodic', keepMs };
}

async function compactRegularly(autoCompaction: Exclude<AutoCompaction, { mode: 'off' }>, member: Member, { clock, log }: Environment, signal: AbortSignal): Promise<void> {
  const compactor = new AutoCompactor(autoCompaction);
  const { mode } = autoCompaction;
  while (!signal.aborted) {
    await clock.sleep(compactor.intervalMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    const revision = signal.aborted ? undefined : compactor.revisionToCompact(steadily(clock).nowMs(), member.revision, member.store.compactRevision);
    if (revision === undefined || !member.isLeader) continue; // the leader does it for all
    const of = { revision, ...(autoCompaction.mode === 'periodic' ? { 'compact-period': goDuration(autoCompaction.keepMs) } : { 'revision-compaction-retention': autoCompaction.keepRevisions }) };
    const startMs = steadyClock.nowMs();
    log.info(of, `starting auto ${mode} compaction`);
    await member.propose({ type: 'compact', request: { revision } }).then(
      () => log.info({ ...of, took: goDuration(steadyClock.nowMs() - startMs) }, `completed auto ${mode} compaction`),
      (error: unknown) => {
        if (!(error instanceof EtcdError)) throw error;
        log.warn({ ...of, err: error }, `failed auto ${mode} compaction`);
      });
  }
}
