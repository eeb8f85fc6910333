// How long single large requests hold up an etcd member: `npx tsx bench/etcd-turns.ts`. It is one thread, so whatever takes long in one turn of
// its event loop is what everybody else waits for, heartbeats included. Store and database as the member has them, without network and log.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { deleteRangeRequest, putRequest, rangeRequest, rangeResponse } from '#lib/etcd-api/messages.ts';
import { Store, type Command } from '../services/etcd/core/store.ts';
import { Database } from '../services/etcd/edge/database.ts';
import { encodeRange } from '../services/etcd/edge/encoded-range.ts';

const { values: options } = parseArgs({ options: { keys: { type: 'string', default: '65000' }, bytes: { type: 'string', default: '100' }, rounds: { type: 'string', default: '5' } } });
const ALL = { key: '/bulk/', rangeEnd: '/bulk0' };

/** Milliseconds until `work` is done, and of its longest turn. */
async function turnsOf(work: () => unknown): Promise<{ totalMs: number; longestMs: number }> {
  let isOn = true;
  let longestMs = 0;
  let lastMs = performance.now();
  const look = (): void => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
    if (isOn) setImmediate(look);
  };
  setImmediate(look);
  const startMs = performance.now();
  await work();
  isOn = false;
  look();
  return { totalMs: performance.now() - startMs, longestMs };
}

const figures = new Map<string, { totalMs: number; longestMs: number }[]>();
async function measure(name: string, work: () => unknown): Promise<void> {
  figures.set(name, [...figures.get(name) ?? [], await turnsOf(work)]);
}

async function round(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'etcd-turns-'));
  const database = await Database.open(folder);
  const store = new Store((entry) => database.readValue(entry));
  const write = async (command: Command): Promise<void> => {
    const { writes } = store.apply(command);
    await database.write(writes);
  };
  try {
    for (let at = 0; at < Number(options.keys); at += 1) {
      store.apply({ type: 'put', request: putRequest.decode(putRequest.encode({ key: `/bulk/${String(at).padStart(8, '0')}`, value: Buffer.alloc(Number(options.bytes), 'v') })) });
    }
    const request = rangeRequest.decode(rangeRequest.encode(ALL));
    await measure('range, at once', () => rangeResponse.encode(store.range(request, store.revision)));
    await measure('range, in pieces', () => encodeRange({ selection: store.select(request, store.revision), keysOnly: false, view: () => database.view() }));
    await measure('delete', () => write({ type: 'deleteRange', request: deleteRangeRequest.decode(deleteRangeRequest.encode(ALL)) }));
    await measure('compact, without the pauses', async () => {
      await write({ type: 'compact', request: { revision: store.revision } });
      while (store.hasObsolete) await database.write(store.removeCompacted());
    });
  } finally {
    await database.close();
    rmSync(folder, { recursive: true });
  }
}

for (let at = 0; at < Number(options.rounds); at += 1) await round();
const median = (values: readonly number[]): string => (values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN).toFixed(0);
console.log(`${options.keys} keys of ${options.bytes} bytes, median of ${options.rounds}\n\n| | until it is done | longest turn |\n| --- | --- | --- |`);
for (const [name, all] of figures) console.log(`| ${name} | ${median(all.map(({ totalMs }) => totalMs))} ms | ${median(all.map(({ longestMs }) => longestMs))} ms |`);
