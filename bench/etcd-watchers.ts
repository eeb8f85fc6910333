// Ten thousand watches of one prefix, and puts of which each is told to all: `npm run build && npx tsx bench/etcd-watchers.ts [--etcd=PATH]`. Ours and
// the real one in turn, with the same client beside them. Prints a table in Markdown; the median of each figure counts.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { prefixEnd } from '#lib/etcd-api/prefix.ts';
import { kvService, watchService } from '#lib/etcd-api/services.ts';
import { LeanClient } from './etcd-client.ts';
import { OURS, Running, sleep, type Server } from './etcd-members.ts';

const { values: options } = parseArgs({
  options: {
    'etcd': { type: 'string', default: 'etcd' }, 'ours': { type: 'string', default: OURS }, 'dir': { type: 'string', default: tmpdir() },
    'watches': { type: 'string', default: '10000' }, 'streams': { type: 'string', default: '1000,10000' }, 'puts': { type: 'string', default: '50' }, 'rounds': { type: 'string', default: '3' },
  },
});
const CONNECTIONS = 10;
const PREFIX = '/watched/';
const VALUE_BYTES = 100;
const DEADLINE_MS = 120_000;
const AGAIN_MS = 2;

interface Figures {
  readonly madeMs: number;
  readonly p50Ms: number;
  readonly eventsPerSecond: number;
  readonly cpuSeconds: number;
  readonly mostMiB: number;
}

async function until(what: string, isDone: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!isDone()) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await sleep(AGAIN_MS);
  }
}

async function measure(server: Server, streams: number): Promise<Figures> {
  const [watches, puts] = [Number(options.watches), Number(options.puts)];
  const running = await Running.start(server, { dir: options.dir });
  const clients = await Promise.all(Array.from({ length: CONNECTIONS + 1 }, () => LeanClient.open(running.port)));
  const putter = clients.pop() as LeanClient;
  try {
    let [made, events] = [0, 0];
    const request = { createRequest: { key: PREFIX, rangeEnd: prefixEnd(PREFIX) } };
    const startMs = performance.now();
    for (let stream = 0; stream < streams; stream += 1) {
      (clients[stream % CONNECTIONS] as LeanClient).stream(watchService.Watch, Array.from({ length: watches / streams }, () => request), (response) => {
        made += Number(response.created);
        events += response.events.length;
      });
    }
    await until('all watches made', () => made === watches);
    const madeMs = performance.now() - startMs;
    const [putsMs, cpuBefore, value] = [performance.now(), running.cpuMicros(), Buffer.alloc(VALUE_BYTES, 'v')];
    const latencies: number[] = [];
    for (let put = 0; put < puts; put += 1) {
      const putMs = performance.now();
      await putter.call(kvService.Put, { key: `${PREFIX}${put}`, value });
      latencies.push(performance.now() - putMs);
    }
    await until('all events told', () => events === puts * watches);
    latencies.sort((a, b) => a - b);
    return {
      madeMs, p50Ms: latencies[Math.floor(puts / 2)] ?? NaN, eventsPerSecond: events / ((performance.now() - putsMs) / 1000),
      cpuSeconds: (running.cpuMicros() - cpuBefore) / 1e6, mostMiB: running.mostMiB(),
    };
  } finally {
    for (const client of [...clients, putter]) client.close();
    await running.stop();
  }
}

const servers: readonly Server[] = [{ name: 'ours', command: [process.execPath, options.ours] }, { name: 'etcd', command: [options.etcd] }];
console.log('| | | made within ms | p50 of the puts, ms | events/s | server CPU s | most RSS MiB |\n| --- | --- | --- | --- | --- | --- | --- |');
for (const streams of options.streams.split(',').map(Number)) {
  const rounds = servers.map((): Figures[] => []);
  for (let round = 0; round < Number(options.rounds); round += 1) for (const [at, server] of servers.entries()) rounds[at]?.push(await measure(server, streams));
  for (const [at, { name }] of servers.entries()) {
    const median = (of: (figures: Figures) => number): number => rounds[at]?.map(of).sort((a, b) => a - b)[Math.floor(Number(options.rounds) / 2)] ?? NaN;
    const figures = [median((f) => f.madeMs).toFixed(0), median((f) => f.p50Ms).toFixed(1), median((f) => f.eventsPerSecond).toFixed(0), median((f) => f.cpuSeconds).toFixed(1), median((f) => f.mostMiB).toFixed(0)];
    console.log(`| ${streams} streams, ${Number(options.watches) / streams} watches each | ${name} | ${figures.join(' | ')} |`);
  }
}
