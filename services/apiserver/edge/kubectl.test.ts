// The real kubectl against a real socket: what people type.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { allKinds } from '#lib/kinds/registry.ts';
import { openApiExtension } from '../openapi/routes.ts';
import { protobufBodyDecoder } from '../protobuf/body-decoder.ts';
import { startTestServer, type TestServer } from './testing/test-server.ts';

const skip = spawnSync('kubectl', ['version', '--client']).status === 0 ? false : 'kubectl is not installed';
let server: TestServer;
let home: string;
const children: ChildProcess[] = [];

before(async () => {
  server = await startTestServer({ extensions: [openApiExtension({ kinds: allKinds, version: 'v1.36.2' }), { bodyDecoders: [protobufBodyDecoder()] }] });
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  home = mkdtempSync(join(tmpdir(), 'kubectl-test-'));
});
after(async () => {
  children.forEach((child) => child.kill());
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

function start(args: readonly string[]): ChildProcess {
  const child = spawn('kubectl', ['--server', `http://127.0.0.1:${(server.app.server.address() as AddressInfo).port}`, ...args], { env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: '/dev/null' } });
  children.push(child);
  return child;
}

function kubectl(args: readonly string[], input = ''): Promise<{ code: number; out: string }> {
  const child = start(args);
  let out = '';
  child.stdout?.on('data', (data: Buffer) => { out += data.toString(); });
  child.stderr?.on('data', (data: Buffer) => { out += data.toString(); });
  child.stdin?.end(input);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code: code ?? -1, out })));
}

const DEPLOYMENT = (image: string) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: ${image}}]}}
`;

test('apply creates, then changes; get, scale and delete follow', { skip }, async () => {
  assert.deepEqual(await kubectl(['apply', '-f', '-'], DEPLOYMENT('nginx:1')), { code: 0, out: 'deployment.apps/web created\n' });
  assert.deepEqual(await kubectl(['apply', '-f', '-'], DEPLOYMENT('nginx:1')), { code: 0, out: 'deployment.apps/web unchanged\n' });
  assert.deepEqual(await kubectl(['apply', '-f', '-'], DEPLOYMENT('nginx:2')), { code: 0, out: 'deployment.apps/web configured\n' });
  assert.deepEqual(await kubectl(['scale', 'deploy/web', '--replicas=3']), { code: 0, out: 'deployment.apps/web scaled\n' });
  assert.match((await kubectl(['get', 'deploy', '-o', 'wide'])).out, /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR\nweb +0\/3 +0 +0 +\d+s +web +nginx:2 +app=web\n$/);
  assert.match((await kubectl(['delete', 'deploy', 'web'])).out, /^deployment.apps "web" deleted/);
});

test('get -w shows changes as they happen', { skip }, async () => {
  const watching = start(['get', 'configmaps', '-w', '--no-headers', '--output-watch-events']);
  const lines: string[] = [];
  const until = (count: number): Promise<void> => new Promise((resolve) => {
    const check = (): void => {
      if (lines.length >= count) resolve();
      else reader.once('line', check);
    };
    check();
  });
  const reader = createInterface({ input: watching.stdout as NodeJS.ReadableStream });
  reader.on('line', (line) => lines.push(line.replace(/ +/g, ' ')));
  await kubectl(['create', 'configmap', 'seen', '--from-literal=a=b']);
  await until(1);
  await kubectl(['delete', 'configmap', 'seen']);
  await until(2);
  assert.deepEqual(lines.map((line) => line.split(' ').slice(0, 2).join(' ')), ['ADDED seen', 'DELETED seen']);
});

test('mistakes are told in kubectl\'s words', { skip }, async () => {
  assert.deepEqual(await kubectl(['get', 'pod', 'nope']), { code: 1, out: 'Error from server (NotFound): pods "nope" not found\n' });
  assert.match((await kubectl(['apply', '-f', '-'], DEPLOYMENT('nginx').replace('selector', 'selektor'))).out, /strict decoding error: unknown field "spec.selektor"/);
  assert.match((await kubectl(['delete', 'namespace', 'default'])).out, /namespaces "default" is forbidden: this namespace may not be deleted/);
});
