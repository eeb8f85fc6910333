import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import pino from 'pino';
import { withAccessControl, type AccessOptions } from './access-control.ts';

interface Answer { readonly status: number | undefined; readonly headers: IncomingMessage['headers']; readonly body: string }

async function ask(access: Partial<AccessOptions>, request: { readonly method?: string; readonly path?: string; readonly headers?: Readonly<Record<string, string>> }): Promise<Answer> {
  const options = { cors: ['*'], hostWhitelist: ['*'], takesUsersFromCertificates: () => false, log: pino({ level: 'silent' }), ...access };
  const server = createServer(withAccessControl(options, ({ url }, response) => void response.end(`served ${url}`)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const { method = 'GET', path = '/', headers = {} } = request;
      httpRequest({ port: (server.address() as AddressInfo).port, method, path, headers }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => { body += text; }).on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
      }).on('error', reject).end();
    });
  } finally {
    server.close();
  }
}

test('hosts that are not listed are turned away', async () => {
  const hostWhitelist = ['m1.example', '::1'];
  assert.equal((await ask({ hostWhitelist }, { headers: { host: 'm1.example:2379' } })).status, 200);
  assert.equal((await ask({ hostWhitelist }, { headers: { host: '[::1]:2379' } })).status, 200);
  const { status, body } = await ask({ hostWhitelist }, { headers: { host: 'evil.example' } });
  assert.equal(status, 421);
  assert.match(body, /etcd received your request, but the Host header was unrecognized[\s\S]*--host-whitelist evil.example[\s\S]*CVE-2018-5702/);
  assert.equal((await ask({ hostWhitelist: [] }, { headers: { host: 'any' } })).status, 200);
});

test('origins that are listed may read answers', async () => {
  const cors = ['https://a.example'];
  assert.equal((await ask({}, {})).headers['access-control-allow-origin'], '*');
  assert.equal((await ask({ cors }, { headers: { origin: 'https://a.example' } })).headers['access-control-allow-origin'], 'https://a.example');
  assert.equal((await ask({ cors }, { headers: { origin: 'https://b.example' } })).headers['access-control-allow-origin'], undefined);
  const preflight = await ask({ cors }, { method: 'OPTIONS', path: '/v3/kv/put', headers: { origin: 'https://a.example' } });
  assert.deepEqual([preflight.status, preflight.body, preflight.headers['access-control-allow-methods']], [200, '', 'POST, GET, OPTIONS, PUT, DELETE']);
});

test('the path of the gateway before it was stable goes on', async () => {
  assert.equal((await ask({}, { path: '/v3beta/kv/put' })).body, 'served /v3/kv/put');
});
