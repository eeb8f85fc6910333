// The whole controller with a real nginx, an API server in memory and a backend in this process.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { runCommand } from '#lib/service/run-command.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { freePorts } from '#lib/testing/free-ports.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { programOf } from '#lib/testing/program.ts';

const INGRESSES = '/apis/networking.k8s.io/v1/namespaces/shop/ingresses';

describe('the controller', { timeout: 60_000 }, () => {
  const api = new ObjectServer();
  const folder = mkdtempSync(`${tmpdir()}/ingress-nginx-`);
  let backend: Server;
  let controller: ChildProcess;
  let output = '';
  let [http, https, health] = [0, 0, 0];
  const curl = (...args: string[]): Promise<string> => runCommand('curl', ['-sk', '--max-time', '5', ...args]).catch((error: unknown) => String(error));
  const get = (host: string, path = '/'): Promise<string> => curl('-H', `Host: ${host}`, '-w', ' %{http_code}', `http://127.0.0.1:${http}${path}`);
  const putIngress = (name: string, spec: object): void => api.put(`${INGRESSES}/${name}`, { kind: 'Ingress', apiVersion: 'networking.k8s.io/v1', spec: { ingressClassName: 'nginx', ...spec } });
  const rules = (host: string, path = '/') => ({ rules: [{ host, http: { paths: [{ path, pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] } }] });

  before(async () => {
    backend = createServer((request, response) => response.end(`${request.headers.host} ${request.url} ${String(request.headers['x-forwarded-proto'])}`)).listen(0, '127.0.0.1');
    [http = 0, https = 0, health = 0] = await freePorts(3);
    const server = await api.start();
    writeFileSync(`${folder}/kubeconfig`, `apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: "${server}"}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n`);
    api.put('/apis/networking.k8s.io/v1/ingressclasses/nginx', { spec: { controller: 'k8s.io/ingress-nginx' } });
    api.put('/api/v1/namespaces/shop/services/web', { spec: { ports: [{ name: 'http', port: 80 }] } });
    api.put('/api/v1/namespaces/ingress-nginx/services/controller', { spec: { type: 'LoadBalancer', ports: [] }, status: { loadBalancer: { ingress: [{ ip: '192.168.1.33' }] } } });
    api.put('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1', {
      metadata: { labels: { 'kubernetes.io/service-name': 'web' } }, addressType: 'IPv4', ports: [{ name: 'http', port: (backend.address() as AddressInfo).port }], endpoints: [{ addresses: ['127.0.0.1'] }],
    });
    putIngress('web', rules('web.example'));
    const [program = '', ...words] = programOf(new URL('main.ts', import.meta.url));
    controller = spawn(program, [
      ...words, `--kubeconfig=${folder}/kubeconfig`, `--http-port=${http}`, `--https-port=${https}`, `--healthz-port=${health}`,
      '--publish-service=ingress-nginx/controller', `--emulator-folder=${folder}/nginx`,
    ], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [controller.stdout, controller.stderr]) stream?.on('data', (chunk: Buffer) => (output = (output + chunk.toString('utf8')).slice(-100_000)));
    await eventually(async () => (await get('web.example')).endsWith(' 200'), { what: 'the first answer' }).catch((error: unknown) => {
      throw new Error(output, { cause: error });
    });
  });
  after(async () => {
    const ended = new Promise((resolve) => controller.once('exit', resolve));
    controller.kill('SIGTERM');
    await ended;
    backend.close();
    await api.stop();
    rmSync(folder, { recursive: true });
  });

  test('requests go by host; whoever is asked for nothing known answers 404', async () => {
    assert.equal(await get('web.example', '/a?b=c'), 'web.example /a?b=c http 200');
    const answer = await get('other.example');
    assert.match(answer, /404 Not Found[\s\S]*<center>nginx<\/center>[\s\S]* 404$/);
    assert.match(await curl('-o', '/dev/null', '-w', '%{http_code}', `http://127.0.0.1:${health}/healthz`), /^200$/);
  });

  test('an Ingress that comes is served, one that changes is followed, one that goes is gone', async () => {
    putIngress('more', rules('more.example', '/app'));
    await eventually(async () => (await get('more.example', '/app/x')) === 'more.example /app/x http 200', { what: 'the new host' });
    assert.match(await get('more.example', '/application'), / 404$/);
    putIngress('more', rules('more.example', '/new'));
    // nginx's workers of before answer until they have let go of the port
    await eventually(async () => (await get('more.example', '/new')).endsWith(' 200') && (await get('more.example', '/app')).endsWith(' 404'), { what: 'the new path in place of the old' });
    api.remove(`${INGRESSES}/more`);
    await eventually(async () => (await get('more.example', '/new')).endsWith(' 404'), { what: 'the end of the host' });
  });

  test('TLS: the certificate of the Secret, and HTTP is sent there', async () => {
    const nowMs = Date.now();
    const ca = await createCertificateAuthority({ commonName: 'shop-ca', nowMs });
    const { certPem, keyPem } = await issueCertificate({ ca, commonName: 'tls.example', dnsNames: ['tls.example'], usages: ['server'], nowMs });
    writeFileSync(`${folder}/ca.crt`, ca.certPem);
    api.put('/api/v1/namespaces/shop/secrets/tls', { type: 'kubernetes.io/tls', data: { 'tls.crt': Buffer.from(certPem).toString('base64'), 'tls.key': Buffer.from(keyPem).toString('base64') } });
    putIngress('tls', { ...rules('tls.example'), tls: [{ hosts: ['tls.example'], secretName: 'tls' }] });
    const secure = (): Promise<string> => runCommand('curl', ['-s', '--max-time', '5', '--cacert', `${folder}/ca.crt`, '--resolve', `tls.example:${https}:127.0.0.1`, `https://tls.example:${https}/`]).catch(() => '');
    await eventually(async () => (await secure()) === `tls.example:${https} / https`, { what: 'an answer over TLS with the certificate of the Secret' });
    assert.match(await curl('-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', '-H', 'Host: tls.example', `http://127.0.0.1:${http}/x`), /^308 https:\/\/tls\.example\/x$/);
  });

  test('without endpoints it answers 503 until there are some', async () => {
    const path = '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1';
    const slice = api.get(path) as object;
    api.put(path, { ...slice, endpoints: [] });
    await eventually(async () => (await get('web.example')).endsWith(' 503'), { what: '503' });
    api.put(path, slice);
    await eventually(async () => (await get('web.example')).endsWith(' 200'), { what: '200 again' });
  });

  test('the status of an Ingress names where the Service in front is reached', async () => {
    await eventually(() => (api.get(`${INGRESSES}/web`) as { status?: { loadBalancer?: unknown } }).status?.loadBalancer !== undefined, { what: 'the status' });
    assert.deepEqual((api.get(`${INGRESSES}/web`) as { status?: unknown }).status, { loadBalancer: { ingress: [{ ip: '192.168.1.33' }] } });
  });

  test('a configuration that nginx refuses leaves the one before in force', async () => {
    api.put(`${INGRESSES}/bad`, { kind: 'Ingress', metadata: { annotations: { 'nginx.ingress.kubernetes.io/rewrite-target': '/$1' } }, spec: { ingressClassName: 'nginx', ...rules('bad.example', '/(') } });
    await eventually(() => output.includes('cannot bring nginx up to date'), { what: 'the complaint' });
    // a worker of before, which knew no endpoints, may still answer
    let answer = '';
    await eventually(async () => (answer = await get('web.example')).endsWith(' 200'), { what: 'the configuration before' }).catch((error: unknown) => assert.fail(`${String(error)}: ${answer}\n${output.slice(-3000)}`));
    api.remove(`${INGRESSES}/bad`);
    putIngress('more', rules('more.example'));
    await eventually(async () => (await get('more.example')).endsWith(' 200'), { what: 'the next configuration' });
    assert.match(readFileSync(`${folder}/nginx/nginx.conf`, 'utf8'), /more\.example/);
  });
});
