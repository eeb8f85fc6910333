// Built-in images as people see them: over the runtime's real socket. Needs root; an image whose program is missing is skipped.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ContainerConfig, Sent } from '#lib/cri/messages.ts';
import { canRun, eventually, Playground } from './testing/playground.ts';

const BUNDLE = new URL('../../../dist/stand-in-server.js', import.meta.url).pathname;

describe('the built-in image', { skip: !canRun && 'needs root and nginx', timeout: 180_000 }, () => {
  const host = new Playground();
  before(async () => {
    host.writeNetworkConfig();
    await host.boot();
  });
  after(() => host.destroy());

  let count = 0;
  async function start(image: string, config: Sent<ContainerConfig> = {}): Promise<{ ip: string; name: string; container: string }> {
    const name = `pod-${(count += 1)}`;
    const { id, ip } = await host.runSandbox(name);
    return { ip, name, container: await host.runContainer(id, image, config) };
  }
  const get = (url: string, ...more: string[]): Promise<string> => eventually(`${url} to answer`, () => host.run('curl', '-sik', '--max-time', '2', ...more, url).catch(() => undefined));
  const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4);

  test('httpd works', async () => {
    const { ip } = await start('httpd:2.4');
    const answer = await get(`http://${ip}/`);
    assert.equal(bodyOf(answer), '<html><body><h1>It works!</h1></body></html>\n');
  });

  test('echo-hname answers with its name on both ports', async () => {
    const { ip, name } = await start('sysnet4admin/echo-hname');
    assert.equal(bodyOf(await get(`http://${ip}/`)), `${name}\n`);
    assert.equal(bodyOf(await get(`https://${ip}/any/path`)), `${name}\n`);
  });

  test('echo-ip answers with method and address', async () => {
    const { ip } = await start('sysnet4admin/echo-ip');
    assert.equal(bodyOf(await get(`http://${ip}/`, '-X', 'POST')), `request_method : POST | ip_dest: ${ip}\n`);
  });

  test('audit-trail writes down who came', async () => {
    const folder = join(host.folder, 'audit');
    const { ip, name } = await start('sysnet4admin/audit-trail', { mounts: [{ hostPath: folder, containerPath: '/audit' }] });
    assert.equal(bodyOf(await get(`http://${ip}/`)), `pod_n: ${name} | ip_dest: ${ip}\n`);
    const log = join(folder, `audit_${name}.log`);
    await eventually('the log', () => existsSync(log) && /^\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}  10\.250\.\d+\.\d+  GET\n$/.test(readFileSync(log, 'utf8')));
  });

  test('http-echo echoes any text', async () => {
    const { ip } = await start('hashicorp/http-echo:1.0', { args: ['-text=say "hi" for $5 \\o/', '-listen', ':80', '-status-code=418'] });
    const answer = await get(`http://${ip}/`);
    assert.match(answer, /^HTTP\/1\.1 418/);
    assert.match(answer, /X-App-Name: http-echo/);
    assert.equal(bodyOf(answer), 'say "hi" for $5 \\o/\n');
    const { container, name } = await start('hashicorp/http-echo');
    assert.equal((await host.exited(container)).exitCode, 127);
    assert.match(host.log(name), /Missing -text option!/);
  });

  test('hello-app says its version', async () => {
    const { ip, name } = await start('gcr.io/google-samples/hello-app:2.0');
    assert.equal(bodyOf(await get(`http://${ip}:8080/`)), `Hello, world!\nVersion: 2.0.0\nHostname: ${name}\n`);
  });

  test('echoserver and agnhost serve', { skip: !existsSync(BUNDLE) && 'needs npm run build' }, async () => {
    const echo = await start('registry.k8s.io/echoserver:1.10');
    assert.match(bodyOf(await get(`http://${echo.ip}:8080/x?y`)), new RegExp(`Hostname: ${echo.name}\n`));
    const agnhost = await start('registry.k8s.io/e2e-test-images/agnhost:2.53', { args: ['netexec', '--http-port=80'] });
    assert.equal(bodyOf(await get(`http://${agnhost.ip}/hostname`)), agnhost.name);
    assert.equal((await host.exec(agnhost.container, '/agnhost', 'connect', `${echo.ip}:8080`, '--timeout=5s')).exitCode, 0);
    assert.deepEqual(await host.exec(agnhost.container, '/agnhost', 'connect', `${echo.ip}:81`, '--timeout=5s'), { exitCode: 1, output: 'REFUSED\n' });
  });

  test('curl takes options alone, and other programs by name', async () => {
    const { container, name } = await start('curlimages/curl', { args: ['--version'] });
    assert.equal((await host.exited(container)).exitCode, 0);
    assert.match(host.log(name), /stdout F curl \d/);
    const shell = await start('curlimages/curl', { args: ['sh', '-c', 'echo shell'] });
    await host.exited(shell.container);
    assert.match(host.log(shell.name), /stdout F shell/);
  });

  test('perl computes', { skip: !existsSync('/usr/bin/perl') }, async (t) => {
    const started = await start('perl:5.34.0', { command: ['perl', '-Mbignum=bpi', '-wle', 'print bpi(20)'] }).catch((error: unknown) => error as Error);
    if (started instanceof Error) return t.skip(started.message);
    await host.exited(started.container);
    assert.match(host.log(started.name), /3\.1415926535897932385/);
  });

  test('postgres makes its database and lets its user in by password', async (t) => {
    const env = (key: string, value: string) => ({ key, value: Buffer.from(value) });
    const started = await start('postgres:15', { envs: [env('POSTGRES_PASSWORD', 's3cret'), env('POSTGRES_DB', 'shop')] }).catch((error: unknown) => error as Error);
    if (started instanceof Error) return t.skip(started.message);
    await eventually('an answer', async () => {
      const { exitCode, output } = await host.exec(started.container, 'sh', '-c', `PGPASSWORD=s3cret psql -h ${started.ip} -U postgres -d shop -Atc 'select 6*7'`);
      return exitCode === 0 && output === '42\n';
    }, 60_000);
  });
});
