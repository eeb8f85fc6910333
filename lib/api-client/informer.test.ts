// When an informer comes back to a server that was away.
import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { pino } from 'pino';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { connectToApiserver } from './client.ts';
import { Informer } from './informer.ts';
import type { TransportRequest, TransportResponse } from './transport.ts';

const answer = (body: Readable): TransportResponse => ({ statusCode: 200, headers: { 'content-type': 'application/json' }, body });
const emptyList = (): Readable => Readable.from([Buffer.from('{"metadata":{"resourceVersion":"1"},"items":[]}')]);

/** What becomes of the watches, one after the other: how long each one holds (undefined: nobody listens), in simulated milliseconds. */
async function waitsAfter(...watches: readonly (number | undefined)[]): Promise<number[]> {
  const stop = new AbortController();
  const waits: number[] = [];
  let nowMs = 0;
  let watched = 0;
  const transport = {
    bytesRead: 0,
    drop: () => undefined,
    close: async () => undefined,
    async send({ path }: TransportRequest): Promise<TransportResponse> {
      if (!path.includes('watch=true')) return answer(emptyList());
      const holdsMs = watches[watched];
      watched += 1;
      if (holdsMs === undefined) throw new Error('connect ECONNREFUSED');
      const body = new PassThrough();
      setImmediate(() => {
        nowMs += holdsMs;
        body.destroy(new Error('the connection was reset'));
      });
      return answer(body);
    },
  };
  const clock = {
    nowMs: () => nowMs,
    sleep: async (durationMs: number) => {
      waits.push(durationMs);
      nowMs += durationMs;
      if (watched === watches.length) stop.abort();
    },
  };
  const informer = new Informer({
    api: connectToApiserver({ server: 'https://192.0.2.1:6443' }, 'test', transport), kind: configMapKind, clock, random: { fraction: () => 0 }, log: pino({ level: 'silent' }),
  });
  await informer.run(stop.signal);
  return waits;
}

test('the first list may be an old one, a later one may not', async () => {
  const stop = new AbortController();
  const lists: string[] = [];
  const transport = {
    bytesRead: 0,
    drop: () => undefined,
    close: async () => undefined,
    async send({ path }: TransportRequest): Promise<TransportResponse> {
      if (path.includes('watch=true')) return answer(Readable.from([Buffer.from('{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410}}\n')]));
      lists.push(path);
      if (lists.length === 3) stop.abort();
      return answer(emptyList());
    },
  };
  const informer = new Informer({
    api: connectToApiserver({ server: 'https://192.0.2.1:6443' }, 'test', transport), kind: configMapKind, clock: { nowMs: () => 0, sleep: async () => undefined }, random: { fraction: () => 0 }, log: pino({ level: 'silent' }),
  });
  await informer.run(stop.signal);
  assert.deepEqual(lists, ['/api/v1/configmaps?resourceVersion=0', '/api/v1/configmaps', '/api/v1/configmaps']);
});

test('a server that is away is asked less and less often, at least every 30 s', async () => {
  assert.deepEqual(await waitsAfter(...Array<undefined>(8).fill(undefined)), [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
});

test('watches that break as soon as they begin count as a server that is away', async () => {
  assert.deepEqual(await waitsAfter(0, 10, 500), [800, 1600, 3200]);
});

test('after a watch that held, it is asked again soon, however often it was away before', async () => {
  assert.deepEqual(await waitsAfter(undefined, undefined, 5_000, undefined, undefined, 300_000), [800, 1600, 800, 1600, 3200, 800]);
});
