// What a member tells the cluster about itself, and the leader about the cluster: names and client addresses, and the version that all speak.
// Source: etcd v3.6, EtcdServer.publishV3 and monitorClusterVersions.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { Member } from './member.ts';
import { under } from './peers/http-client.ts';
import { compareVersions } from './peers/identity.ts';
import { CLUSTER_VERSION } from './version.ts';

export interface PublisherOptions {
  readonly member: Member;
  readonly name: string;
  readonly clientUrls: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Source: etcd, monitorVersionInterval. */
const VERSION_INTERVAL_MS = 5_000;
const ASK_TIMEOUT_MS = 2_000;
const RETRY_MS = 100;

/** Resolves when the other members know, or the signal aborts. */
export async function publish({ member, name, clientUrls, clock, log }: PublisherOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const known = member.cluster.get(member.memberId);
    if (known?.name === name && known.clientUrls.join() === clientUrls.join()) return;
    try {
      await member.proposeClusterCommand({ type: 'clusterMemberAttrSet', request: { memberID: member.memberId, memberAttributes: { name, clientUrls: [...clientUrls] } } });
      return log.info({ member: name, clientUrls }, 'published local member to cluster through raft');
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      log.warn({ err: error }, 'failed to publish local member to cluster through raft');
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }
}

/** Runs until the signal aborts. */
export async function monitorClusterVersion({ member, clock, log }: PublisherOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (member.isLeader) await setClusterVersion(member);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      log.warn({ err: error }, 'failed to set the cluster version');
    }
    // A lone member has nobody whose version could change.
    if (member.cluster.clusterVersion !== '' && member.cluster.list().length === 1) return aloneUntil(member, clock, signal);
    await clock.sleep(member.cluster.clusterVersion === '' ? RETRY_MS : VERSION_INTERVAL_MS, signal).catch(() => undefined);
  }
}

async function aloneUntil(member: Member, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && member.cluster.list().length === 1) await clock.sleep(12 * VERSION_INTERVAL_MS, signal).catch(() => undefined);
}

/** That of the oldest member, once all have told theirs; it never goes down by itself. */
export async function setClusterVersion(member: Member): Promise<void> {
  const others = member.cluster.list().filter(({ id }) => id !== member.memberId);
  const versions = await Promise.all(others.map(({ peerUrls }) => versionOf(member, peerUrls)));
  let lowest = CLUSTER_VERSION;
  for (const version of versions) {
    if (version === undefined) return;
    if (compareVersions(version, lowest) < 0) lowest = `${version.split('.').slice(0, 2).join('.')}.0`;
  }
  const current = member.cluster.clusterVersion;
  if (current !== '' && compareVersions(lowest, current) <= 0) return;
  await member.proposeClusterCommand({ type: 'clusterVersionSet', request: { ver: lowest } });
}

async function versionOf(member: Member, urls: readonly string[]): Promise<string | undefined> {
  for (const url of urls) {
    try {
      const { status, body } = await member.transport.client.send(under(url, '/version'), { method: 'GET', timeoutMs: ASK_TIMEOUT_MS });
      if (status === 200) return (JSON.parse(body.toString()) as { etcdserver?: string }).etcdserver;
    } catch {
      continue; // the next address
    }
  }
  return undefined;
}
