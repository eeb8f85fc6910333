// Keeps the cluster's version, while this member leads, and takes it down and up again on behalf of operators (etcdctl downgrade).
// Source: etcd v3.6, server/etcdserver/version, EtcdServer.Downgrade and monitorClusterVersions.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError, etcdError } from '#lib/etcd-api/errors.ts';
import { decideClusterVersion, isDowngraded, objectionToDowngrade, parseTargetVersion, shortVersion } from '../core/versions.ts';
import type { Member } from './member.ts';
import { under, type PeerHttpClient } from './peers/http-client.ts';
import { ETCD_VERSION } from './version.ts';

export interface ClusterVersionOptions {
  readonly member: Member;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often the leader looks whether a downgrade is done. 0: never. */
  readonly downgradeCheckMs: number;
}

/** Source: etcd, monitorVersionInterval. */
const VERSION_INTERVAL_MS = 5_000;
/** A lone member has nobody whose version could change. */
const ALONE_INTERVAL_MS = 60_000;
const UNDECIDED_INTERVAL_MS = 100;
const ASK_TIMEOUT_MS = 2_000;

/** All but `run` and `wake` reject with EtcdError. */
export class ClusterVersion {
  private readonly options: ClusterVersionOptions;
  private endPause: () => void = () => undefined;

  constructor(options: ClusterVersionOptions) {
    this.options = options;
  }

  // What operators ask for. All return the cluster version as people write it.

  async validateDowngrade(version: string): Promise<string> {
    await this.checkTarget(version);
    return shortVersion(this.current());
  }

  async enableDowngrade(version: string): Promise<string> {
    const { member, log } = this.options;
    try {
      const ver = await this.checkTarget(version);
      await member.proposeClusterCommand({ type: 'downgradeInfoSet', request: { enabled: true, ver } });
    } catch (error) {
      log.warn({ err: error }, 'reject downgrade request');
      throw error;
    }
    return shortVersion(this.current());
  }

  /** When there is none to cancel etcd says so in its log only. */
  async cancelDowngrade(): Promise<string> {
    const { member, log } = this.options;
    try {
      await member.linearizable();
      if (!member.cluster.downgrade.enabled) throw etcdError('NoInflightDowngrade');
      await this.endDowngrade();
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      log.warn({ err: error }, 'failed to cancel downgrade');
    }
    return shortVersion(this.current());
  }

  private async checkTarget(version: string): Promise<string> {
    const { member } = this.options;
    const target = parseTargetVersion(version);
    if (target === undefined) throw etcdError('WrongDowngradeVersionFormat');
    await member.linearizable();
    const objection = objectionToDowngrade(target, member.cluster.clusterVersion, member.cluster.downgrade);
    if (objection !== undefined) throw etcdError(objection);
    return target;
  }

  private current(): string {
    const { clusterVersion } = this.options.member.cluster;
    if (clusterVersion === '') throw etcdError('ClusterVersionUnavailable');
    return clusterVersion;
  }

  private endDowngrade(): Promise<void> {
    return this.options.member.proposeClusterCommand({ type: 'downgradeInfoSet', request: { enabled: false, ver: '' } });
  }

  // What the leader does by itself

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { member, log, downgradeCheckMs } = this.options;
    let nextCheckMs = 0;
    while (!signal.aborted) {
      try {
        if (member.isLeader) {
          const isCheckDue = member.cluster.downgrade.enabled && downgradeCheckMs > 0 && performance.now() >= nextCheckMs;
          if (isCheckDue) nextCheckMs = performance.now() + downgradeCheckMs;
          await this.update(isCheckDue);
        }
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        log.warn({ err: error }, 'failed to monitor cluster version');
      }
      await this.pause(this.intervalMs(), signal);
    }
  }

  /** The version or the downgrade has changed. */
  wake(): void {
    this.endPause();
  }

  private intervalMs(): number {
    const { member: { cluster }, downgradeCheckMs } = this.options;
    if (cluster.clusterVersion === '') return UNDECIDED_INTERVAL_MS;
    if (cluster.downgrade.enabled) return Math.min(VERSION_INTERVAL_MS, downgradeCheckMs || Infinity);
    return cluster.list().length === 1 ? ALONE_INTERVAL_MS : VERSION_INTERVAL_MS;
  }

  private pause(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.endPause = resolve;
      this.options.clock.sleep(durationMs, signal).then(resolve, () => resolve());
    });
  }

  private async update(checksDowngrade: boolean): Promise<void> {
    const { member, log } = this.options;
    const { cluster } = member;
    const serverVersions = await this.serverVersions();
    if (checksDowngrade && cluster.downgrade.enabled && isDowngraded(serverVersions, cluster.downgrade.targetVersion)) {
      log.info({ 'cluster-version': cluster.downgrade.targetVersion }, 'the cluster has been downgraded');
      return this.endDowngrade();
    }
    const { clusterVersion, downgrade } = cluster;
    const decision = decideClusterVersion({ clusterVersion, serverVersions, downgrade });
    if (decision === undefined) return;
    if ('refused' in decision) return log.error({ error: decision.refused, 'target-version': downgrade.targetVersion, 'cluster-version': clusterVersion }, 'failed to monitor cluster version');
    if (clusterVersion === '') log.info({ 'cluster-version': shortVersion(decision.version) }, 'setting up initial cluster version using v3 API');
    else log.info({ from: shortVersion(clusterVersion), to: shortVersion(decision.version) }, 'updating cluster version using v3 API');
    await member.proposeClusterCommand({ type: 'clusterVersionSet', request: { ver: decision.version } });
    log.info({ 'cluster-version': shortVersion(decision.version) }, 'cluster version is updated');
  }

  private serverVersions(): Promise<(string | undefined)[]> {
    const { member } = this.options;
    return Promise.all(member.cluster.list().map(async ({ id, peerUrls }) => {
      if (id === member.memberId) return ETCD_VERSION;
      return (await askForVersions(peerUrls, member.transport.client))?.etcdserver;
    }));
  }
}

interface Versions { readonly etcdserver?: string; readonly etcdcluster?: string }

/** undefined when the member answers at none of its addresses. */
export async function askForVersions(urls: readonly string[], client: PeerHttpClient): Promise<Versions | undefined> {
  for (const url of urls) {
    try {
      const { status, body } = await client.send(under(url, '/version'), { method: 'GET', timeoutMs: ASK_TIMEOUT_MS });
      if (status === 200) return JSON.parse(body.toString()) as Versions;
    } catch {
      continue; // the next address
    }
  }
  return undefined;
}
