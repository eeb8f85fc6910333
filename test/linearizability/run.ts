// One run: members, clients, faults; then everything is mended, and what was written down is checked.
import { join } from 'node:path';
import { seededRandom } from '#lib/environment/random.ts';
import type { RangeResponse } from '#lib/etcd-api/messages.ts';
import { kvService, maintenanceService } from '#lib/etcd-api/services.ts';
import { checkLeases, checkLocks } from './check-leases.ts';
import { checkAcknowledged, checkLocalReads } from './check-reads.ts';
import { checkWatch, referenceFrom } from './check-watches.ts';
import { checkLinearizable, type Verdict } from './checker.ts';
import { changeMembers, ChangeFailed } from './changes.ts';
import { pause, runClient, runReader, type DriveContext } from './clients.ts';
import { Cluster } from './cluster.ts';
import { Connection } from './connection.ts';
import { breakAndMend, nextDamage } from './faults.ts';
import { History, type Reference } from './history.ts';
import { partitionByKey, registerModel, storeModel, type KeyState, type Operation } from './kv-model.ts';
import { LEASED, LOCKED, LOCKS, runLeaseClient, runLockClient } from './leases.ts';
import { resolveUnknown } from './resolve-unknown.ts';
import { writeHistory } from './stored-history.ts';
import { Watcher } from './watchers.ts';
import { REGISTERS } from './workload.ts';

export interface RunOptions {
  readonly seed: number;
  readonly members: number;
  /** Members are replaced, added and removed. */
  readonly changes: boolean;
  readonly clients: number;
  readonly forMs: number;
  /** Of all clients together, about. */
  readonly requestsPerSecond: number;
  readonly program: readonly string[];
  readonly flags: readonly string[];
  readonly hasFailPoints: boolean;
  readonly failPoints: string;
  /** Only these; empty: all that are possible. */
  readonly faults: readonly string[];
  readonly folder: string;
  readonly checkLimitMs: number;
  readonly print: (line: string) => void;
}

export interface Report {
  readonly problems: readonly string[];
  /** Checks that ran out of time. */
  readonly unknown: readonly string[];
  readonly operations: number;
}

const LEASE_CLIENTS = 3;
const LOCK_CLIENTS = 3;
const QUIETER = 4;
/** A compaction keeps so many revisions more than are needed. */
const KEPT_REVISIONS = 50;
const COMPACT_EVERY_MS = 1_500;
/** After the last fault is mended; milliseconds. */
const HEAL_DEADLINE_MS = 45_000;
const CATCH_UP_DEADLINE_MS = 30_000;
/** Longest time to live of leases, and what they may last longer. */
const LEASES_GONE_MS = 12_000;

export async function runOnce(options: RunOptions): Promise<Report> {
  const { seed, members, forMs, print } = options;
  const random = seededRandom(seed);
  const history = new History();
  const cluster = await Cluster.start({ ...options, spares: options.changes ? 1 : 0 });
  const startMs = performance.now();
  const nowMs = (): number => performance.now() - startMs;
  const driving = new AbortController();
  const watching = new AbortController();
  const context = (salt: number): DriveContext => ({ cluster, history, nowMs, signal: driving.signal, random: seededRandom(seed * 1000 + salt) });
  const log = (line: string): void => print(`${(nowMs() / 1000).toFixed(1).padStart(7)} s  ${line}`);

  const historians = Array.from({ length: members }, (_, member) => new Watcher(context(100 + member), { name: `all@m${member + 1}`, prefix: '/', member, startRevision: 1, withPrevKv: false, noDeletes: false }));
  const watchers = [
    ...historians,
    new Watcher(context(200), { name: 'all', prefix: '/', startRevision: 1, withPrevKv: true, noDeletes: false }),
    new Watcher(context(201), { name: 'registers', prefix: REGISTERS, startRevision: 0, withPrevKv: true, noDeletes: false }),
    new Watcher(context(202), { name: 'one register', prefix: `${REGISTERS}3`, startRevision: 1, withPrevKv: false, noDeletes: false }),
    new Watcher(context(203), { name: 'puts of leased keys', prefix: LEASED, startRevision: 0, withPrevKv: false, noDeletes: true }),
  ];
  const watches = watchers.map((watcher) => watcher.run(watching.signal));
  const lastSeen = new Map<string, KeyState>();
  const pauseMs = (options.clients * 1000) / options.requestsPerSecond;
  const clients = [
    ...Array.from({ length: options.clients }, (_, client) => runClient(context(client), client, lastSeen, pauseMs)),
    ...Array.from({ length: members }, (_, member) => runReader(context(600 + member), options.clients + member, member)),
    ...Array.from({ length: LEASE_CLIENTS }, (_, client) => runLeaseClient(context(300 + client))),
    ...Array.from({ length: LOCK_CLIENTS }, (_, client) => runLockClient(context(400 + client), `locker ${client}`)),
    compactNowAndThen(context(500), watchers),
  ];
  let failed: unknown;
  const changes = options.changes ? changeMembers(context(700), log) : Promise.resolve();
  const clientsDone = Promise.all([...clients, changes]).catch((error: unknown) => {
    failed = error;
    driving.abort();
  });

  while (nowMs() < forMs && failed === undefined) {
    const damage = nextDamage(random, members, options.hasFailPoints, options.faults);
    // With a member less there may be nobody to spare, and a change of members takes five quiet seconds.
    await pause(damage.afterMs * (cluster.active.length < members ? QUIETER : 1));
    await breakAndMend(cluster, damage, history.faults, nowMs, log);
    if (cluster.unexpected.length > 0) failed = new Error(cluster.unexpected[0]);
  }
  driving.abort();
  await clientsDone;
  if (failed !== undefined) {
    await cluster.stop();
    const problems = failed instanceof ChangeFailed ? [failed.message] : cluster.unexpected;
    if (problems.length === 0) throw failed;
    return { problems, unknown: [], operations: history.operations.length + history.localReads.length };
  }
  cluster.mend();
  const problems: string[] = [];
  const healedMs = nowMs();
  await cluster.healthy(HEAL_DEADLINE_MS);
  log(`whole again after ${Math.round(nowMs() - healedMs)} ms; waiting for leases to expire and watches to catch up`);
  problems.push(...await leasesGone(cluster));
  const drivenMs = nowMs();
  const { revision: lastRevision, problems: different } = await agreedState(cluster);
  problems.push(...different);
  for (const endMs = nowMs() + CATCH_UP_DEADLINE_MS; nowMs() < endMs && watchers.some(({ position, failure }) => position < lastRevision && failure === undefined);) await pause(50);
  watching.abort();
  await Promise.all(watches);
  for (const { record, position, failure } of watchers) {
    if (failure !== undefined) problems.push(`watch ${record.name}: ${failure}`);
    else if (position < lastRevision) problems.push(`watch ${record.name} stands at revision ${position}, and was not told that there is nothing more up to ${lastRevision} within ${CATCH_UP_DEADLINE_MS / 1000} s`);
  }
  problems.push(...cluster.unexpected);
  await cluster.stop();

  const { reference, problems: disagreements } = referenceFrom(historians.map(({ record }) => record), 1, lastRevision);
  const { problems: found, unknown } = checkHistory(history, reference, drivenMs, options.checkLimitMs);
  problems.push(...disagreements, ...found);
  const unanswered = history.operations.filter(({ outcome }) => outcome === undefined).length;
  print(summary(options, history, forMs / 60_000, reference, unanswered));
  if (problems.length + unknown.length > 0) {
    const path = join(options.folder, 'history.json');
    writeHistory(path, { seed, problems, unknown, endMs: drivenMs, history, reference });
    print(`the history is in ${path}, logs and data of the members beside it`);
  } else {
    cluster.remove();
  }
  return { problems, unknown, operations: history.operations.length + history.localReads.length };
}

/** Everything that can be told from what was written down. */
export function checkHistory(history: History, reference: Reference, endMs: number, checkLimitMs: number): { problems: string[]; unknown: string[] } {
  const operations = resolveUnknown(history.operations, reference.events);
  const problems = [
    ...checkAcknowledged(operations, reference), ...checkLocalReads(history.localReads, operations, reference),
    ...history.watches.flatMap((watch) => checkWatch(watch, reference)),
    ...checkLeases(history.leases, history.watches, history.faults, reference, endMs), ...checkLocks(history.holds, reference, LOCKED),
  ];
  const unknown: string[] = [];
  const limit = { timeLimitMs: checkLimitMs, nowMs: () => performance.now() };
  const judge = (what: string, verdict: Verdict<unknown, Operation>): void => {
    if (verdict.result === 'unknown') unknown.push(`${what}: not decided within ${checkLimitMs / 1000} s`);
    else if (verdict.result === 'not linearizable') {
      const beside = verdict.concurrent.slice(0, 12).map((operation) => `\n    beside it: ${describe(operation)}`).join('');
      problems.push(`${what} is not linearizable: after ${verdict.depth} operations nothing leads to ${describe(verdict.blocked)}\n    the state then: ${stateText(verdict.state)}${beside}`);
    }
  };
  for (const [key, part] of partitionByKey(operations)) judge(key, checkLinearizable(registerModel, part, limit));
  const own = new Set(reference.events.filter(({ key }) => key.startsWith(REGISTERS)).map(({ revision }) => revision));
  const isForeign = (revision: number): boolean => revision > 1 && revision <= reference.lastRevision && !own.has(revision);
  judge('the store', checkLinearizable(storeModel(1, isForeign), operations, limit));
  return { problems, unknown };
}

const stateText = (state: unknown): string => JSON.stringify(state, (name, value: unknown) => (name === 'key' ? undefined : value instanceof Map ? Object.fromEntries(value as Map<string, unknown>) : value));
const describe = ({ client, member, call, return: end, request, outcome, revisions }: Operation): string =>
  `client ${client} at m${member + 1} [${call}, ${end}] ${JSON.stringify(request)} => ${outcome === undefined ? `no answer${revisions === undefined ? '' : `, revision ${revisions.join(' or ')}`}` : JSON.stringify(outcome)}`;

async function compactNowAndThen({ cluster, history, random, signal }: DriveContext, watchers: readonly Watcher[]): Promise<void> {
  const connections = cluster.endpoints.map((endpoint) => new Connection(endpoint, cluster.clientFiles));
  for (let compacted = 0, waited = 0; !signal.aborted; waited += 100) {
    await pause(100);
    if (waited < COMPACT_EVERY_MS) continue;
    waited = 0;
    const revision = Math.min(...watchers.map(({ position }) => position)) - KEPT_REVISIONS;
    if (revision <= compacted) continue;
    const connection = connections[Math.floor(random.fraction() * connections.length)] as Connection;
    await connection.call(kvService.Compact, { revision, physical: random.fraction() < 0.5 }, 3_000).then(() => {
      history.count('compaction');
      compacted = revision;
    }, () => history.count('compaction, without an answer'));
  }
  for (const connection of connections) connection.close();
}

/** Nobody renews them any more. */
async function leasesGone(cluster: Cluster): Promise<string[]> {
  const connection = new Connection(cluster.endpoints[cluster.active[0] as number] as string, cluster.clientFiles);
  let left: string[] = [];
  for (const endMs = Date.now() + LEASES_GONE_MS; Date.now() < endMs; await pause(200)) {
    const keys = await Promise.all([LEASED, LOCKS].map((prefix) => connection.call<object, RangeResponse>(kvService.Range, { key: prefix, rangeEnd: `${prefix.slice(0, -1)}0`, keysOnly: true }, 5_000)));
    left = keys.flatMap(({ kvs }) => kvs.map(({ key }) => Buffer.from(key).toString()));
    if (left.length === 0) break;
  }
  connection.close();
  return left.length === 0 ? [] : [`${left.length} keys outlive their leases, which nobody renewed for ${LEASES_GONE_MS / 1000} s: ${left.slice(0, 5).join(', ')}`];
}

/** All members have the same revision and the same content. */
async function agreedState(cluster: Cluster): Promise<{ revision: number; problems: string[] }> {
  const connections = cluster.active.map((member) => new Connection(cluster.endpoints[member] as string, cluster.clientFiles));
  const revisions = await Promise.all(connections.map((connection) => connection.call<object, RangeResponse>(kvService.Range, { key: 'x' }, 5_000).then(({ header }) => header?.revision ?? 0)));
  const hashes = await Promise.all(connections.map((connection) => connection.call(maintenanceService.HashKV, { revision: Math.min(...revisions) }, 5_000)));
  for (const connection of connections) connection.close();
  const problems: string[] = [];
  const told = hashes.map(({ hash, compactRevision }, member) => `m${member + 1}: revision ${revisions[member]}, hash ${hash} since ${compactRevision}`);
  if (new Set(revisions).size > 1 || new Set(hashes.map(({ hash, compactRevision }) => `${hash} ${compactRevision}`)).size > 1) problems.push(`members have different contents: ${told.join('; ')}`);
  return { revision: Math.max(...revisions), problems };
}

function summary({ seed, members, clients }: RunOptions, history: History, minutes: number, reference: Reference, unanswered: number): string {
  const faults = new Map<string, number>();
  for (const { what } of history.faults) faults.set(what.split(' ')[0] as string, (faults.get(what.split(' ')[0] as string) ?? 0) + 1);
  const list = (counts: Iterable<readonly [string, number]>): string => [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `${count} ${name}`).join(', ');
  const events = history.watches.flatMap(({ streams }) => streams.map(({ messages }) => messages.reduce((sum, message) => sum + message.events.length, 0))).reduce((sum, count) => sum + count, 0);
  const isError = (name: string): boolean => name.startsWith('error: ');
  return [
    `seed ${seed}: ${members} member${members === 1 ? '' : 's'}, ${clients} clients, ${minutes.toFixed(1)} minutes`,
    `operations: ${history.operations.length} (${unanswered} without an answer), reads from any member: ${history.localReads.length}; revisions: ${reference.lastRevision}`,
    `faults: ${history.faults.length} (${list(faults)})`,
    `watches: ${history.watches.length}, streams: ${history.watches.reduce((sum, { streams }) => sum + streams.length, 0)}, events told: ${events}; leases: ${history.leases.length}; locks held: ${history.holds.length}`,
    `requests: ${list([...history.counts].filter(([name]) => !isError(name) && !name.startsWith('watch')))}`,
    `errors: ${list([...history.counts].filter(([name]) => isError(name)).map(([name, count]) => [name.slice(7), count] as const))}`,
  ].join('\n');
}
