// Ten thousand watches of one prefix, on few connections: every one is told everything, and a put does not wait for them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Client, credentials, status } from '@grpc/grpc-js';
import { connectToEtcd, prefixEnd } from '#lib/etcd-api/client.ts';
import type { WatchResponse } from '#lib/etcd-api/messages.ts';
import { watchService } from '#lib/etcd-api/services.ts';
import { spawnEtcd, temporaryFolder, until } from './testing.ts';

const CONNECTIONS = 4;
const STREAMS = 25; // of each connection
const WATCHES = 100; // of each stream
const PUTS = 5;

const folder = temporaryFolder();
after(() => folder.remove());

test('ten thousand watches of one prefix are told of every put, in order, within the memory of some', { timeout: 120_000 }, async () => {
  const server = await spawnEtcd([`--data-dir=${folder.path}/data`]);
  const clients = Array.from({ length: CONNECTIONS }, () => new Client(server.urls[0].replace('http://', ''), credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }));
  const { path, requestSerialize, responseDeserialize } = watchService.Watch;
  const seen = new Map<string, number>();
  let created = 0;
  let events = 0;
  const streams = clients.flatMap((client, connection) => Array.from({ length: STREAMS }, (_, stream) => {
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    call.on('error', () => undefined).on('data', (response: WatchResponse) => {
      if (response.created) created += 1;
      for (const { kv } of response.events) {
        const watch = `${connection}/${stream}/${response.watchId}`;
        assert.ok((seen.get(watch) ?? 0) < (kv?.modRevision ?? 0), 'out of order');
        seen.set(watch, kv?.modRevision ?? 0);
        events += 1;
      }
    });
    for (let watch = 0; watch < WATCHES; watch += 1) call.write({ createRequest: { key: '/w/', rangeEnd: prefixEnd('/w/') } });
    return call;
  }));
  await until('all are made', () => created === CONNECTIONS * STREAMS * WATCHES, 60);
  const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  for (let put = 0; put < PUTS; put += 1) await etcd.put({ key: `/w/${put}`, value: 'x'.repeat(100) });
  await until('all are told', () => events === PUTS * CONNECTIONS * STREAMS * WATCHES, 60);
  const rssKiB = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))?.[1]);
  assert.ok(rssKiB < 400 * 1024, `${rssKiB} KiB`); // started from sources, of which about 130 MiB
  for (const stream of streams) stream.cancel();
  for (const client of clients) client.close();
  etcd.close();
  await server.end('SIGTERM');
});

test('a member that stops ends its watches so that clients go on with them', async () => {
  const server = await spawnEtcd([`--data-dir=${folder.path}/stopping`]);
  const client = new Client(server.urls[0].replace('http://', ''), credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = watchService.Watch;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const failed = new Promise<Error & { code?: number }>((resolve) => call.once('error', resolve));
  const created = new Promise((resolve) => call.once('data', resolve));
  call.write({ createRequest: { key: 'k' } });
  await created;
  assert.equal(await server.end('SIGTERM'), 0);
  assert.equal((await failed).code, status.UNAVAILABLE);
  client.close();
});
