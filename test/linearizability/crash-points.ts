// A member is killed at each place where it writes, with what was not synced lost as in a power cut, and started again: it must hold
// every write that was acknowledged, each transaction as a whole, and nothing that nobody asked for.
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { connectToEtcd, prefixEnd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { integerBelow, type Random } from '#lib/environment/random.ts';

export interface CrashOptions {
  readonly program: readonly string[];
  readonly dataDir: string;
  readonly random: Random;
  readonly print: (line: string) => void;
}

/** A place, and the terms that end the process there; `{n}` is how often it is passed before. */
export const CRASHES: readonly { readonly terms: string; readonly most: number; readonly valueBytes?: number }[] = [
  { terms: 'walBeforeWrite={n}*off->panic', most: 40 },
  { terms: 'walBeforeWrite={n}*off->tear(5)', most: 40 },
  { terms: 'walBeforeWrite={n}*off->tear(50)', most: 40 },
  { terms: 'walBeforeWrite={n}*off->tear(95)', most: 40 },
  { terms: 'walAfterWrite={n}*off->panic', most: 40 },
  { terms: 'walBeforeSync={n}*off->panic', most: 40 },
  { terms: 'walAfterSync={n}*off->panic', most: 40 },
  { terms: 'raftBeforeSave={n}*off->panic', most: 40 },
  { terms: 'raftAfterSave={n}*off->panic', most: 40 },
  { terms: 'raftBeforeAdvance={n}*off->panic', most: 40 },
  { terms: 'beforeApplyOneEntryNormal={n}*off->panic', most: 40 },
  { terms: 'beforeCommit={n}*off->panic', most: 3 },
  { terms: 'afterCommit={n}*off->panic', most: 3 },
  // A segment is ended with a snapshot once it has 4 MiB.
  { terms: 'walBeforeCut={n}*off->panic', most: 1, valueBytes: 100_000 },
  { terms: 'walAfterCut={n}*off->panic', most: 1, valueBytes: 100_000 },
];

const WRITERS = 6;
/** A place that is not passed by then is missing. */
const DEADLINE_MS = 60_000;
const FLAGS = ['--listen-client-urls=http://127.0.0.1:0', '--snapshot-count=30', '--snapshot-catchup-entries=20', '--max-request-bytes=4194304'];
const ALONE = ['--name=crash', '--listen-peer-urls=http://127.0.0.1:0'];

interface Writer { readonly key: string; acknowledged: number; attempted: number; revision: number }

interface Running {
  readonly child: ChildProcess;
  readonly etcd: EtcdClient;
  readonly ended: Promise<string>;
}

async function start({ program, dataDir }: Pick<CrashOptions, 'program' | 'dataDir'>, terms: string, flags: readonly string[] = ALONE): Promise<Running | { readonly endedWith: string }> {
  const [command = '', ...args] = program;
  const child = spawn(command, [...args, '--log-outputs=stdout', ...FLAGS, ...flags, `--data-dir=${dataDir}`], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, GOFAIL_FAILPOINTS: terms } });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => { errors += text.toString(); });
  const ended = new Promise<string>((resolve) => child.once('close', (code, signal) => resolve(`${signal ?? code} ${errors.trim()}`)));
  const url = await new Promise<string | undefined>((resolve) => {
    void ended.then(() => resolve(undefined));
    createInterface(child.stdout).on('line', (line) => {
      const { msg, urls } = JSON.parse(line) as { msg: string; urls?: string[] };
      if (msg === 'ready to serve client requests') resolve(urls?.[0]);
    });
  });
  return url === undefined ? { endedWith: await ended } : { child, ended, etcd: connectToEtcd({ endpoints: [url] }) };
}

async function countUp(etcd: EtcdClient, writer: Writer, padding: string, ended: () => boolean): Promise<void> {
  while (!ended()) {
    writer.attempted += 1;
    const value = `${writer.attempted} ${padding}`;
    try {
      const { header } = await etcd.txn({ success: [{ requestPut: { key: `/count/${writer.key}`, value } }, { requestPut: { key: `/twin/${writer.key}`, value } }] }, { timeoutMs: 3_000 });
      writer.acknowledged = writer.attempted;
      writer.revision = header?.revision ?? 0;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
    }
  }
}

async function counts(etcd: EtcdClient, prefix: string): Promise<Map<string, { value: number; modRevision: number }>> {
  const { kvs } = await etcd.range({ key: prefix, rangeEnd: prefixEnd(prefix) });
  return new Map(kvs.map(({ key, value, modRevision }) => [key.toString().slice(prefix.length), { value: Number.parseInt(value.toString(), 10), modRevision }]));
}

/** What is there, against what was acknowledged and what was asked for. */
async function verify(etcd: EtcdClient, writers: readonly Writer[]): Promise<string[]> {
  const [found, twins] = [await counts(etcd, '/count/'), await counts(etcd, '/twin/')];
  const { header } = await etcd.status();
  const revision = header?.revision ?? 0;
  return writers.flatMap((writer) => {
    const { key, acknowledged, attempted, revision: told } = writer;
    const { value, modRevision } = found.get(key) ?? { value: 0, modRevision: 0 };
    const problems: string[] = [];
    if (value < acknowledged || value > attempted) problems.push(`writer ${key} finds ${value}, which is not within ${acknowledged} (acknowledged) and ${attempted} (asked for)`);
    if (JSON.stringify(twins.get(key)) !== JSON.stringify(found.get(key))) problems.push(`writer ${key} finds half of a transaction`);
    if (value === acknowledged && modRevision !== told && acknowledged > 0) problems.push(`writer ${key} was told revision ${told}, and finds ${modRevision}`);
    if (revision < told) problems.push(`writer ${key} was told revision ${told}, and the store is at ${revision}`);
    writer.acknowledged = writer.attempted = value;
    writer.revision = modRevision;
    return problems;
  });
}

/** `rounds` times every crash; what was found wrong, and how many writes were acknowledged. */
export async function runCrashPoints(options: CrashOptions, rounds: number): Promise<{ problems: string[]; crashes: number; acknowledged: number }> {
  const { random, print } = options;
  const writers = Array.from({ length: WRITERS }, (_, at): Writer => ({ key: String(at), acknowledged: 0, attempted: 0, revision: 0 }));
  const problems: string[] = [];
  let crashes = 0;
  let total = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const { terms, most, valueBytes = 100 } of CRASHES) {
      const at = terms.replace('{n}', String(integerBelow(random, most)));
      const before = writers.map(({ acknowledged }) => acknowledged);
      const running = await start(options, `walKeepUnsynced=return;${at}`);
      if ('etcd' in running) {
        let isOver = false;
        const deadline = setTimeout(() => {
          problems.push(`${at}: not passed within ${DEADLINE_MS / 1000} s`);
          running.child.kill('SIGKILL');
        }, DEADLINE_MS);
        void running.ended.then(() => { isOver = true; });
        await Promise.all(writers.map((writer) => countUp(running.etcd, writer, 'x'.repeat(valueBytes), () => isOver)));
        const how = await running.ended;
        clearTimeout(deadline);
        if (how !== 'SIGKILL ') problems.push(`${at}: the member ended with ${how}`);
        running.etcd.close();
      }
      crashes += 1;
      const acknowledged = writers.reduce((sum, writer, index) => sum + writer.acknowledged - (before[index] ?? 0), 0);
      total += acknowledged;
      const again = await start(options, 'walKeepUnsynced=return');
      if ('endedWith' in again) return { problems: [...problems, `${at}: the member does not start again: ${again.endedWith}`], crashes, acknowledged: total };
      const found = await verify(again.etcd, writers);
      problems.push(...found.map((problem) => `${at}: ${problem}`));
      print(`${at}: ${'etcd' in running ? `${acknowledged} writes acknowledged before` : 'ended while it started'}, ${found.length === 0 ? 'all there' : `FOUND: ${found.join('; ')}`}`);
      again.etcd.close();
      again.child.kill('SIGKILL');
      await again.ended;
    }
  }
  return { problems, crashes, acknowledged: total };
}

const SNAPSHOT_CRASHES = ['walAfterSync', 'raftBeforeSaveSnap', 'raftAfterSaveSnap', 'raftBeforeApplySnap', 'raftAfterWALRelease', 'raftAfterApplySnap'].map((place) => `${place}=panic`);
/** More than what is kept for members that are behind, many at once. */
const MISSED_WRITES = 700;
const WRITES_AT_ONCE = 50;
const CATCH_UP_DEADLINE_MS = 30_000;

/**
 * A member that was away so long that it has to be sent a snapshot is killed while it takes that; then it has to catch up all the
 * same. A cluster for each time, as entries are kept for a while after a snapshot was sent.
 */
export async function runSnapshotCrashes(options: CrashOptions): Promise<string[]> {
  const problems: string[] = [];
  for (const [at, terms] of SNAPSHOT_CRASHES.entries()) problems.push(...await crashWhileCatchingUp({ ...options, dataDir: `${options.dataDir}-${at}` }, terms));
  return problems;
}

async function crashWhileCatchingUp({ program, dataDir, print }: CrashOptions, terms: string): Promise<string[]> {
  const peers = await freePeerUrls(3);
  const cluster = `--initial-cluster=${peers.map((url, at) => `m${at + 1}=${url}`).join()}`;
  const all: Running[] = [];
  const run = async (at: number, failing = ''): Promise<Running> => {
    const flags = [`--name=m${at + 1}`, `--listen-peer-urls=${peers[at]}`, `--initial-advertise-peer-urls=${peers[at]}`, cluster];
    const member = await start({ program, dataDir: `${dataDir}-m${at + 1}` }, `walKeepUnsynced=return;${failing}`, flags);
    if ('endedWith' in member) throw new Error(`m${at + 1} does not start: ${member.endedWith}`);
    all.push(member);
    return member;
  };
  const end = async ({ etcd, child, ended }: Running): Promise<void> => {
    etcd.close();
    child.kill('SIGKILL');
    await ended;
  };
  const problems: string[] = [];
  try {
    const [first, , late] = await Promise.all([run(0), run(1), run(2)]);
    await end(late);
    for (let write = 0; write < MISSED_WRITES; write += WRITES_AT_ONCE) {
      await Promise.all(Array.from({ length: WRITES_AT_ONCE }, (_, at) => putAgain(first.etcd, `/missed/${at}`, String(write))));
    }
    const crashing = await run(2, terms).catch((error: unknown) => {
      if (!String(error).includes('SIGKILL')) throw error;
      return undefined; // it did not even get so far as to serve
    });
    const outcome = await Promise.race([crashing?.ended, new Promise<string>((resolve) => setTimeout(resolve, CATCH_UP_DEADLINE_MS, 'none').unref())]);
    if (outcome === 'none') problems.push(`${terms}: not passed while a snapshot was taken`);
    if (crashing !== undefined) await end(crashing);
    const again = await run(2);
    const caughtUp = await untilSame(first.etcd, again.etcd, await putAgain(first.etcd, '/missed/last', terms));
    if (!caughtUp) problems.push(`${terms}: the member did not catch up within ${CATCH_UP_DEADLINE_MS / 1000} s`);
    print(`${terms} while a snapshot is taken: ${caughtUp ? 'it caught up' : 'FOUND: it did not catch up'}`);
  } finally {
    await Promise.all(all.map(end));
  }
  return problems;
}

/** The one that was killed may have led. Resolves with the revision. */
async function putAgain(etcd: EtcdClient, key: string, value: string): Promise<number> {
  for (let left = 5; ; left -= 1) {
    try {
      return (await etcd.put({ key, value })).header?.revision ?? 0;
    } catch (error) {
      if (!(error instanceof EtcdError) || left === 0) throw error;
    }
  }
}

async function untilSame(one: EtcdClient, other: EtcdClient, revision: number): Promise<boolean> {
  const content = async (etcd: EtcdClient): Promise<string> => JSON.stringify((await etcd.range({ key: '/', rangeEnd: '0', serializable: true })).kvs, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  for (const endMs = Date.now() + CATCH_UP_DEADLINE_MS; Date.now() < endMs; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const { header } = await other.range({ key: '/none', serializable: true });
    if ((header?.revision ?? 0) >= revision) return (await content(one)) === (await content(other));
  }
  return false;
}

async function freePeerUrls(count: number): Promise<string[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise<ReturnType<typeof createServer>>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  })));
  const urls = servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return urls;
}
