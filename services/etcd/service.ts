// Puts an etcd member together: data, leases, gRPC and HTTP on the client URLs, HTTP on the metrics URLs.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Environment } from '#lib/environment/environment.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { rangeRequest } from '#lib/etcd-api/messages.ts';
import { GrpcServer } from '#lib/grpc/server.ts';
import { aborted } from '#lib/service/abort.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { newMetrics } from '#lib/service/health-server.ts';
import { AutoCompactor, type AutoCompaction } from './core/auto-compaction.ts';
import { Lessor } from './core/lessor.ts';
import { Authenticator } from './edge/authenticator.ts';
import { newAuthService } from './edge/auth-service.ts';
import { Database, type Identity } from './edge/database.ts';
import { newHttpHandler } from './edge/http.ts';
import { tokenSignerFor } from './edge/jwt.ts';
import { newKvService } from './edge/kv-service.ts';
import { newLeaseService, revokeExpiredLeases } from './edge/lease-service.ts';
import { listen, type Listening, type Tls } from './edge/listen.ts';
import { newClusterService, newHealthService, newMaintenanceService } from './edge/maintenance-service.ts';
import { Member } from './edge/member.ts';
import { newEtcdMetrics } from './edge/metrics.ts';
import { Quota } from './edge/quota.ts';
import { ETCD_VERSION } from './edge/version.ts';
import { WatchService } from './edge/watch-service.ts';
import type { EtcdFlags } from './flags.ts';

/** Source: etcd, storage.DefaultQuotaBytes. */
const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;
/** What a message may be larger than a request, for gRPC to pass it on and etcd to refuse it. Source: etcd, grpcOverheadBytes. */
const GRPC_OVERHEAD_BYTES = 512 * 1024;
/** Time that calls under way get to finish when the service stops. */
const DRAIN_MS = 500;

/** Runs until the signal aborts. `onListening` gets the URLs that clients can use. */
export async function startEtcd(flags: EtcdFlags, environment: Environment, signal: AbortSignal, onListening?: (urls: readonly string[]) => void): Promise<void> {
  const { clock, random, log } = environment;
  checkSingleMember(flags);
  const autoCompaction = autoCompactionOf(flags);
  const signer = tokenSignerFor(flags.authToken);
  const tls = await loadTls(flags);
  const dataDir = flags.dataDir || `${flags.name}.etcd`;
  const database = await Database.open(dataDir);
  const failing = new AbortController();
  const stopping = AbortSignal.any([signal, failing.signal]);
  const registry = newMetrics();
  const identity = await startTerm(database, flags);

  const member: Member = await Member.start({
    database, log, term: identity.term, clusterId: BigInt(identity.clusterId), memberId: BigInt(identity.memberId), maxValueBytes: flags.emulatorValueMemoryBytes,
    onFatal: (error) => failing.abort(error), onFsync: (seconds) => metrics.observeFsync(seconds),
  });
  const quotaBytes = flags.quotaBackendBytes || DEFAULT_QUOTA_BYTES;
  const quota = new Quota({
    limitBytes: quotaBytes, sizeBytes: () => member.store.sizeBytes,
    raiseAlarm: () => member.propose({ type: 'alarm', request: { action: 'ACTIVATE', memberID: member.memberId, alarm: 'NOSPACE' } }),
  });
  const lessor = new Lessor(member.store.leases, clock.nowMs());
  const metrics = newEtcdMetrics(registry, {
    serverId: () => member.memberId.toString(16), appliedIndex: () => member.appliedIndex, pending: () => member.pendingCount, revision: () => member.revision,
    compactRevision: () => member.store.compactRevision, keys: () => member.store.keyCount, sizeInUse: () => member.store.sizeBytes,
    sizeOnDisk: () => database.sizeOnDisk(), quotaBytes, leases: () => member.store.leases.size, watchers: () => watch.counts(), version: ETCD_VERSION,
  });
  log.info({ dataDir, revision: member.revision, keys: member.store.keyCount, leases: member.store.leases.size, member: member.memberId.toString(16) }, 'restored the store');

  const tokenTtlMs = flags.authTokenTtl * 1000;
  const authenticator = new Authenticator({ member, clock, tokenTtlMs, clientCertAuth: flags.clientCertAuth, signer });
  const context = { member, metrics, log, quota, authenticator };
  const { maxRequestBytes, maxTxnOps } = flags;
  const leaseOptions = { ...context, lessor, clock };
  const maintenance = { ...context, database, quotaBytes, dataDir, self: { name: flags.name, peerUrls: flags.initialAdvertisePeerUrls, clientUrls: flags.advertiseClientUrls } };
  const watch = new WatchService({
    ...context, clock, random, maxRequestBytes, signal: stopping,
    progressIntervalMs: flags.experimentalWatchProgressNotifyIntervalMs || flags.watchProgressNotifyIntervalMs,
  });
  const grpc = new GrpcServer({
    maxReceiveBytes: maxRequestBytes + GRPC_OVERHEAD_BYTES, maxConcurrentStreams: flags.maxConcurrentStreams,
    minPingIntervalMs: flags.grpcKeepaliveMinTimeMs, keepAliveTimeMs: flags.grpcKeepaliveIntervalMs, keepAliveTimeoutMs: flags.grpcKeepaliveTimeoutMs,
  });
  const services = [
    newKvService({ ...context, maxRequestBytes, maxTxnOps }), newLeaseService(leaseOptions), watch.methods, newClusterService(maintenance),
    newMaintenanceService(maintenance), newAuthService({ ...context, clock, bcryptCost: flags.bcryptCost, tokenTtlMs, signer }), newHealthService(context),
  ];
  for (const method of services.flat()) grpc.add(method);
  const http = newHttpHandler({ registry, metrics, alarms: () => member.store.alarms.list(), read: () => member.range(rangeRequest.decode(HEALTH_READ)) });

  const listening: Listening[] = [];
  const loops: Promise<void>[] = [];
  try {
    listening.push(await listen({ urls: flags.listenClientUrls, tls, http, log, onGrpcConnection: (connection) => grpc.accept(connection) }));
    listening.push(await listen({ urls: flags.listenMetricsUrls, tls, http, log }));
    loops.push(revokeExpiredLeases(leaseOptions, stopping));
    if (autoCompaction.mode !== 'off') loops.push(compactRegularly(new AutoCompactor(autoCompaction), member, environment, stopping));
    log.info({ urls: listening.flatMap(({ urls }) => urls), version: ETCD_VERSION }, 'ready to serve client requests');
    onListening?.(listening[0]?.urls ?? []);
    await aborted(stopping);
    await Promise.all([grpc.drain(DRAIN_MS), member.settled()]);
    if (failing.signal.aborted) throw failing.signal.reason;
  } finally {
    await Promise.all(listening.map(({ close }) => close()));
    grpc.close();
    await Promise.all(loops);
    const checkpoints = lessor.allCheckpoints(clock.nowMs());
    await member.stop(checkpoints.length > 0 && !failing.signal.aborted ? { type: 'leaseCheckpoint', request: { checkpoints } } : undefined);
  }
}

const HEALTH_READ = rangeRequest.encode({ key: 'health', keysOnly: true, limit: 1 });

/** Ids as etcd computes them. Source: etcd v3.6, membership.NewMember and RaftCluster.genID. */
async function startTerm(database: Database, flags: EtcdFlags): Promise<Identity> {
  const known = await database.readIdentity();
  const identity = known === undefined ? { ...newIdentity(flags), term: 2 } : { ...known, term: known.term + 1 };
  await database.writeIdentity(identity);
  return identity;
}

function newIdentity(flags: EtcdFlags): { clusterId: string; memberId: string } {
  const memberHash = createHash('sha1').update([...flags.initialAdvertisePeerUrls].sort().join('')).update(flags.initialClusterToken).digest();
  const clusterHash = createHash('sha1').update(memberHash.subarray(0, 8)).digest();
  return { memberId: String(memberHash.readBigUInt64BE()), clusterId: String(clusterHash.readBigUInt64BE()) };
}

function checkSingleMember({ initialCluster, name }: EtcdFlags): void {
  const names = new Set(initialCluster.map((entry) => entry.split('=')[0]));
  if (names.size > 1) throw new FlagError('--initial-cluster names several members: a cluster of one is all that is supported so far');
  if (names.size === 1 && !names.has(name)) throw new FlagError(`couldn't find local name "${name}" in the initial cluster configuration`);
}

async function loadTls({ certFile, keyFile, clientCertAuth, trustedCaFile }: EtcdFlags): Promise<Tls | undefined> {
  if (certFile === '' && keyFile === '') return undefined;
  if (certFile === '' || keyFile === '') throw new FlagError(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
  if (clientCertAuth && trustedCaFile === '') throw new FlagError('--client-cert-auth needs --trusted-ca-file');
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  return trustedCaFile === '' ? { cert, key } : { cert, key, clientCa: await readFile(trustedCaFile) };
}

function autoCompactionOf({ autoCompactionMode, autoCompactionRetention }: EtcdFlags): AutoCompaction {
  if (autoCompactionMode !== 'periodic' && autoCompactionMode !== 'revision') throw new FlagError(`unsupported auto-compaction-mode "${autoCompactionMode}"`);
  const plain = /^\d+$/.test(autoCompactionRetention) ? Number(autoCompactionRetention) : undefined;
  if (autoCompactionMode === 'revision') {
    if (plain === undefined) throw new FlagError(`invalid --auto-compaction-retention "${autoCompactionRetention}": must be a number of revisions`);
    return plain === 0 ? { mode: 'off' } : { mode: 'revision', keepRevisions: plain };
  }
  const keepMs = plain === undefined ? parseDurationMs(autoCompactionRetention) : plain * 3_600_000; // a plain number means hours
  return keepMs <= 0 ? { mode: 'off' } : { mode: 'periodic', keepMs };
}

async function compactRegularly(compactor: AutoCompactor, member: Member, { clock, log }: Environment, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(compactor.intervalMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    const revision = signal.aborted ? undefined : compactor.revisionToCompact(clock.nowMs(), member.revision, member.store.compactRevision);
    if (revision === undefined) continue;
    await member.propose({ type: 'compact', request: { revision } }).then(
      () => log.info({ revision }, 'completed auto compaction'),
      (error: unknown) => {
        if (!(error instanceof EtcdError)) throw error;
        log.warn({ err: error, revision }, 'auto compaction failed');
      });
  }
}
