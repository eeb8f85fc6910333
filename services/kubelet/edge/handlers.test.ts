import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { container } from '../core/testing.ts';
import { runProbe, type HandlerTarget } from './handlers.ts';
import type { Runtime } from './runtime.ts';

const target: HandlerTarget = { runtime: undefined as unknown as Runtime, container: container('a'), containerId: 'c', host: '127.0.0.1' };

async function webServer(context: TestContext): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === '/slow') return; // never answers
    if (request.url === '/moved') return void response.writeHead(302, { location: '/ok' }).end();
    if (request.url === '/away') return void response.writeHead(302, { location: 'http://example.com/' }).end();
    response.writeHead(request.url === '/bad' ? 503 : 200).end(request.headers['user-agent']);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('an HTTP probe goes by the status, and follows redirects on the same host only', async (context) => {
  const port = await webServer(context);
  const get = (path: string) => runProbe({ httpGet: { path, port } }, target);
  assert.deepEqual(await get('/ok'), { result: 'success', output: 'kube-probe/1.36' });
  assert.deepEqual(await get('/bad'), { result: 'failure', output: 'HTTP probe failed with statuscode: 503' });
  assert.equal((await get('/moved')).result, 'success');
  const away = await get('/away');
  assert.deepEqual([away.result, away.isWarning], ['success', true]);
});

test('an HTTP probe takes answers whose lines end without a carriage return', async (context) => {
  const server = createTcpServer((socket) => void socket.on('error', () => undefined).end('HTTP/1.1 200 OK\nContent-type: text/plain\n\nfine'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  assert.equal((await runProbe({ httpGet: { path: '/', port: (server.address() as AddressInfo).port } }, target)).result, 'success');
});

test('an HTTP probe that gets no answer in time fails in Go\'s words', async (context) => {
  const port = await webServer(context);
  const { result, output } = await runProbe({ httpGet: { path: '/slow', port }, timeoutSeconds: 1 }, target);
  assert.deepEqual([result, output], ['failure', `Get "http://127.0.0.1:${port}/slow": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`]);
});

test('a closed port fails HTTP and TCP probes with connection refused', async () => {
  const port = await closedPort();
  assert.equal((await runProbe({ httpGet: { path: '/', port } }, target)).output, `Get "http://127.0.0.1:${port}/": dial tcp 127.0.0.1:${port}: connect: connection refused`);
  assert.equal((await runProbe({ tcpSocket: { port } }, target)).output, `dial tcp 127.0.0.1:${port}: connect: connection refused`);
});

test('a TCP probe succeeds when the connection is made', async (context) => {
  assert.equal((await runProbe({ tcpSocket: { port: await webServer(context) } }, target)).result, 'success');
});

test('a port name that no container port has is an error of the probe itself', async () => {
  await assert.rejects(runProbe({ httpGet: { port: 'web' } }, target), { message: "couldn't find port: web" });
});
