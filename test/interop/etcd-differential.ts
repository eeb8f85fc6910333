// `npm run interop:etcd`: sends the same random requests to our etcd and to a real one, and compares the answers, errors
// and watch events. Needs a real etcd of 3.6: `--etcd=PATH`, else `etcd` of the PATH. (Debian's etcd-server is 3.4: it does
// not tell the revision of a hash, and stops the comparison there.) `--seeds=N`, `--seed=N` for one seed, `--steps=N`.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, credentials, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { Event, WatchResponse } from '#lib/etcd-api/messages.ts';
import { kvService, leaseService, maintenanceService, watchService, type EtcdMethod } from '#lib/etcd-api/services.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { freePorts } from '#lib/testing/free-ports.ts';
import { RequestMaker, type RandomRequest } from './etcd-requests.ts';

const WATCHES = 6;
/** The number of one that is cancelled by a compaction. */
const CANCELLED_WATCH = 200;
const DEADLINE_MS = 10_000;
type AnyMethod = EtcdMethod<unknown, unknown, unknown, never>;
const methods: Readonly<Record<RandomRequest['type'], AnyMethod>> = {
  range: kvService.Range, put: kvService.Put, deleteRange: kvService.DeleteRange, txn: kvService.Txn, compact: kvService.Compact,
  leaseGrant: leaseService.LeaseGrant, leaseRevoke: leaseService.LeaseRevoke, leaseTimeToLive: leaseService.LeaseTimeToLive,
  leaseLeases: leaseService.LeaseLeases, hashKV: maintenanceService.HashKV,
} as unknown as Record<RandomRequest['type'], AnyMethod>;

/** One etcd process with a client and one watch stream. */
class Side {
  readonly name: string;
  private readonly client: Client;
  private readonly stream: ClientDuplexStream<unknown, unknown>;
  /** What each watch was told, in order; how events are put into responses is up to the server. */
  readonly told = new Map<number, string[]>();
  private created = 0;
  private progress = -1;
  private wake: () => void = () => undefined;

  constructor(name: string, address: string) {
    this.name = name;
    this.client = new Client(address, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = watchService.Watch;
    this.stream = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize) as ClientDuplexStream<unknown, unknown>;
    this.stream.on('data', (response: WatchResponse) => this.receive(response)).on('error', () => undefined);
  }

  call({ type, request }: RandomRequest): Promise<unknown> {
    const { path, requestSerialize, responseDeserialize } = methods[type];
    return new Promise((resolve) => {
      this.client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline: Date.now() + DEADLINE_MS }, (error: ServiceError | null, response?: unknown) =>
        resolve(error === null ? comparable(type, response) : { code: status[error.code], text: error.details }));
    });
  }

  watch(create: object): void {
    this.stream.write({ createRequest: create });
  }

  cancel(watchId: number): void {
    this.stream.write({ cancelRequest: { watchId } });
  }

  private receive({ watchId, created, canceled, compactRevision, cancelReason, events, header }: WatchResponse): void {
    const list = this.told.get(watchId) ?? [];
    this.told.set(watchId, list);
    if (created) {
      this.created += 1;
      list.push(`created${canceled ? ` and canceled: ${cancelReason}` : ''}`);
    } else if (canceled) list.push(`canceled, compacted ${compactRevision}: ${cancelReason}`);
    for (const event of events) list.push(describe(event));
    if (watchId === -1 && !created && !canceled) this.progress = header?.revision ?? 0;
    this.wake();
  }

  async untilCreated(count: number): Promise<void> {
    await this.until(() => this.created >= count);
  }

  /** Everything up to `revision` has been told. */
  async untilToldOf(revision: number): Promise<void> {
    this.progress = -1;
    const asking = setInterval(() => this.stream.write({ progressRequest: {} }), 50);
    this.stream.write({ progressRequest: {} });
    await this.until(() => this.progress >= revision).finally(() => clearInterval(asking));
  }

  /** The watch has been told so much: events, and that it was made or cancelled. */
  async untilToldOnce(watchId: number, count: number): Promise<void> {
    await this.until(() => (this.told.get(watchId)?.length ?? 0) >= count);
  }

  private async until(holds: () => boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`${this.name} does not answer on its watch stream, which told: ${JSON.stringify([...this.told].map(([id, list]) => [id, list.filter((text) => text.startsWith('c'))]))}`);
      await Promise.race([new Promise<void>((resolve) => { this.wake = resolve; }), new Promise((resolve) => setTimeout(resolve, 100))]);
    }
  }

  close(): void {
    this.stream.cancel();
    this.client.close();
  }
}

const describe = ({ type, kv, prevKv }: Event): string =>
  `${type} ${kv?.key.toString('latin1')}=${kv?.value.toString()} mod ${kv?.modRevision} create ${kv?.createRevision} version ${kv?.version} lease ${kv?.lease}${prevKv ? ` was ${prevKv.value.toString()} mod ${prevKv.modRevision}` : ''}`;

/** Without what differs by nature: who answers, what time it is, in which order leases expire. */
function comparable(type: RandomRequest['type'], response: unknown): unknown {
  const plain = JSON.parse(JSON.stringify(response, (name, value: unknown) => {
    if (['clusterId', 'memberId', 'raftTerm'].includes(name)) return undefined;
    return typeof value === 'bigint' ? value.toString() : value;
  })) as { TTL?: number; leases?: { ID: string }[]; keys?: unknown[]; hash?: number };
  if (type === 'leaseTimeToLive') delete plain.TTL;
  plain.leases?.sort((a, b) => a.ID.localeCompare(b.ID));
  plain.keys?.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
  return plain;
}

async function startEtcd(command: readonly string[], folder: string): Promise<{ address: string; process: ChildProcess }> {
  const [client, peer] = await freePorts(2);
  const [program = '', ...words] = command;
  const child = spawn(program, [...words,
    `--data-dir=${folder}`, `--listen-client-urls=http://127.0.0.1:${client}`, `--advertise-client-urls=http://127.0.0.1:${client}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`, `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`, `--initial-cluster=default=http://127.0.0.1:${peer}`,
  ], { stdio: 'ignore' });
  await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => { throw error; })]);
  const address = `127.0.0.1:${client}`;
  for (const deadline = Date.now() + 20_000; ;) {
    const answer = await fetch(`http://${address}/health`).then((response) => response.ok, () => false);
    if (answer) return { address, process: child };
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill();
      throw new Error(`${program} does not serve`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function compareSeed(seed: number, steps: number, real: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'etcd-differential-'));
  const ours = fileURLToPath(new URL('../../services/etcd/main.ts', import.meta.url));
  const started = await Promise.allSettled([startEtcd([process.execPath, '--import', 'tsx', ours], join(folder, 'ours')), startEtcd([real], join(folder, 'real'))]);
  const servers = started.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  for (const outcome of started) {
    if (outcome.status === 'fulfilled') continue;
    servers.forEach((server) => server.process.kill());
    throw outcome.reason;
  }
  const sides = [new Side('ours', servers[0]?.address ?? ''), new Side('the real one', servers[1]?.address ?? '')] as const;
  try {
    const maker = new RequestMaker(seededRandom(seed));
    let watches = 1; // there is always one, or nobody would tell of progress
    for (const side of sides) side.watch({ key: '\0', rangeEnd: '\0', watchId: 100 });
    for (let step = 0; step < steps; step += 1) {
      const note = `seed ${seed}, step ${step}`;
      if (step % Math.ceil(steps / WATCHES) === 10) {
        const create = maker.watch();
        watches += 1;
        for (const side of sides) side.watch(create);
        await Promise.all(sides.map((side) => side.untilCreated(watches)));
        // One that has still to catch up could be overtaken by a compaction on one side only.
        if ((create.startRevision ?? 0) <= maker.revision) {
          // Of a new revision: a late answer to an earlier question must not be taken for one that includes this watch.
          await advance(sides, maker);
          await Promise.all(sides.map((side) => side.untilToldOf(maker.revision)));
        }
      }
      const request = maker.next();
      const [mine, theirs] = await Promise.all(sides.map((side) => side.call(request)));
      assert.deepEqual(mine, theirs, `${note}: ${request.type} ${show(request.request)}`);
      if (request.type === 'compact' && 'header' in (mine as object)) maker.compacted = request.request.revision;
      maker.revision = (mine as { header?: { revision: number } }).header?.revision ?? maker.revision;
      if (step % 100 === 99) {
        await Promise.all(sides.map((side) => side.untilToldOf(maker.revision)));
        assert.deepEqual(Object.fromEntries(sides[0].told), Object.fromEntries(sides[1].told), note);
        const watchId = maker.watchIdToCancel();
        for (const side of sides) side.cancel(watchId);
      }
    }
    await compareCancelledByCompaction(sides, maker, seed);
  } finally {
    sides.forEach((side) => side.close());
    for (const { process: child } of servers) {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
    }
    rmSync(folder, { recursive: true });
  }
}

async function advance(sides: readonly Side[], maker: RequestMaker): Promise<void> {
  const [answer] = await Promise.all(sides.map((side) => side.call({ type: 'put', request: { key: '~', value: 'v' } })));
  maker.revision = (answer as { header: { revision: number } }).header.revision;
}

/** A watch that a compaction cancelled: its number is taken until it is cancelled by its client, too, and only then progress is told again. */
async function compareCancelledByCompaction(sides: readonly [Side, Side], maker: RequestMaker, seed: number): Promise<void> {
  await advance(sides, maker);
  await Promise.all(sides.map((side) => side.untilToldOf(maker.revision)));
  await Promise.all(sides.map((side) => side.call({ type: 'compact', request: { revision: maker.revision, physical: true } })));
  const create = { key: '~', startRevision: maker.revision - 1, watchId: CANCELLED_WATCH };
  for (const side of sides) side.watch(create);
  await Promise.all(sides.map((side) => side.untilToldOnce(CANCELLED_WATCH, 2)));
  for (const side of sides) side.watch(create);
  await Promise.all(sides.map((side) => side.untilToldOnce(-1, 1)));
  for (const side of sides) side.cancel(CANCELLED_WATCH);
  await Promise.all(sides.map((side) => side.untilToldOnce(CANCELLED_WATCH, 3)));
  await advance(sides, maker);
  await Promise.all(sides.map((side) => side.untilToldOf(maker.revision)));
  assert.deepEqual(Object.fromEntries(sides[0].told), Object.fromEntries(sides[1].told), `seed ${seed}: a watch cancelled by a compaction`);
}

const show = (request: unknown): string =>
  JSON.stringify(request, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : isBuffer(value) ? Buffer.from(value.data).toString('latin1') : value));
const isBuffer = (value: unknown): value is { type: 'Buffer'; data: number[] } => typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';

const { values } = parseArgs({ options: { etcd: { type: 'string', default: 'etcd' }, seeds: { type: 'string', default: '5' }, seed: { type: 'string' }, steps: { type: 'string', default: '1500' } } });
const seeds = values.seed !== undefined ? [Number(values.seed)] : Array.from({ length: Number(values.seeds) }, (_, at) => at + 1);
for (const seed of seeds) {
  await compareSeed(seed, Number(values.steps), values.etcd).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw new Error(`there is no program ${values.etcd}: install an etcd 3.6, or name it with --etcd=PATH`, { cause: error });
    throw error;
  });
  process.stdout.write(`seed ${seed}: ${values.steps} requests, the same answers\n`);
}
