// Pulling from a registry of our own on the loopback interface, into a store in a temporary folder.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import pino from 'pino';
import type { AuthConfig, Sent } from '#lib/cri/messages.ts';
import { readUserNamespace } from '#lib/service/user-namespace.ts';
import { goArchitecture } from '../../core/oci.ts';
import { ImageStore } from '../images.ts';
import { digestOf, imageOf, tarOf, type TestImage } from '../testing/archives.ts';
import { PASSWORD, TestRegistry, USER, type RegistryOptions } from '../testing/registry.ts';

const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';
const CATALOGUE = new URL('../../../../images/', import.meta.url).pathname;

async function twoLayers(text = 'one'): Promise<TestImage> {
  const lower = await tarOf({ name: 'etc/', type: 'directory' }, { name: 'etc/file', text }, { name: 'big', text: randomBytes(5000) });
  const upper = await tarOf({ name: 'etc/.wh.file' }, { name: 'etc/new', text: 'two' });
  return imageOf([lower, upper].map((tar) => ({ tar, blob: gzipSync(tar), mediaType: GZIP })), {
    Entrypoint: ['/bin/app'], Cmd: ['--flag'], Env: ['A=b'], User: '7:8', WorkingDir: '/srv', StopSignal: 'SIGINT', Volumes: { '/data': {} },
  });
}

describe('pulling', { timeout: 60_000 }, () => {
  let folder = '';
  let registries: TestRegistry[] = [];
  beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'pull-test-')); });
  afterEach(async () => {
    for (const registry of registries) await registry.close();
    registries = [];
    rmSync(folder, { recursive: true, force: true });
  });
  const open = (): ImageStore => new ImageStore({ root: join(folder, 'images'), catalogue: CATALOGUE, registries: join(folder, 'certs.d'), users: readUserNamespace(), log: pino({ level: 'silent' }) });
  const serve = async (options?: RegistryOptions): Promise<{ registry: TestRegistry; host: string }> => {
    const registry = new TestRegistry(options);
    registries.push(registry);
    return { registry, host: await registry.listen() };
  };
  const configure = (host: string, toml: string): void => {
    mkdirSync(join(folder, 'certs.d', host), { recursive: true });
    writeFileSync(join(folder, 'certs.d', host, 'hosts.toml'), toml);
  };
  const auth = (more: Sent<AuthConfig> = { username: USER, password: PASSWORD }): Sent<AuthConfig> => more;

  test('unpacks the layers and keeps the configuration, over a restart, too', async () => {
    const { registry, host } = await serve();
    const image = await twoLayers();
    registry.put('shop/app', 'v1', image);
    const pulled = await open().pull(`${host}/shop/app:v1`);
    assert.equal(pulled.id, digestOf(image.config));
    for (const found of [pulled, open().find(`${host}/shop/app:v1`)]) {
      assert.ok(found);
      assert.equal(found.isStandIn, false);
      assert.deepEqual(found.repoDigests, [`${host}/shop/app@${digestOf(image.manifest)}`]);
      assert.deepEqual(found.config, { entrypoint: ['/bin/app'], command: ['--flag'], environment: ['A=b'], user: '7:8', workingDirectory: '/srv', stopSignal: 'SIGINT' });
      assert.deepEqual(found.volumes, ['/data']);
      assert.equal(found.sizeBytes, [...image.blobs.values()].reduce((sum, { length }) => sum + length, 0));
      const [top = '', bottom = ''] = found.layers;
      assert.equal(readFileSync(join(top, 'etc/new'), 'utf8'), 'two');
      assert.equal(readFileSync(join(bottom, 'etc/file'), 'utf8'), 'one');
    }
    assert.ok(open().find(`${host}/shop/app@${digestOf(image.manifest)}`));
    assert.equal(open().usage().usedBytes, 5006);
  });

  test('takes the manifest for this machine out of an index, by tag and by digest', async () => {
    const { registry, host } = await serve();
    const image = await twoLayers();
    registry.put('app', 'only', image);
    const entry = (architecture: string, digest: string) => ({ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: image.manifest.length, platform: { os: 'linux', architecture } });
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json', manifests: [entry('s390x', `sha256:${'0'.repeat(64)}`), entry(goArchitecture(process.arch), digestOf(image.manifest))] }));
    registry.putManifest('app', 'multi', index);
    assert.equal((await open().pull(`${host}/app:multi`)).id, digestOf(image.config));
    assert.equal((await open().pull(`${host}/app@${digestOf(index)}`)).id, digestOf(image.config));
    registry.putManifest('app', 'other', Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [entry('s390x', `sha256:${'0'.repeat(64)}`)] })));
    await assert.rejects(open().pull(`${host}/app:other`), /no match for platform in manifest: not found/);
  });

  test('says what is not there as containerd does', async () => {
    const { host } = await serve();
    await assert.rejects(open().pull(`${host}/nothing:v1`), { reason: 'not-found', message: `failed to pull and unpack image "${host}/nothing:v1": failed to resolve reference "${host}/nothing:v1": ${host}/nothing:v1: not found` });
    await assert.rejects(open().pull('no image'), { reason: 'invalid' });
  });

  for (const authorization of ['basic', 'bearer'] as const) {
    test(`needs credentials where the registry wants them (${authorization})`, async () => {
      const { registry, host } = await serve({ authorization });
      registry.put('private/app', 'v1', await twoLayers());
      await assert.rejects(open().pull(`${host}/private/app:v1`), authorization === 'basic' ? /pull access denied, .*no basic auth credentials/ : /failed to authorize: failed to fetch anonymous token: unexpected status from GET request to http:.*401/);
      await assert.rejects(open().pull(`${host}/private/app:v1`, auth({ username: USER, password: 'wrong' })), authorization === 'basic' ? /pull access denied/ : /failed to fetch oauth token/);
      assert.ok(await open().pull(`${host}/private/app:v1`, auth({ auth: Buffer.from(`${USER}:${PASSWORD}`).toString('base64') })));
      assert.ok(await open().pull(`${host}/private/app:v1`, auth()));
    });
  }

  test('trusts only authorities it was told of', async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const { registry, host } = await serve({ tls: { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } });
    registry.put('app', 'v1', await twoLayers());
    configure(host, `server = "https://${host}"`);
    await assert.rejects(open().pull(`${host}/app:v1`), /tls: failed to verify certificate: x509: certificate signed by unknown authority/);
    configure(host, `server = "https://${host}"\nca = "${cert}"`);
    assert.ok(await open().pull(`${host}/app:v1`));
    configure(host, `server = "https://${host}"\nskip_verify = true`);
    assert.ok(await open().pull(`${host}/app:v1`));
  });

  test('asks mirrors first, and the built-in image stands in when none answers', async () => {
    const { registry, host } = await serve();
    registry.put('library/nginx', '1.17.23', await twoLayers());
    assert.equal((await open().pull('nginx:1.16.0')).isStandIn, true);
    await assert.rejects(open().pull('nginx:1.17.23'), /docker\.io\/library\/nginx:1\.17\.23: not found$/);
    configure('docker.io', `server = "http://127.0.0.1:1"\n[host."http://${host}"]`);
    assert.equal((await open().pull('nginx:1.17.23')).isStandIn, false);
    assert.ok(registry.requests.includes('HEAD /v2/library/nginx/manifests/1.17.23?ns=docker.io'));
    configure('docker.io', 'server = "http://127.0.0.1:1"');
    assert.equal((await open().pull('nginx:1.16.1')).isStandIn, true);
    await assert.rejects(open().pull('example/app:v1'), /failed to resolve reference "docker\.io\/example\/app:v1": failed to do request: Head "http:\/\/127\.0\.0\.1:1\/v2\/example\/app\/manifests\/v1\?ns=docker\.io": dial tcp 127\.0\.0\.1:1: connect: connection refused/);
  });

  test('goes on where a connection broke', async () => {
    const { registry, host } = await serve();
    registry.put('app', 'v1', await twoLayers());
    registry.breakAfter.push(1000, 2000);
    await open().pull(`${host}/app:v1`);
    assert.equal(registry.requests.filter((request) => request.startsWith('GET /v2/app/blobs/')).length, 5);
  });

  test('refuses damaged layers and leaves nothing of them', async () => {
    const { registry, host } = await serve();
    const image = await twoLayers();
    registry.put('app', 'v1', image);
    const layer = (JSON.parse(image.manifest.toString()) as { layers: { digest: string }[] }).layers[0]?.digest ?? '';
    registry.damage(layer);
    await assert.rejects(open().pull(`${host}/app:v1`), /is damaged|cannot be decompressed/);
    assert.deepEqual(readdirSync(join(folder, 'images/layers')), []);
    assert.equal(open().find(`${host}/app:v1`), undefined);
  });

  test('a tag that moved leads to the new image; removing frees what nothing uses', async () => {
    const { registry, host } = await serve();
    registry.put('app', 'v1', await twoLayers('first'));
    const store = open();
    const first = await store.pull(`${host}/app:v1`);
    registry.put('app', 'v1', await twoLayers('second'));
    const second = await store.pull(`${host}/app:v1`);
    assert.notEqual(first.id, second.id);
    assert.deepEqual(store.find(first.id)?.tags, []);
    assert.equal(store.find(`${host}/app:v1`)?.id, second.id);
    await store.remove(first.id, new Set([first.id]));
    assert.equal(store.find(first.id), undefined);
    assert.ok(existsSync(first.layers[0] ?? '') && store.ofContainer(first.id), 'a container still uses it');
    await store.remove(second.id, new Set());
    assert.deepEqual(readdirSync(join(folder, 'images/layers')), []);
    assert.deepEqual(open().list(), []);
  });
});
