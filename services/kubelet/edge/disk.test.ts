import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile, appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import pino from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import type { Pod, Volume } from '#lib/kinds/types/core-v1.ts';
import type { Payload } from '../core/volume-payload.ts';
import { pod } from '../core/testing.ts';
import { writeAtomically } from './atomic-writer.ts';
import { readLog, type ReadOptions } from './container-log.ts';
import { servingCertificate } from './server/certificate.ts';
import { watchStaticPods } from './static-source.ts';
import { Volumes } from './volumes.ts';

const DEADLINE_MS = 5_000;

async function folder(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kubelet-test-'));
  context.after(() => rm(path, { recursive: true, force: true }));
  return path;
}
const payload = (files: Record<string, string>): Payload => new Map(Object.entries(files).map(([path, text]) => [path, { content: Buffer.from(text), mode: 0o640 }]));

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + DEADLINE_MS;
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('files of a volume change all at once, and names that went are removed', async (context) => {
  const path = await folder(context);
  assert.equal(await writeAtomically(path, payload({ a: '1', 'sub/b': '2' })), true);
  assert.equal(await readFile(join(path, 'sub/b'), 'utf8'), '2');
  assert.equal((await stat(join(path, 'a'))).mode & 0o777, 0o640);
  const first = await readlink(join(path, '..data'));
  assert.equal(await writeAtomically(path, payload({ a: '1', 'sub/b': '2' })), false);
  assert.equal(await readlink(join(path, '..data')), first);
  assert.equal(await writeAtomically(path, payload({ a: '3' })), true);
  assert.deepEqual((await readdir(path)).filter((name) => !name.startsWith('..2')).sort(), ['..data', 'a']);
  assert.equal((await readdir(path)).filter((name) => name.startsWith('..2')).length, 1);
  assert.equal(await readFile(join(path, 'a'), 'utf8'), '3');
});

test('a file cannot be written outside its volume', async (context) => {
  const path = await folder(context);
  await assert.rejects(writeAtomically(path, payload({ '../x': '1' })), { name: 'VolumeError' });
  await assert.rejects(writeAtomically(path, payload({ '/x': '1' })), { name: 'VolumeError' });
});

const inputs = (of: Pod) => ({ pod: of, objects: { configMap: () => undefined, secret: () => undefined }, context: { podIPs: [], hostIPs: [], nodeName: 'w1', nodeAllocatable: {} } });
const podWith = (volume: Volume): Pod => pod({ volumes: [volume], containers: [{ name: 'a', image: 'nginx', volumeMounts: [{ name: volume.name, mountPath: '/v' }] }] });

test('an emptyDir is made, keeps its files, and goes with the pod', async (context) => {
  const root = await folder(context);
  const volumes = new Volumes({ root, tokens: undefined });
  const one = podWith({ name: 'v', emptyDir: {} });
  assert.deepEqual(await volumes.setUp(inputs(one)), []);
  const path = volumes.pathOf('u1', { name: 'v', emptyDir: {} });
  assert.equal((await stat(path)).mode & 0o777, 0o777);
  await writeFile(join(path, 'x'), 'kept');
  await volumes.setUp(inputs(one));
  assert.equal(await readFile(join(path, 'x'), 'utf8'), 'kept');
  await volumes.tearDownVolumes('u1');
  await volumes.removePod('u1');
  assert.deepEqual(await volumes.podsOnDisk(), []);
});

test('a host path must be what its type says, or is made', async (context) => {
  const root = await folder(context);
  await writeFile(join(root, 'file'), '');
  const setUp = (path: string, type: string) => new Volumes({ root, tokens: undefined }).setUp(inputs(podWith({ name: 'v', hostPath: { path: join(root, path), type } })));
  assert.deepEqual(await setUp('made/deep', 'DirectoryOrCreate'), []);
  assert.equal((await stat(join(root, 'made/deep'))).isDirectory(), true);
  assert.deepEqual(await setUp('new', 'FileOrCreate'), []);
  assert.deepEqual(await setUp('file', 'Directory'), [{ volume: 'v', reason: 'FailedMount', message: `MountVolume.SetUp failed for volume "v" : hostPath type check failed: ${join(root, 'file')} is not a directory` }]);
  assert.deepEqual(await setUp('none', 'Socket'), [{ volume: 'v', reason: 'FailedMount', message: `MountVolume.SetUp failed for volume "v" : hostPath type check failed: ${join(root, 'none')} is not a socket file` }]);
});

test('an emptyDir keeps the rights that its containers gave it when the kubelet starts anew', async (context) => {
  const root = await folder(context);
  const one = podWith({ name: 'v', emptyDir: {} });
  const first = new Volumes({ root, tokens: undefined });
  await first.setUp(inputs(one));
  const path = first.pathOf('u1', { name: 'v', emptyDir: {} });
  await chmod(path, 0o700);
  await new Volumes({ root, tokens: undefined }).setUp(inputs(one));
  assert.equal((await stat(path)).mode & 0o777, 0o700);
});

test('a claim without a server, and a file server that is not there, are told as they are', async (context) => {
  const root = await folder(context);
  const failures = async (volume: Volume) => new Volumes({ root, tokens: undefined }).setUp(inputs(podWith(volume)));
  assert.deepEqual((await failures({ name: 'v', persistentVolumeClaim: { claimName: 'c' } })).map(({ message }) => message),
    ['Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process volumes=[v]: error processing PVC default/c: this kubelet has no API server']);
  assert.match((await failures({ name: 'v', nfs: { server: '127.0.0.1', path: '/none' } }))[0]?.message ?? '',
    /^MountVolume.SetUp failed for volume "v" : mount failed: .+\nMounting command: mount\nMounting arguments: -t nfs 127\.0\.0\.1:\/none .+\/kubernetes\.io~nfs\/v\nOutput: .+/s);
});

test('a missing ConfigMap fails the volume with upstream\'s words', async (context) => {
  const volumes = new Volumes({ root: await folder(context), tokens: undefined });
  assert.deepEqual(await volumes.setUp(inputs(podWith({ name: 'v', configMap: { name: 'no' } }))), [{ volume: 'v', reason: 'FailedMount', message: 'MountVolume.SetUp failed for volume "v" : configmap "no" not found' }]);
});

test('a subPath may not lead out of its volume, not even by a link', async (context) => {
  const root = await folder(context);
  const volumes = new Volumes({ root, tokens: undefined });
  const volume: Volume = { name: 'v', emptyDir: {} };
  const one = podWith(volume);
  await volumes.setUp(inputs(one));
  const mount = { name: 'v', mountPath: '/v' };
  assert.equal((await volumes.mountSource(one, volume, mount, 'a/b')).endsWith('/v/a/b'), true);
  assert.equal((await stat(join(volumes.pathOf('u1', volume), 'a/b'))).mode & 0o777, 0o777, 'it has the rights of the volume');
  await symlink('/etc', join(volumes.pathOf('u1', volume), 'out'));
  await assert.rejects(volumes.mountSource(one, volume, mount, 'out/kubelet-test-never-made'), { name: 'ConfigurationError' });
  await assert.rejects(stat('/etc/kubelet-test-never-made'), { code: 'ENOENT' });
  await assert.rejects(volumes.mountSource(one, volume, mount, 'out'), { name: 'ConfigurationError' });
  await assert.rejects(volumes.mountSource(one, volume, mount, '../x'), { name: 'ConfigurationError' });
});

const LINES = ['one', 'two', 'three'].map((text, index) => `2026-01-01T00:00:0${index}.000000000Z ${index === 1 ? 'stderr' : 'stdout'} F ${text}\n`).join('');

async function textOf(path: string, options: Partial<ReadOptions> = {}): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of readLog(path, { signal: new AbortController().signal, ...options })) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

test('a log is read whole, from its end, since a time, by stream and up to a size', async (context) => {
  const path = join(await folder(context), '0.log');
  await writeFile(path, LINES);
  assert.equal(await textOf(path), 'one\ntwo\nthree\n');
  assert.equal(await textOf(path, { tailLines: 2 }), 'two\nthree\n');
  assert.equal(await textOf(path, { tailLines: 0 }), '');
  assert.equal(await textOf(path, { tailLines: 99 }), 'one\ntwo\nthree\n');
  assert.equal(await textOf(path, { sinceMs: Date.parse('2026-01-01T00:00:01Z') }), 'two\nthree\n');
  assert.equal(await textOf(path, { stream: 'stderr' }), 'two\n');
  assert.equal(await textOf(path, { limitBytes: 5 }), 'one\nt');
  assert.equal(await textOf(path, { timestamps: true, tailLines: 1 }), '2026-01-01T00:00:02.000000000Z three\n');
});

test('a follower sees new lines, goes on after rotation and ends with its container', async (context) => {
  const path = join(await folder(context), '0.log');
  await writeFile(path, LINES);
  let isLive = true;
  let seen = '';
  const reading = (async () => {
    for await (const piece of readLog(path, { follow: true, isLive: async () => isLive, signal: AbortSignal.timeout(DEADLINE_MS) })) seen += piece.toString('utf8');
  })();
  await until('the old lines are read', () => seen.endsWith('three\n'));
  await appendFile(path, '2026-01-01T00:00:03.000000000Z stdout F four\n');
  await until('the new line is read', () => seen.endsWith('four\n'));
  await rename(path, `${path}.20260101-000004`);
  await writeFile(path, '2026-01-01T00:00:05.000000000Z stdout F five\n');
  await until('the line after rotation is read', () => seen.endsWith('five\n'));
  isLive = false;
  await reading;
  assert.equal(seen, 'one\ntwo\nthree\nfour\nfive\n');
});

test('static pods come and go with their files, and a manifest that cannot be read keeps what ran', async (context) => {
  const path = join(await folder(context), 'manifests');
  const stop = new AbortController();
  let pods: readonly Pod[] | undefined;
  const log = pino({ level: 'silent' });
  const watching = watchStaticPods({ path, nodeName: 'm-k8s', checkFrequencyMs: 60_000, clock: systemClock, random: systemRandom, log, onPods: (next) => (pods = next), signal: stop.signal });
  await until('the folder is read', () => pods?.length === 0);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'etcd.yaml'), 'kind: Pod\nmetadata: {name: etcd}\nspec: {containers: [{name: etcd, image: etcd}]}\n');
  await until('the pod is there', () => pods?.[0]?.metadata.name === 'etcd-m-k8s');
  const [before] = pods ?? [];
  await writeFile(join(path, 'etcd.yaml'), 'kind: Pod\nmetadata: {na');
  await writeFile(join(path, 'other.yaml'), 'kind: Pod\nmetadata: {name: other}\nspec: {containers: [{name: a, image: b}]}\n');
  await until('the other pod is there', () => pods?.length === 2);
  assert.equal(pods?.[0], before);
  await rm(join(path, 'etcd.yaml'));
  await until('the first pod is gone', () => pods?.length === 1 && pods[0]?.metadata.name === 'other-m-k8s');
  stop.abort(new Error('done'));
  await watching;
});

test('the serving certificate is made once and kept', async (context) => {
  const options = { certFile: '', keyFile: '', folder: join(await folder(context), 'pki'), hostname: 'w1-k8s', addresses: ['192.168.1.101'], nowMs: Date.now() };
  const first = await servingCertificate(options);
  assert.deepEqual(await servingCertificate(options), first);
  assert.equal((await stat(join(options.folder, 'kubelet.key'))).mode & 0o777, 0o600);
});
