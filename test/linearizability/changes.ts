// Who belongs to the cluster changes while everything else goes on, as operators do it: a dead member is replaced, a living one removed
// and added again, a further one added as a learner, promoted, and removed. What is broken meanwhile may hit any other member.
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { clusterService } from '#lib/etcd-api/services.ts';
import { integerBelow } from '#lib/environment/random.ts';
import { pause, type DriveContext } from './clients.ts';
import type { Cluster } from './cluster.ts';
import { Connection } from './connection.ts';
import type { FaultRecord } from './history.ts';

const MOST_QUIET_MS = 4_000;
const CALL_TIMEOUT_MS = 4_000;
const RETRY_MS = 200;
/** As long as members are broken nothing may be possible; when all is mended it has to be. */
const DEADLINE_MS = 60_000;
/** A member that was removed hears of it and ends; one that cannot hear of it is ended. */
const END_DEADLINE_MS = 5_000;

export class ChangeFailed extends Error {
  override readonly name = 'ChangeFailed';
}

/** Until the signal aborts; then ends the change under way. Rejects with ChangeFailed. */
export async function changeMembers(context: DriveContext, log: (line: string) => void): Promise<void> {
  const { random, signal, cluster, history, nowMs } = context;
  const operator = new Operator(context);
  while (!signal.aborted) {
    await pause(1_000 + integerBelow(random, MOST_QUIET_MS));
    const isLearner = integerBelow(random, 2) === 0;
    const kind = integerBelow(random, 3);
    const target = cluster.spare !== undefined && kind === 0 ? cluster.spare : pick(context);
    if (target === undefined || signal.aborted) continue;
    const what = kind === 0 ? 'add' : kind === 1 ? 'replace-dead' : 'replace';
    const record: FaultRecord = { what: `${what} m${target + 1}${isLearner || kind === 0 ? ' as a learner' : ''}`, startMs: nowMs(), endMs: Infinity };
    history.faults.push(record);
    log(record.what);
    if (kind === 0) await operator.addForAWhile(target, 1_000 + integerBelow(random, MOST_QUIET_MS));
    else await operator.replace(target, { isDead: kind === 1, isLearner });
    record.endMs = nowMs();
    log(`${record.what}: done after ${Math.round(record.endMs - record.startMs)} ms`);
  }
  operator.close();
}

/** One that nothing else is done to at the moment. */
function pick({ cluster, random }: DriveContext): number | undefined {
  const free = cluster.active.filter((member) => !cluster.isBroken(member));
  return free.length === 0 ? undefined : free[integerBelow(random, free.length)];
}

class Operator {
  private readonly cluster: Cluster;
  private readonly context: DriveContext;
  private readonly connections: readonly Connection[];

  constructor(context: DriveContext) {
    this.context = context;
    this.cluster = context.cluster;
    this.connections = context.cluster.endpoints.map((endpoint) => new Connection(endpoint, context.cluster.clientFiles));
  }

  async replace(at: number, { isDead, isLearner }: { readonly isDead: boolean; readonly isLearner: boolean }): Promise<void> {
    this.cluster.takeOut(at);
    if (isDead) await this.cluster.end(at, 'SIGKILL');
    await this.remove(at);
    await this.add(at, isLearner);
  }

  async addForAWhile(at: number, forMs: number): Promise<void> {
    await this.add(at, true);
    await pause(forMs);
    while (this.cluster.isBroken(at)) await pause(RETRY_MS);
    this.cluster.takeOut(at);
    await this.remove(at);
  }

  private async remove(at: number): Promise<void> {
    const id = await this.idOf(at);
    const ended = this.cluster.expectEnd(at);
    if (id !== undefined) await this.ask('MemberRemove', (connection) => connection.call(clusterService.MemberRemove, { ID: id }, CALL_TIMEOUT_MS), ({ reason }) => reason === 'MemberNotFound');
    await Promise.race([ended, pause(END_DEADLINE_MS)]);
    await this.cluster.end(at, 'SIGKILL');
  }

  private async add(at: number, isLearner: boolean): Promise<void> {
    this.cluster.renew(at);
    const peerURLs = [this.cluster.peerUrlOf(at)];
    await this.ask('MemberAdd', (connection) => connection.call(clusterService.MemberAdd, { peerURLs, isLearner }, CALL_TIMEOUT_MS), async ({ reason }) =>
      // One of three voters that has not started yet keeps others out, before anybody looks whether it is the same one.
      reason === 'PeerUrlExists' || (reason === 'MemberNotEnoughStarted' && await this.idOf(at) !== undefined));
    this.cluster.boot(at);
    this.cluster.putIn(at);
    if (!isLearner) return;
    const id = await this.idOf(at);
    if (id === undefined) throw new ChangeFailed(`m${at + 1} was added, but is not in the list of members`);
    await this.ask('MemberPromote', (connection) => connection.call(clusterService.MemberPromote, { ID: id }, CALL_TIMEOUT_MS), ({ reason }) => reason === 'MemberNotLearner');
  }

  private async idOf(at: number): Promise<bigint | undefined> {
    const list = await this.ask('MemberList', (connection) => connection.call(clusterService.MemberList, { linearizable: true }, CALL_TIMEOUT_MS));
    return list?.members.find(({ peerURLs }) => peerURLs.includes(this.cluster.peerUrlOf(at)))?.ID;
  }

  /** Asks one member after the other. `isDone`: whether a refusal says that an earlier request, which was not answered, did it. */
  private async ask<R>(what: string, call: (connection: Connection) => Promise<R>, isDone: (error: EtcdError) => boolean | Promise<boolean> = () => false): Promise<R | undefined> {
    const { random, history, signal } = this.context;
    let last = '';
    for (let endMs = Infinity; performance.now() < endMs; await pause(RETRY_MS)) {
      if (signal.aborted) endMs = Math.min(endMs, performance.now() + DEADLINE_MS);
      const { active } = this.cluster;
      const member = active[integerBelow(random, active.length)] as number;
      try {
        const answer = await call(this.connections[member] as Connection);
        history.count(what);
        return answer;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (await isDone(error)) return undefined;
        last = error.details;
        history.count(`${what}, refused or without an answer`);
      }
    }
    throw new ChangeFailed(`${what} was not possible within ${DEADLINE_MS / 1000} s: ${last}`);
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }
}
