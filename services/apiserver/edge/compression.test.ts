import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startTestServer, type TestServer } from './testing/test-server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
let server: TestServer;
before(async () => {
  server = await startTestServer();
  for (const name of ['a', 'b']) await server.post(CONFIG_MAPS, { metadata: { name }, data: { text: 'x'.repeat(100_000) } });
});
after(() => server.close());

test('a list beyond 128 KiB comes gzipped to whoever takes that', async () => {
  const { headers, rawPayload } = await server.app.inject({ url: CONFIG_MAPS, headers: { 'accept-encoding': 'deflate, gzip' } });
  assert.deepEqual([headers['content-encoding'], headers['vary'], headers['content-type']], ['gzip', 'Accept-Encoding', 'application/json']);
  assert.ok(rawPayload.length < 20_000);
  assert.equal((JSON.parse(gunzipSync(rawPayload).toString()) as { items: unknown[] }).items.length, 2);
});

test('smaller answers, watches and clients that do not ask for it get plain text', async () => {
  const plain = async (url: string, headers: Record<string, string> = { 'accept-encoding': 'gzip' }) => {
    const answer = await server.app.inject({ url, headers });
    assert.equal(answer.headers['content-encoding'], undefined);
    return answer.body;
  };
  await plain(`${CONFIG_MAPS}/a`);
  await plain(CONFIG_MAPS, {});
  await plain(CONFIG_MAPS, { 'accept-encoding': 'gzip;q=0, br' });
  assert.ok((await plain(`${CONFIG_MAPS}?watch=true&timeoutSeconds=1`)).length > 200_000);
});
