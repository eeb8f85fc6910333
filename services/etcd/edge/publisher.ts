// What a member tells the cluster about itself: its name and client addresses. Source: etcd v3.6, EtcdServer.publishV3.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { goDuration } from './go-text.ts';
import type { Member } from './member.ts';
import { hexId } from './peers/identity.ts';

export interface PublisherOptions {
  readonly member: Member;
  readonly name: string;
  readonly clientUrls: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

const RETRY_MS = 100;

/** Resolves when the other members know, or the signal aborts. */
export async function publish({ member, name, clientUrls, clock, log }: PublisherOptions, signal: AbortSignal): Promise<void> {
  const of = { 'local-member-id': hexId(member.memberId), 'local-member-attributes': `{Name:${name} ClientURLs:[${clientUrls.join(' ')}]}`, 'cluster-id': hexId(member.clusterId), 'publish-timeout': goDuration(member.requestTimeoutMs) };
  while (!signal.aborted) {
    const known = member.cluster.get(member.memberId);
    if (known?.name === name && known.clientUrls.join() === clientUrls.join()) return;
    try {
      await member.proposeClusterCommand({ type: 'clusterMemberAttrSet', request: { memberID: member.memberId, memberAttributes: { name, clientUrls: [...clientUrls] } } });
      return log.info(of, 'published local member to cluster through raft');
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      log.warn({ ...of, err: error }, 'failed to publish local member to cluster through raft');
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }
}
