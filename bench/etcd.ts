// Our etcd and the real one, in turn on this machine with the same clients: `npm run bench:etcd`. Prints a table in Markdown.
// Each load gets a new process with an empty data folder. The client runs beside it, on the same processors.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { kvService } from '#lib/etcd-api/services.ts';
import { LeanClient } from './etcd-client.ts';
import { fill } from './etcd-fill.ts';
import { OURS, Running, sleep, type Server } from './etcd-members.ts';

const { values: options } = parseArgs({
  options: {
    'etcd': { type: 'string', default: 'etcd' }, // the real one
    'dir': { type: 'string', default: tmpdir() }, // on the disk to be measured
    'loads': { type: 'string', default: 's,m,l' }, // of etcdctl check perf; a minute each
    'clients': { type: 'string', default: '1,64,256' },
    'members': { type: 'string', default: '1' }, // of the mixed loads; 3: a cluster
    'bulk-keys': { type: 'string', default: '1000000' }, // of 1 KiB, for the load `bulk`, which is not among the usual ones: filling takes minutes
    'seconds': { type: 'string', default: '10' }, // of each round of a mixed load
    'warm-up': { type: 'string', default: '10' }, // seconds of a mixed load before it is measured: V8 goes on optimizing for some ten
    'rounds': { type: 'string', default: '3' }, // of the mixed loads, the two in turn; the median of each figure counts
  },
});
const KEYS = 10_000;
const VALUE_BYTES = 1024;
/** Clients that fill the store for `bulk`, each with so many keys in a transaction. */
const FILLERS = 16;
const KEYS_AT_ONCE = 15;

interface Figures {
  readonly perSecond: number;
  readonly p50Ms?: number;
  readonly p99Ms: number;
  /** Of the server, for one call. */
  readonly cpuMicros: number;
  readonly rssMiB: number;
  readonly pssMiB: number;
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
  await sleep(Number(options['warm-up']) * 1000);
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
  const latencies: number[] = [];
  const [before, startMs] = [running.cpuMicros(), performance.now()];
  await fill(running.port, {
    keys, valueBytes: VALUE_BYTES, clients: FILLERS, keysAtOnce: KEYS_AT_ONCE,
    around: async (transact) => {
      const callMs = performance.now();
      await transact();
      latencies.push(performance.now() - callMs);
    },
  });
  const elapsedS = (performance.now() - startMs) / 1000;
  const cpuMicros = (running.cpuMicros() - before) / latencies.length;
  const filled = running.memory();
  const { seconds, cpuSeconds } = await running.restart();
  latencies.sort((a, b) => a - b);
  const quantile = (fraction: number): number => latencies[Math.floor(fraction * (latencies.length - 1))] ?? NaN;
  const started = running.memory();
  console.error(`${keys} keys: started again within ${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of processor time); PSS ${filled.pssMiB.toFixed(0)} MiB when they were in, ${started.pssMiB.toFixed(0)} after the start, at most ${running.mostMiB().toFixed(0)} (RSS) until then`);
  return { perSecond: latencies.length / elapsedS, p50Ms: quantile(0.5), p99Ms: quantile(0.99), cpuMicros, ...started };
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
  const running = await Running.start(server, { members: load.members, dir: options.dir });
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
