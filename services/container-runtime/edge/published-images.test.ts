// Images out of archives, run on a host of namespaces; and with a user's layers, as overlayfs shows them. Needs root.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { programOf } from '#lib/testing/program.ts';
import { dockerSaveOf, imageOf, layoutOf, tarOf, zstdOf } from './testing/archives.ts';
import { canRun, eventually, Playground } from './testing/playground.ts';

const run = promisify(execFile);
const [CTR = '', ...CTR_WORDS] = programOf(new URL('../ctr.ts', import.meta.url));
const BUSYBOX = '/usr/bin/busybox';
const isStatic = existsSync(BUSYBOX) && spawnSync('ldd', [BUSYBOX]).status !== 0;

describe('a published image', { skip: !(canRun && isStatic) && 'needs root, nginx and a static busybox', timeout: 120_000 }, () => {
  const host = new Playground();
  const ctr = (...words: string[]) => run(CTR, [...CTR_WORDS, '-n', 'k8s.io', '-a', host.socket, ...words]);
  const save = (name: string, archive: Buffer): string => {
    const path = join(host.folder, name);
    writeFileSync(path, archive);
    return path;
  };
  const layers = async () => {
    const folder = (name: string, mode = 0o755) => ({ name, type: 'directory' as const, mode });
    const lower = await tarOf(folder('bin/'), { name: 'bin/busybox', text: readFileSync(BUSYBOX), mode: 0o755 }, { name: 'bin/sh', type: 'symlink', linkname: 'busybox' }, folder('etc/'),
      { name: 'etc/passwd', text: 'root:x:0:0::/root:/bin/sh\napp:x:1234:1234::/home/app:/bin/sh\n' }, { name: 'etc/group', text: 'root:x:0:\napp:x:1234:\n' }, { name: 'etc/gone', text: 'x' },
      folder('data/'), { name: 'data/old', text: 'old' }, folder('tmp/', 0o1777));
    const upper = await tarOf({ name: 'etc/.wh.gone' }, folder('data/'), { name: 'data/.wh..wh..opq' }, { name: 'data/new', text: 'new' }, { name: 'data/twin', type: 'link', linkname: 'data/new' });
    return [lower, upper] as const;
  };
  const config = { Entrypoint: ['/bin/sh', '-c'], Cmd: ['echo started as $(/bin/busybox id -un) in $PWD with $COLOUR; exec /bin/busybox sleep 1000'], Env: ['COLOUR=green'], User: 'app', WorkingDir: '/srv/here', StopSignal: 'SIGKILL' };
  before(async () => {
    host.writeNetworkConfig();
    await host.boot();
  });
  after(() => host.destroy());

  test('out of an OCI layout runs as it is configured, on its own root', async () => {
    const [lower, upper] = await layers();
    const image = imageOf([{ tar: lower, blob: gzipSync(lower), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' }, { tar: upper, blob: zstdOf(upper), mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' }], config);
    const { stdout } = await ctr('images', 'import', save('layout.tar.gz', gzipSync(await layoutOf(image, { 'org.opencontainers.image.ref.name': 'shop/app:v1' }))));
    assert.match(stdout, /^unpacking docker\.io\/shop\/app:v1 \(sha256:[0-9a-f]{64}\)\.\.\.done\n$/);
    const { id } = await host.runSandbox('layout');
    const container = await host.runContainer(id, 'shop/app:v1');
    await eventually('its log', () => host.log('layout').includes('stdout F started as app in /srv/here with green'));
    const { output } = await host.exec(container, '/bin/busybox', 'sh', '-c', 'cd /; /bin/busybox ls data etc; /bin/busybox ls -d usr 2>&1; /bin/busybox cat /etc/hostname; /bin/busybox test -c /dev/null && echo device');
    assert.match(output, /^data:\nnew\ntwin\n\netc:\ngroup\nhostname\nhosts\n(?:mtab\n)?passwd\nresolv\.conf\nls: usr: No such file or directory\nlayout\ndevice\n$/);
    const { image: found } = await host.connection.images.imageStatus({ image: { image: 'shop/app:v1' } });
    assert.deepEqual([found?.spec?.annotations, found?.username, found?.repoTags], [{}, 'app', ['docker.io/shop/app:v1']]);
  });

  test('out of docker save keeps its tags; removed, it stays as long as a container needs it', async () => {
    const [lower, upper] = await layers();
    const image = imageOf([lower, upper].map((tar) => ({ tar, blob: tar, mediaType: '' })), { ...config, Env: ['COLOUR=blue'] });
    await ctr('images', 'import', save('saved.tar', await dockerSaveOf(image.config, [lower, upper], ['shop/blue:v1', 'registry.local:5000/blue:v2'])));
    assert.deepEqual((await ctr('images', 'ls', '-q')).stdout.split('\n').filter((line) => line.includes('blue')), ['docker.io/shop/blue:v1', 'registry.local:5000/blue:v2']);
    const { id } = await host.runSandbox('saved');
    const container = await host.runContainer(id, 'registry.local:5000/blue:v2');
    await ctr('images', 'rm', 'shop/blue:v1', 'shop/app:v1');
    await host.killRuntime();
    await host.startRuntime();
    assert.equal((await host.exec(container, '/bin/busybox', 'cat', '/data/new')).output, 'new');
    assert.equal((await host.connection.images.imageStatus({ image: { image: 'shop/blue:v1' } })).image, undefined);
    for (const { id: sandbox } of (await host.connection.runtime.listPodSandbox({})).items) await host.connection.runtime.removePodSandbox({ podSandboxId: sandbox });
    await host.killRuntime('SIGTERM');
    await host.startRuntime();
    assert.deepEqual(readdirSync(join(host.folder, 'root/images/layers')), []);
  });

  test('that is broken, unnamed or for another machine is refused', async () => {
    const [lower] = await layers();
    const image = imageOf([{ tar: lower, blob: lower, mediaType: '' }], config);
    const importing = (archive: Buffer, ...more: string[]) => ctr('images', 'import', ...more, save('bad.tar', archive));
    await assert.rejects(importing(await layoutOf(image, {})), /ctr: the archive names no image: give it a name/);
    await importing(await layoutOf(image, {}), '--index-name', 'given:v3');
    assert.match((await ctr('images', 'ls', '-q')).stdout, /^docker\.io\/library\/given:v3$/m);
    await assert.rejects(importing(Buffer.alloc(2048, 1)), /ctr: the archive cannot be read/);
    await assert.rejects(importing(await tarOf({ name: 'README', text: 'x' })), /neither an OCI image layout \(index\.json\) nor what docker save writes/);
    const other = Buffer.from(image.config.toString().replace(/"architecture":"\w+"/, '"architecture":"s390x"'));
    await assert.rejects(importing(await dockerSaveOf(other, [lower], ['other:v1'])), /the image is for s390x, not for/);
    const unknown = imageOf([{ tar: await tarOf({ name: 'unknown' }), blob: Buffer.alloc(0), mediaType: '' }], config);
    await assert.rejects(importing(await dockerSaveOf(unknown.config, [gzipSync(await tarOf({ name: 'x', text: 'y' }))], ['other:v1'])), /is not the archive sha256:[0-9a-f]+ that the image configuration names/);
    await assert.rejects(ctr('images', 'import', '/nowhere.tar'), /no such file/);
    assert.deepEqual(readdirSync(join(host.folder, 'root/images')).filter((name) => name.startsWith('load-')), []);
  });
});
