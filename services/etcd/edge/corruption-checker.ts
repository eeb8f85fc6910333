// Looks for members whose data differ from the others': before this one serves, now and then, and after compactions. Who differs is told to
// all by the alarm CORRUPT, which refuses every write until somebody lifts it. Source: etcd v3.6, server/etcdserver/corrupt.go.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { differing, findingsOf, judgeCompaction } from '../core/corruption.ts';
import type { Member } from './member.ts';
import { askForHashes } from './peer-hashes.ts';
import { goDuration } from './go-text.ts';
import { hexId } from './peers/identity.ts';

export interface CorruptionCheckerOptions {
  readonly member: Member;
  readonly clock: Clock;
  readonly log: Logger;
  /** --corrupt-check-time. 0: never. */
  readonly periodMs: number;
  /** --compact-hash-check-time, with the feature CompactHashCheck. 0: never. */
  readonly compactHashPeriodMs: number;
}

export class CorruptionError extends Error {
  override readonly name = 'CorruptionError';
}

export class CorruptionChecker {
  private readonly options: CorruptionCheckerOptions;
  private lastConfirmed = 0;

  constructor(options: CorruptionCheckerOptions) {
    this.options = options;
  }

  /** Before anybody is served. Rejects with CorruptionError when a member with the same history has other data. */
  async checkInitially(): Promise<void> {
    const { member, log } = this.options;
    const self = hexId(member.memberId);
    if (member.cluster.list().every(({ id }) => id === member.memberId)) return; // nobody to compare with
    log.info({ 'local-member-id': self, timeout: goDuration(member.requestTimeoutMs) }, 'starting initial corruption check');
    const own = await member.hashes.at(0);
    const peers = await askForHashes(member, own.revision, log);
    for (const { id, answer } of peers) {
      if (answer !== undefined && answer.hash !== own.hash) log.warn({ 'local-member-id': self, ...hashFields('local-member', own), 'remote-peer-id': hexId(id), ...hashFields('remote-peer', answer) }, answer.compactRevision === own.compactRevision ? 'found different hash values from remote peer' : 'found different compact revision values from remote peer');
    }
    if (differing(own, peers).length > 0) throw new CorruptionError(`${self} found data inconsistency with peers`);
    log.info({ 'local-member-id': self }, 'initial corruption checking passed; no corruption');
  }

  /** Both run until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { periodMs, compactHashPeriodMs, log } = this.options;
    if (periodMs > 0) log.info({ 'local-member-id': hexId(this.options.member.memberId), interval: goDuration(periodMs) }, 'enabled corruption checking');
    await Promise.all([this.regularly(periodMs, () => this.checkAll(), signal), this.regularly(compactHashPeriodMs, () => this.checkCompactions(), signal)]);
  }

  private async regularly(periodMs: number, check: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { member, clock, log } = this.options;
    if (periodMs <= 0) return;
    for (;;) {
      await clock.sleep(periodMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      if (!member.isLeader) continue;
      await check().catch((error: unknown) => {
        if (signal.aborted) return; // the database closes
        if (!(error instanceof EtcdError)) throw error;
        log.warn({ err: error }, 'failed to check hash KV');
      });
    }
  }

  private async checkAll(): Promise<void> {
    const { member, log } = this.options;
    const before = await member.hashes.at(0);
    const peers = await askForHashes(member, before.revision, log);
    await member.linearizable();
    const after = await member.hashes.at(0);
    const findings = findingsOf({ self: member.memberId, before, after, newestAfter: member.revision, peers });
    for (const { member: id, reason } of findings) log.warn({ 'follower-peer-id': hexId(id), ...hashFields('leader', after), ...hashFields('follower', peers.find((peer) => peer.id === id)?.answer) }, reason);
    const [first] = findings;
    if (first !== undefined) await this.raiseAlarm(first.member);
    log.info({ 'number-of-peers-checked': peers.filter(({ answer }) => answer !== undefined).length }, 'finished peer corruption check');
  }

  private async checkCompactions(): Promise<void> {
    const { member, log } = this.options;
    const hashes = member.hashes.ofCompactionsAfter(this.lastConfirmed);
    log.info({ 'local-member-id': hexId(member.memberId), timeout: goDuration(member.requestTimeoutMs) }, 'starting compact hash check');
    for (const [at, own] of hashes.entries()) {
      const peers = await askForHashes(member, own.revision, log);
      if (peers.length === 0) continue;
      const { isDone, isConfirmed, corrupt } = judgeCompaction(member.memberId, own, peers);
      if (isConfirmed) this.lastConfirmed = Math.max(this.lastConfirmed, own.revision);
      if (corrupt.length > 0) log.error({ 'leader-id': hexId(member.memberId), ...hashFields('leader', own), 'peer-ids': corrupt.map(hexId).join() }, 'Detected compaction hash mismatch');
      for (const id of corrupt) await this.raiseAlarm(id);
      if (isDone) {
        if (isConfirmed) log.info({ 'number-of-peers-checked': peers.length, revision: own.revision, compactRevision: own.compactRevision }, 'successfully checked hash on whole cluster');
        return log.info({ 'number-of-hashes-checked': at + 1 }, 'finished compaction hash check');
      }
      log.warn({ revision: own.revision, 'number-of-peers': peers.length }, 'skipped revision in compaction hash check; was not able to check all peers');
    }
    log.info({ 'number-of-hashes-checked': hashes.length }, 'finished compaction hash check');
  }

  private async raiseAlarm(memberID: bigint): Promise<void> {
    await this.options.member.propose({ type: 'alarm', request: { action: 'ACTIVATE', memberID, alarm: 'CORRUPT' } });
  }
}

/** As etcd names those of one member in its log. */
const hashFields = (whose: string, hash: { readonly revision?: number; readonly compactRevision: number; readonly hash: number } | undefined): Readonly<Record<string, unknown>> =>
  (hash === undefined ? {} : { [`${whose}-revision`]: hash.revision, [`${whose}-compact-revision`]: hash.compactRevision, [`${whose}-hash`]: hash.hash });
