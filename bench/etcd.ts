// Our etcd and the real one, in turn on this machine with the same clients: `npm run bench:etcd`. Prints a table in Markdown.
// Each load gets a new process with an empty data folder. The client runs beside it, on the same processors.
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { kvService } from '#lib/etcd-api/services.ts';
import { LeanClient } from './etcd-client.ts';

const { values: options } = parseArgs({
  options: {
    'etcd': { type: 'string', default: 'etcd' }, // the real one
    'dir': { type: 'string', default: tmpdir() }, // on the disk to be measured
    'loads': { type: 'string', default: 's,m,l' }, // of etcdctl check perf; a minute each
    'clients': { type: 'string', default: '1,64,256' },
    'members': { type: 'string', default: '1' }, // of the mixed loads; 3: a cluster
    'bulk-keys': { type: 'string', default: '1000000' }, // of 1 KiB, for the load `bulk`, which is not among the usual ones: filling takes minutes
    'seconds': { type: 'string', default: '10' }, // of each round of a mixed load
    'rounds': { type: 'string', default: '3' }, // of the mixed loads, the two in turn; the median of each figure counts
  },
});
const OURS = fileURLToPath(new URL('../dist/etcd.js', import.meta.url));
/** As the cluster starts it (images/layers/cluster/usr/local/bin/etcd). */
const LEAN = { NODE_OPTIONS: '--max-semi-space-size=4', MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' };
const TICKS_PER_SECOND = 100;
const KEYS = 10_000;
const VALUE_BYTES = 1024;
const WARM_UP_MS = 2_000;
const START_DEADLINE_MS = 30_000;
const HEALTH_EVERY_MS = 100;
/** Clients that fill the store for `bulk`. */
const FILLERS = 64;

interface Figures {
  readonly perSecond: number;
  readonly p50Ms?: number;
  readonly p99Ms: number;
  /** Of the server, for one call. */
  readonly cpuMicros: number;
  readonly rssMiB: number;
  readonly pssMiB: number;
}

interface Server {
  readonly name: 'ours' | 'etcd';
  readonly command: readonly string[];
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

interface Process {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly flags: readonly string[];
}

/** A member, or several that form a cluster. */
class Running {
  readonly ports: readonly number[];
  private readonly server: Server;
  private readonly folder: string;
  private processes: readonly Process[];

  private constructor(server: Server, folder: string, ports: readonly number[], processes: readonly Process[]) {
    this.server = server;
    this.folder = folder;
    this.ports = ports;
    this.processes = processes;
  }

  static async start(server: Server, members = 1): Promise<Running> {
    const folder = mkdtempSync(join(options.dir, 'bench-etcd-'));
    const addresses: { readonly port: number; readonly client: string; readonly peer: string }[] = [];
    for (let member = 0; member < members; member += 1) {
      const port = await freePort();
      addresses.push({ port, client: `http://127.0.0.1:${port}`, peer: `http://127.0.0.1:${await freePort()}` });
    }
    const initialCluster = addresses.map(({ peer }, at) => `bench${at}=${peer}`).join();
    const processes = addresses.map(({ client, peer }, at) => spawnServer(server, [
      '--data-dir', join(folder, String(at)), '--name', `bench${at}`, '--listen-client-urls', client, '--advertise-client-urls', client,
      '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', initialCluster, '--quota-backend-bytes', '8589934592',
    ]));
    const running = new Running(server, folder, addresses.map(({ port }) => port), processes);
    await running.healthy();
    return running;
  }

  get port(): number {
    return this.ports[0] as number;
  }

  private async healthy(): Promise<void> {
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    for (const port of this.ports) {
      while (spawnSync('etcdctl', ['--endpoints', `http://127.0.0.1:${port}`, 'endpoint', 'health'], { env: { ...process.env, ETCDCTL_API: '3' } }).status !== 0) {
        if (this.processes.some(({ child }) => child.exitCode !== null) || performance.now() > deadlineMs) throw new Error(`${this.server.name} does not start`);
        await sleep(HEALTH_EVERY_MS);
      }
    }
  }

  /** Ends it in an orderly way, starts it on its data, and returns the seconds until it answers a read. */
  async restart(): Promise<number> {
    await this.end();
    const startMs = performance.now();
    this.processes = this.processes.map(({ flags }) => spawnServer(this.server, flags));
    for (;;) {
      const answered = await LeanClient.open(this.port).then(async (client) => {
        await client.call(kvService.Range, { key: 'x' });
        client.close();
        return true;
      }).catch(() => false);
      if (answered) return (performance.now() - startMs) / 1000;
      if (this.processes.some(({ child }) => child.exitCode !== null)) throw new Error(`${this.server.name} does not start again`);
      await sleep(HEALTH_EVERY_MS);
    }
  }

  /** User and system time of all threads so far. */
  cpuMicros(): number {
    return this.processes.reduce((sum, { pid }) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return sum + ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
    }, 0);
  }

  memory(): { rssMiB: number; pssMiB: number } {
    const rollups = this.processes.map(({ pid }) => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    const mebibytes = (name: string): number => rollups.reduce((sum, rollup) => sum + Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) / 1024, 0);
    return { rssMiB: mebibytes('Rss'), pssMiB: mebibytes('Pss') };
  }

  private async end(): Promise<void> {
    await Promise.all(this.processes.map(async ({ child }) => {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    }));
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.folder, { recursive: true });
  }
}

function spawnServer({ name, command: [program = '', ...args] }: Server, flags: readonly string[]): Process {
  const child = spawn(program, [...args, ...flags], { stdio: 'ignore', env: { ...process.env, ...(name === 'ours' ? LEAN : {}) } });
  return { child, pid: child.pid ?? 0, flags };
}

/** As etcdctl's own verdict has it: throughput, and the slowest request in place of a percentile. */
async function checkPerf(running: Running, load: string): Promise<Figures> {
  const before = running.cpuMicros();
  const check = spawn('etcdctl', ['--endpoints', `http://127.0.0.1:${running.port}`, 'check', 'perf', `--load=${load}`], { env: { ...process.env, ETCDCTL_API: '3' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  check.stdout.on('data', (text) => { output += String(text); });
  check.stderr.on('data', (text) => { output += String(text); });
  await once(check, 'exit');
  const perSecond = Number(/Throughput (?:is|too low:) (\d+) writes\/s/.exec(output)?.[1]);
  const slowestS = Number(/Slowest request took(?: too long:)? ([\d.]+)s/.exec(output)?.[1]);
  if (Number.isNaN(perSecond)) throw new Error(`etcdctl check perf: ${output.slice(-500)}`);
  return { perSecond, p99Ms: slowestS * 1000, cpuMicros: (running.cpuMicros() - before) / (perSecond * 60), ...running.memory() };
}

/** Half puts, four in ten reads of one key, one in ten transactions that compare and put; each client waits for its answer. */
async function mixed(running: Running, clients: number): Promise<Figures> {
  const value = Buffer.alloc(VALUE_BYTES, 'v');
  const latencies: number[] = [];
  let isMeasuring = false;
  let isDone = false;
  const keyAt = (): string => `/bench/${Math.floor(Math.random() * KEYS)}`;
  const run = async (_: unknown, at: number): Promise<void> => {
    const client = await LeanClient.open(running.ports[at % running.ports.length] as number);
    while (!isDone) {
      const startMs = performance.now();
      const dice = Math.random();
      const key = keyAt();
      if (dice < 0.5) await client.call(kvService.Put, { key, value });
      else if (dice < 0.9) await client.call(kvService.Range, { key });
      else {
        await client.call(kvService.Txn, {
          compare: [{ target: 'VERSION', result: 'GREATER', key, version: 0 }],
          success: [{ requestPut: { key, value } }], failure: [{ requestPut: { key, value } }],
        });
      }
      if (isMeasuring) latencies.push(performance.now() - startMs);
    }
    client.close();
  };
  const runs = Promise.all(Array.from({ length: clients }).map(run));
  await sleep(WARM_UP_MS);
  const [before, startMs] = [running.cpuMicros(), performance.now()];
  isMeasuring = true;
  await sleep(Number(options.seconds) * 1000);
  isMeasuring = false;
  const [elapsedMs, used] = [performance.now() - startMs, running.cpuMicros() - before];
  const memory = running.memory();
  isDone = true;
  await runs;
  latencies.sort((a, b) => a - b);
  const quantile = (fraction: number): number => latencies[Math.floor(fraction * (latencies.length - 1))] ?? NaN;
  return { perSecond: latencies.length / (elapsedMs / 1000), p50Ms: quantile(0.5), p99Ms: quantile(0.99), cpuMicros: used / latencies.length, ...memory };
}

/** Fills the store, and starts it again. Calls and latencies are those of filling it, memory is that after the start, and what the start took is printed. */
async function bulk(running: Running): Promise<Figures> {
  const keys = Number(options['bulk-keys']);
  const value = Buffer.alloc(VALUE_BYTES, 'v');
  const latencies: number[] = [];
  let next = 0;
  const [before, startMs] = [running.cpuMicros(), performance.now()];
  await Promise.all(Array.from({ length: FILLERS }).map(async () => {
    const client = await LeanClient.open(running.port);
    while (next < keys) {
      const key = `/bulk/${String(next++).padStart(8, '0')}`;
      const callMs = performance.now();
      await client.call(kvService.Put, { key, value });
      latencies.push(performance.now() - callMs);
    }
    client.close();
  }));
  const elapsedS = (performance.now() - startMs) / 1000;
  const cpuMicros = (running.cpuMicros() - before) / keys;
  const filled = running.memory();
  const startS = await running.restart();
  latencies.sort((a, b) => a - b);
  const quantile = (fraction: number): number => latencies[Math.floor(fraction * (latencies.length - 1))] ?? NaN;
  console.error(`${keys} keys: started again within ${startS.toFixed(1)} s; ${filled.pssMiB.toFixed(0)} MiB (PSS) when they were in, ${running.memory().pssMiB.toFixed(0)} after the start`);
  return { perSecond: keys / elapsedS, p50Ms: quantile(0.5), p99Ms: quantile(0.99), cpuMicros, ...running.memory() };
}

function hasProgram(name: string): boolean {
  try {
    execFileSync(name, [name === 'etcdctl' ? 'version' : '--version'], { stdio: 'ignore', env: { ...process.env, ETCDCTL_API: '3' } });
    return true;
  } catch {
    return false;
  }
}

const missing = [['etcdctl', 'etcd-client'], [options.etcd, 'etcd-server']].filter(([program = '']) => !hasProgram(program));
if (missing.length > 0 || !existsSync(OURS)) {
  for (const [program, debianPackage] of missing) console.error(`${program} is missing: apt-get install ${debianPackage}`);
  if (!existsSync(OURS)) console.error('dist/etcd.js is missing: npm run build');
  process.exit(1);
}

const servers: readonly Server[] = [{ name: 'ours', command: [process.execPath, OURS] }, { name: 'etcd', command: [options.etcd] }];
interface Load {
  readonly name: string;
  readonly rounds: number;
  readonly members?: number;
  readonly measure: (running: Running) => Promise<Figures>;
}
const listOf = (text: string): string[] => text.split(',').filter(Boolean);
const loads: readonly Load[] = [
  ...listOf(options.loads).map((load) => (load === 'bulk' ? { name: `${options['bulk-keys']} keys`, rounds: 1, measure: bulk } : { name: `check perf, load ${load}`, rounds: 1, measure: (running: Running) => checkPerf(running, load) })),
  ...listOf(options.clients).map((count) => ({ name: `mixed, ${count} clients${options.members === '1' ? '' : `, ${options.members} members`}`, members: Number(options.members), rounds: Number(options.rounds), measure: (running: Running) => mixed(running, Number(count)) })),
];

async function measureOn(server: Server, load: Load): Promise<Figures> {
  const running = await Running.start(server, load.members);
  try {
    return await load.measure(running);
  } finally {
    await running.stop();
  }
}

/** Of each figure for itself. */
function medianOf(rounds: readonly Figures[]): Figures {
  const median = (of: (figures: Figures) => number): number => rounds.map(of).sort((a, b) => a - b)[Math.floor(rounds.length / 2)] ?? NaN;
  return {
    perSecond: median((f) => f.perSecond), p99Ms: median((f) => f.p99Ms), cpuMicros: median((f) => f.cpuMicros), rssMiB: median((f) => f.rssMiB), pssMiB: median((f) => f.pssMiB),
    ...(rounds[0]?.p50Ms === undefined ? {} : { p50Ms: median((f) => f.p50Ms ?? NaN) }),
  };
}

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
console.log(`Real etcd: ${execFileSync(options.etcd, ['--version'], { encoding: 'utf8' }).split('\n')[0]}. Of check perf the slowest request stands in place of p99.\n`);
console.log('| load | | calls/s | p50 ms | p99 ms | CPU µs a call | RSS MiB | PSS MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- |');
for (const load of loads) {
  const rounds = servers.map((): Figures[] => []);
  for (let round = 0; round < load.rounds; round += 1) {
    for (const [index, server] of servers.entries()) {
      await measureOn(server, load).then((figures) => rounds[index]?.push(figures), (error: unknown) => console.error(`${load.name}, ${server.name}: ${String(error)}`));
    }
  }
  if (rounds.some((measured) => measured.length === 0)) continue;
  const [ours, real] = rounds.map(medianOf) as [Figures, Figures];
  const row = (name: string, figures: Figures): void => {
    const { perSecond, p50Ms, p99Ms, cpuMicros, rssMiB, pssMiB } = figures;
    console.log(`| ${load.name} | ${name} | ${perSecond.toFixed(0)} | ${p50Ms === undefined ? '' : digits(p50Ms)} | ${[p99Ms, cpuMicros, rssMiB, pssMiB].map(digits).join(' | ')} |`);
  };
  row('ours', ours);
  row('etcd', real);
  const ratio = (of: (figures: Figures) => number): string => (of(ours) / of(real)).toFixed(2);
  console.log(`| | ours / etcd | ${ratio((f) => f.perSecond)} | ${ours.p50Ms === undefined ? '' : ratio((f) => f.p50Ms ?? NaN)} | ${[ratio((f) => f.p99Ms), ratio((f) => f.cpuMicros), ratio((f) => f.rssMiB), ratio((f) => f.pssMiB)].join(' | ')} |`);
}
