// gRPC service Maintenance.
import { etcdError } from '#lib/etcd-api/errors.ts';
import { maintenanceService } from '#lib/etcd-api/services.ts';
import { GrpcError, grpcStatus } from '#lib/grpc/status.ts';
import { storageVersionOf } from '../core/versions.ts';
import type { Authenticator } from './authenticator.ts';
import type { ClusterVersion } from './cluster-version.ts';
import { callerOf, serverStreamMethod, unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import type { Database } from './database.ts';
import type { ServingStatus } from './health-service.ts';
import type { Member } from './member.ts';
import { memberInfo, type Membership } from './membership.ts';
import { streamSnapshot } from './snapshot-stream.ts';
import { ETCD_VERSION } from './version.ts';

export interface MaintenanceOptions extends CallContext {
  readonly member: Member;
  readonly database: Database;
  readonly authenticator: Authenticator;
  readonly quotaBytes: number;
  readonly dataDir: string;
  readonly membership: Membership;
  readonly clusterVersion: ClusterVersion;
  /** Told while the database is defragmented. */
  readonly serving?: ServingStatus | undefined;
}

export function newMaintenanceService({ member, database, authenticator, quotaBytes, dataDir, membership, clusterVersion, serving, ...context }: MaintenanceOptions): GrpcService {
  const { Snapshot, ...unaryMethods } = maintenanceService;
  const { metrics, log } = context;
  const methods = unaryService(unaryMethods, {
    Alarm: async (request, _, caller) => {
      await (request.action === 'GET' ? authenticator.requireUser(caller) : authenticator.requireAdmin(caller));
      return member.propose({ type: 'alarm', request });
    },
    Status: async (_, __, caller) => {
      await authenticator.requireUser(caller);
      const { term, commit } = member.raftStatus();
      const { enabled, targetVersion } = member.cluster.downgrade;
      return {
        header: member.header(), version: ETCD_VERSION, dbSize: await database.sizeOnDisk(), dbSizeInUse: member.sizeInUseBytes, leader: member.leader,
        raftIndex: commit, raftAppliedIndex: member.appliedIndex, raftTerm: term, isLearner: member.isLearner,
        storageVersion: storageVersionOf(member.cluster.clusterVersion), dbSizeQuota: quotaBytes, downgradeInfo: { enabled, targetVersion },
        errors: [
          ...(member.leader === 0n ? ['etcdserver: no leader'] : []),
          ...member.store.alarms.list().map(({ memberID, alarm }) => `memberID:${memberID} alarm:${alarm} `),
        ],
      };
    },
    MoveLeader: async ({ targetID }, _, caller) => {
      await authenticator.requireAdmin(caller);
      await membership.moveLeader(targetID);
      return { header: undefined };
    },
    Downgrade: async ({ action, version }, _, caller) => {
      await authenticator.requireAdmin(caller);
      switch (action) {
        case 'VALIDATE': return { version: await clusterVersion.validateDowngrade(version), header: member.header() };
        case 'ENABLE': return { version: await clusterVersion.enableDowngrade(version), header: member.header() };
        case 'CANCEL': return { version: await clusterVersion.cancelDowngrade(), header: member.header() };
        case 'UNRECOGNIZED': throw etcdError('UnknownMethod');
      }
    },
    Defragment: async (_, __, caller) => {
      await authenticator.requireAdmin(caller);
      const defragment = async (): Promise<void> => {
        await member.cleared();
        await database.defragment();
      };
      log.info('starting defragment');
      try {
        await metrics.timed('defrag', () => (serving === undefined ? defragment() : serving.stoppedDuring(defragment)));
      } catch (error) {
        log.warn({ err: error }, 'failed to defragment');
        throw new GrpcError(grpcStatus.UNKNOWN, error instanceof Error ? error.message : String(error), { cause: error });
      }
      log.info('finished defragment');
      return { header: undefined };
    },
    Hash: async (_, __, caller) => {
      await authenticator.requireAdmin(caller);
      const header = member.header();
      return { header, hash: (await metrics.timed('hash', () => member.hashes.at(0))).hash };
    },
    HashKV: async ({ revision }, _, caller) => {
      await authenticator.requireAdmin(caller);
      const { hash, compactRevision, revision: hashRevision } = await metrics.timed('hashRev', () => member.hashes.at(Math.max(revision, 0)));
      return { header: member.header(), hash, compactRevision, hashRevision };
    },
  }, context);
  const snapshot = serverStreamMethod(Snapshot, async (_, call) => {
    await authenticator.requireAdmin(callerOf(call));
    const members = (): ReturnType<typeof memberInfo>[] => member.cluster.list().map(memberInfo);
    await metrics.timed('snapshot', () => streamSnapshot({ member, database, dataDir, members }, call));
  }, context);
  return [...methods, snapshot];
}
