// Built-in images by way of the registry: pulled by this project's own runtime, which verifies every digest on the way.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pino from 'pino';
import { readUserNamespace } from '#lib/service/user-namespace.ts';
import { ImageStore } from '../images.ts';
import { PublishedImages } from './images.ts';
import { LayerStore } from './layer-store.ts';
import { startRegistryServer } from './server.ts';

const CATALOGUE = new URL('../../../../images/', import.meta.url).pathname;
const log = pino({ level: 'silent' });

describe('the registry of built-in images', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'image-registry-'));
  const stopping = new AbortController();
  const open = (): LayerStore => new LayerStore({ root: join(folder, 'registry'), bundleFolder: join(folder, 'bundles'), nodeRoot: join(folder, 'node'), log });
  let address = '';
  const store = (name = 'pulled'): ImageStore => new ImageStore({ root: join(folder, name), catalogue: CATALOGUE, registries: join(folder, 'certs.d'), users: readUserNamespace(), log });
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };

  before(async () => {
    put('node/usr/bin/tool', 'tool');
    put('node/usr/share/doc/tool/README', 'long');
    put('node/usr/local/bin/tool', 'not in containers');
    put('bundles/dist/programs/x.js', 'program');
    put('bundles/node_modules/classic-level/package.json', '{"dependencies": {"abstract-level": "1", "elsewhere": "1"}}');
    put('bundles/node_modules/abstract-level/package.json', '{}');
    put('bundles/node_modules/typescript/package.json', '{}');
    const layers = open();
    address = `127.0.0.1:${await startRegistryServer({ host: '127.0.0.1', port: 0, images: new PublishedImages(CATALOGUE, layers), layers, log, signal: stopping.signal })}`;
    put('certs.d/_default/hosts.toml', `server = "http://127.0.0.1:1"\n[host."http://${address}"]\n  capabilities = ["pull", "resolve"]\n`);
  });
  after(() => {
    stopping.abort();
    rmSync(folder, { recursive: true, force: true });
  });

  test('an image is the node\'s programs with its own files over them', async () => {
    const image = await store().pull('nginx:1.28');
    assert.equal(image.isBuiltIn, false);
    assert.deepEqual([image.config.entrypoint, image.config.command, image.config.stopSignal], [['/docker-entrypoint.sh'], ['nginx', '-g', 'daemon off;'], 'SIGQUIT']);
    assert.ok(image.config.environment.includes('NGINX_VERSION=1.28.1'));
    const [files = '', nginx = '', node = ''] = image.layers;
    assert.equal(readlinkSync(join(files, 'var/log/nginx/access.log')), '/dev/stdout');
    assert.equal(lstatSync(join(nginx, 'docker-entrypoint.sh')).mode & 0o777, 0o755);
    assert.equal(readFileSync(join(node, 'usr/bin/tool'), 'utf8'), 'tool');
    assert.match(readFileSync(join(node, 'etc/passwd'), 'utf8'), /^root:/);
    assert.equal(readlinkSync(join(node, 'bin')), 'usr/bin');
    for (const path of ['usr/share/doc/tool', 'usr/local/bin/tool']) assert.equal(lstatSync(join(node, path), { throwIfNoEntry: false }), undefined, path);
  });

  test('another tag shares its layers, and the second registry finds them on disk', async () => {
    const layers = (await store().pull('nginx:1.27')).layers;
    assert.equal(layers.at(-1), (await store().pull('busybox:1.36')).layers.at(-1));
    const before = await open().nodePrograms();
    put('node/usr/bin/another', 'later'); // not seen: nothing that the machine installs changed
    assert.deepEqual(await open().nodePrograms(), before);
  });

  test('the cluster\'s own programs are at /opt/kubreak, with the packages that are not in them', async () => {
    const layers = open();
    const { digest } = await layers.bundles();
    const names = execFileSync('tar', ['-tf', layers.path(digest) ?? ''], { encoding: 'utf8' });
    assert.match(names, /^opt\/kubreak\/dist\/programs\/x\.js$/m);
    for (const name of ['classic-level', 'abstract-level']) assert.match(names, new RegExp(`^opt/kubreak/node_modules/${name}/package\\.json$`, 'm'));
    assert.doesNotMatch(names, /typescript/);
  });

  test('what is not built in is not there, and a layer can be had from the middle', async () => {
    const get = (path: string, init?: RequestInit): Promise<Response> => fetch(`http://${address}/v2/${path}`, init);
    assert.equal((await get('')).status, 200);
    for (const path of ['library/nginx/manifests/9.9.9?ns=docker.io', 'library/nginx/manifests/1.28?ns=quay.io', `library/nginx/blobs/sha256:${'0'.repeat(64)}`, 'library/nginx/blobs/..%2f..%2fetc%2fpasswd']) assert.equal((await get(path)).status, 404, path);
    assert.equal((await get('library/nginx/manifests/1.28', { method: 'PUT' })).status, 405);
    const manifest = await (await get('library/nginx/manifests/1.28?ns=docker.io')).json() as { layers: { digest: string; size: number }[] };
    const { digest = '', size = 0 } = manifest.layers.at(-1) ?? {};
    const whole = Buffer.from(await (await get(`library/nginx/blobs/${digest}`)).arrayBuffer());
    assert.equal(whole.length, size);
    const part = await get(`library/nginx/blobs/${digest}`, { headers: { range: 'bytes=100-' } });
    assert.equal(part.status, 206);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(whole.subarray(100)));
  });
});
