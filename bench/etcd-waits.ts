// How long others wait while one asks for something large: `npm run build && npx tsx bench/etcd-waits.ts [--members=3] [--etcd=PATH]`.
// Ours and the real one in turn, each on new processes: many keys are put, deleted by one request, and compacted; meanwhile one client puts a
// key again and again. Of each request: how long the slowest put took that was under way meanwhile or shortly after, and the members' processor time.
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { kvService } from '#lib/etcd-api/services.ts';
import { LeanClient } from './etcd-client.ts';
import { fill } from './etcd-fill.ts';
import { OURS, Running, sleep, type Server } from './etcd-members.ts';

const { values: options } = parseArgs({
  options: {
    'etcd': { type: 'string', default: 'etcd' }, 'ours': { type: 'string', default: OURS }, 'dir': { type: 'string', default: tmpdir() },
    'members': { type: 'string', default: '3' }, 'keys': { type: 'string', default: '65000' }, 'bytes': { type: 'string', default: '100' }, 'rounds': { type: 'string', default: '3' },
  },
});
const KEYS_AT_ONCE = 100;
const FILLERS = 4;
/** After the answer: much is done then only. */
const AFTER_MS = 4_000;
const PAUSE_MS = 2;

interface Wait { readonly longestMs: number; readonly answerMs: number; readonly cpuMs: number }

/** A change of the leader belongs to the wait. */
async function persistently<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Error) || !/leader|timed out/.test(error.message)) throw error;
    }
  }
}

/** Puts until `work` and what it leaves behind is over. */
async function waitsDuring(running: Running, work: () => Promise<unknown>): Promise<Wait> {
  const client = await LeanClient.open(running.port);
  let isOver = false;
  let longestMs = 0;
  const before = running.cpuMicros();
  const putting = (async () => {
    while (!isOver) {
      const startMs = performance.now();
      await persistently(() => client.call(kvService.Put, { key: 'other', value: 'v' }));
      longestMs = Math.max(longestMs, performance.now() - startMs);
      await sleep(PAUSE_MS);
    }
  })();
  const startMs = performance.now();
  await work();
  const answerMs = performance.now() - startMs;
  await sleep(AFTER_MS);
  isOver = true;
  await putting;
  client.close();
  return { longestMs, answerMs, cpuMs: (running.cpuMicros() - before) / 1000 };
}

async function round(server: Server): Promise<Map<string, Wait>> {
  const running = await Running.start(server, { members: Number(options.members), dir: options.dir });
  try {
    await fill(running.port, { keys: Number(options.keys), valueBytes: Number(options.bytes), clients: FILLERS, keysAtOnce: KEYS_AT_ONCE, around: persistently });
    const client = await LeanClient.open(running.port);
    const waits = new Map<string, Wait>();
    waits.set('nothing', await waitsDuring(running, () => Promise.resolve()));
    waits.set('delete', await waitsDuring(running, () => persistently(() => client.call(kvService.DeleteRange, { key: '/bulk/', rangeEnd: '/bulk0' }))));
    const { header } = await client.call(kvService.Range, { key: 'x' });
    waits.set('compact', await waitsDuring(running, () => client.call(kvService.Compact, { revision: header?.revision ?? 0, physical: false })));
    client.close();
    return waits;
  } finally {
    await running.stop();
  }
}

const servers: readonly Server[] = [{ name: 'ours', command: [process.execPath, options.ours] }, { name: 'etcd', command: [options.etcd] }];
console.log(`${options.keys} keys of ${options.bytes} bytes, ${options.members} members\n\n| while | | slowest put ms | its own answer ms | CPU ms |\n| --- | --- | --- | --- | --- |`);
const digits = (wait: Wait): string => [wait.longestMs, wait.answerMs, wait.cpuMs].map((value) => value.toFixed(0)).join(' | ');
for (let at = 0; at < Number(options.rounds); at += 1) {
  for (const server of servers) for (const [name, wait] of await round(server)) console.log(`| ${name} | ${server.name} | ${digits(wait)} |`);
}
