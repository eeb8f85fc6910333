// Clients that put requests to members one after the other, and write down what came of them.
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { RangeResponse, TxnResponse } from '#lib/etcd-api/messages.ts';
import { kvService } from '#lib/etcd-api/services.ts';
import { integerBelow, type Random } from '#lib/environment/random.ts';
import { Connection, hadNoEffect } from './connection.ts';
import type { Cluster } from './cluster.ts';
import type { History } from './history.ts';
import type { KeyState, Outcome, Transaction } from './kv-model.ts';
import { beforeOf, keyStateOf, nextRequest, pickKey, REGISTERS, toTxnRequest } from './workload.ts';

/** Longer than an election, so that a change of the leader shows as latency, too, not only as errors. Milliseconds. */
export const CALL_TIMEOUT_MS = 3_000;
/** After an error; milliseconds. */
const PAUSE_AFTER_ERROR_MS = 50;

export interface DriveContext {
  readonly cluster: Cluster;
  readonly history: History;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Milliseconds since the run began. */
  readonly nowMs: () => number;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Stays with one member until that fails it. */
export class Roaming {
  member: number;
  private readonly connections: readonly Connection[];
  private readonly random: Random;
  private readonly cluster: Cluster;

  constructor({ cluster, random }: DriveContext) {
    this.cluster = cluster;
    this.connections = cluster.endpoints.map((endpoint) => new Connection(endpoint, cluster.clientFiles));
    this.random = random;
    this.member = this.any();
  }

  get connection(): Connection {
    return this.connections[this.member] as Connection;
  }
  move(): void {
    this.member = this.any();
  }
  private any(): number {
    const { active } = this.cluster;
    return active[integerBelow(this.random, active.length)] as number;
  }
  close(): void {
    for (const connection of this.connections) connection.close();
  }
}

/** Resolves when the signal aborts and the last answer is in. `pauseMs`: between an answer and the next request. */
export async function runClient(context: DriveContext, client: number, lastSeen: Map<string, KeyState>, pauseMs: number): Promise<void> {
  const { history, cluster, random, signal } = context;
  const roaming = new Roaming(context);
  let values = 0;
  const newValue = (): string => `${client}.${values++}`;
  while (!signal.aborted) {
    const request = nextRequest(random, newValue, lastSeen);
    const { member } = roaming;
    const callTick = history.tick();
    const incarnation = cluster.incarnation(member);
    try {
      if (request.type === 'local-read') {
        const atRevision = request.isOld ? oldRevision(random, lastSeen) : undefined;
        const { header, kvs } = await roaming.connection.call(kvService.Range, { ...rangeOf(request.keys), serializable: true, ...(atRevision === undefined ? {} : { revision: atRevision }) }, CALL_TIMEOUT_MS);
        const byKey = new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), keyStateOf(kv)]));
        history.localReads.push({
          client, member, incarnation, callTick, returnTick: history.tick(), keys: request.keys, revision: header?.revision ?? 0, kvs: request.keys.map((key) => byKey.get(key)),
          ...(atRevision === undefined ? {} : { atRevision }),
        });
      } else {
        const outcome = await send(roaming.connection, request.request);
        history.operations.push({ client, member, call: callTick, return: history.tick(), request: request.request, outcome });
        note(lastSeen, request.request, outcome);
      }
      history.count(request.name);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      const isKnown = hadNoEffect(error) || request.type === 'local-read' || isReadOnly(request.request);
      history.count(isKnown ? `${request.name}, refused` : `${request.name}, without an answer`);
      history.count(`error: ${error.details.replace(/\d+\.\d+s|\d{3,}/g, 'N').slice(0, 90)}`);
      if (!isKnown && request.type === 'txn') history.operations.push({ client, member, call: callTick, return: Infinity, request: request.request, isOptional: true });
      roaming.move();
      await pause(PAUSE_AFTER_ERROR_MS);
    }
    if (random.fraction() < 0.01) roaming.move();
    await pause(pauseMs * 2 * random.fraction());
  }
  roaming.close();
}

/** Between reads of one member; milliseconds. */
const READ_EVERY_MS = 40;
const READ_TIMEOUT_MS = 1_000;

/** Reads from one member, whatever befalls it: a leader who does not know yet that it is none any more must not answer. */
export async function runReader({ cluster, history, random, signal }: DriveContext, client: number, member: number): Promise<void> {
  const connection = new Connection(cluster.endpoints[member] as string, cluster.clientFiles);
  while (!signal.aborted) {
    const request: Transaction = { conditions: [], success: [{ type: 'get', key: pickKey(random) }], failure: [] };
    const call = history.tick();
    try {
      const outcome = await send(connection, request, READ_TIMEOUT_MS);
      history.operations.push({ client, member, call, return: history.tick(), request, outcome });
      history.count('get by reader');
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      history.count('get by reader, refused');
    }
    await pause(READ_EVERY_MS * 2 * random.fraction());
  }
  connection.close();
}

const isReadOnly = ({ success, failure }: Transaction): boolean => [...success, ...failure].every(({ type }) => type === 'get');

function rangeOf(keys: readonly string[]): { key: string; rangeEnd?: string } {
  return keys.length === 1 ? { key: keys[0] as string } : { key: REGISTERS, rangeEnd: `${REGISTERS.slice(0, -1)}0` };
}

/** Of the newest that were seen, so that it is not compacted. */
function oldRevision(random: Random, lastSeen: ReadonlyMap<string, KeyState>): number | undefined {
  const revisions = [...lastSeen.values()].map(({ modRevision }) => modRevision);
  return revisions.length === 0 ? undefined : revisions[integerBelow(random, revisions.length)];
}

/** Plain requests go out as such, not as transactions. */
async function send(connection: Connection, request: Transaction, timeoutMs = CALL_TIMEOUT_MS): Promise<Outcome> {
  const [change, second] = request.success;
  if (change !== undefined && request.conditions.length === 0 && second === undefined) {
    const { key } = change;
    const state = (kv: Parameters<typeof keyStateOf>[0] | undefined): (KeyState | undefined)[] => [kv === undefined ? undefined : keyStateOf(kv)];
    switch (change.type) {
      case 'get': {
        const { header, kvs } = await connection.call(kvService.Range, { key }, timeoutMs);
        return { revision: header?.revision ?? 0, succeeded: true, before: state(kvs[0]) };
      }
      case 'put': {
        const { header, prevKv } = await connection.call(kvService.Put, { key, value: change.value, prevKv: true }, CALL_TIMEOUT_MS);
        return { revision: header?.revision ?? 0, succeeded: true, before: state(prevKv) };
      }
      case 'delete': {
        const { header, prevKvs } = await connection.call(kvService.DeleteRange, { key, prevKv: true }, CALL_TIMEOUT_MS);
        return { revision: header?.revision ?? 0, succeeded: true, before: state(prevKvs[0]) };
      }
    }
  }
  if (request.conditions.length === 0 && request.success.every(({ type }) => type === 'get')) {
    const { header, kvs } = await connection.call<object, RangeResponse>(kvService.Range, rangeOf(request.success.map(({ key }) => key)), CALL_TIMEOUT_MS);
    const byKey = new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), keyStateOf(kv)]));
    return { revision: header?.revision ?? 0, succeeded: true, before: request.success.map(({ key }) => byKey.get(key)) };
  }
  const { header, succeeded, responses } = await connection.call<object, TxnResponse>(kvService.Txn, toTxnRequest(request), CALL_TIMEOUT_MS);
  return { revision: header?.revision ?? 0, succeeded, before: responses.map(beforeOf) };
}

/** Keeps what makes conditions that can hold. */
function note(lastSeen: Map<string, KeyState>, { success, failure }: Transaction, { succeeded, revision, before }: Outcome): void {
  (succeeded ? success : failure).forEach((change, at) => {
    const kv = before[at];
    if (change.type === 'put') lastSeen.set(change.key, { value: change.value, version: (kv?.version ?? 0) + 1, createRevision: kv?.createRevision ?? revision, modRevision: revision });
    else if (change.type === 'delete' || kv === undefined) lastSeen.delete(change.key);
    else lastSeen.set(change.key, kv);
  });
}

