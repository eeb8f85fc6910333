// Images of one's own with an unmodified kubectl: loaded on all hosts, as root and as an ordinary user; pull policies; what a
// name that leads nowhere looks like.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { imageOf, layoutOf, tarOf } from '../../services/container-runtime/edge/testing/archives.ts';
import { ordinaryUserProblem, TestCluster, until, type ClusterUser } from './cluster.ts';

const BUSYBOX = '/usr/bin/busybox';
const IMAGE = 'shop/web:v1';
const hasStaticBusybox = existsSync(BUSYBOX) && spawnSync('ldd', [BUSYBOX]).status !== 0;
const ordinaryProblem = (await ordinaryUserProblem()) ?? false;

interface PodView {
  readonly status: { readonly containerStatuses?: readonly { readonly ready: boolean; readonly image: string; readonly state: { readonly waiting?: { readonly reason: string; readonly message?: string } } }[] };
}
interface Event { readonly reason: string; readonly message: string; readonly involvedObject: { readonly name: string } }

async function archive(): Promise<Buffer> {
  const folder = (name: string) => ({ name, type: 'directory' as const, mode: 0o755 });
  const lower = await tarOf(folder('bin/'), { name: 'bin/busybox', text: readFileSync(BUSYBOX), mode: 0o755 }, folder('www/'), { name: 'www/index.html', text: 'old\n' }, { name: 'www/removed', text: 'x' });
  const upper = await tarOf(folder('www/'), { name: 'www/index.html', text: 'loaded\n' }, { name: 'www/.wh.removed' });
  const image = imageOf([lower, upper].map((tar) => ({ tar, blob: gzipSync(tar), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' })), { Cmd: ['/bin/busybox', 'httpd', '-f', '-p', '80', '-h', '/www'] });
  return layoutOf(image, { 'io.containerd.image.name': `docker.io/${IMAGE}` });
}

function defineImageTests(title: string, user: ClusterUser, skip: string | false): void {
  describe(title, { timeout: 300_000, skip: !hasStaticBusybox ? 'needs a static busybox' : skip }, () => {
    let cluster: TestCluster;
    before(async () => { cluster = await TestCluster.start(user); });
    const scratch = mkdtempSync(join(tmpdir(), 'kubreak-images-'));
    chmodSync(scratch, 0o755);
    after(async () => {
      rmSync(scratch, { recursive: true, force: true });
      await cluster.down();
    });

    const pod = (name: string, image: string, imagePullPolicy?: string): object => ({
      apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image, ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }) }] },
    });
    const create = async (...items: object[]): Promise<void> => {
      await cluster.kubectlOk('create', '-f', cluster.writeFile(`${items.length}-${title.length}.json`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items })));
    };
    const container = async (name: string) => (await cluster.json<PodView>('get', 'pod', name)).status.containerStatuses?.[0];
    const waiting = (name: string, ...reasons: string[]) => until(`${name} is ${reasons.join(' or ')}`, async () => {
      const state = (await container(name))?.state.waiting;
      return state !== undefined && reasons.includes(state.reason) && state;
    });

    test('an archive is loaded on every host and runs under every pull policy', async () => {
      const path = join(scratch, 'image.tar');
      writeFileSync(path, await archive());
      const { code, stdout, stderr } = await cluster.kubreak(['image', 'load', path]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(stdout.trim().split('\n'), ['m-k8s', 'w1-k8s', 'w2-k8s', 'w3-k8s'].map((host) => `${host}: loaded docker.io/${IMAGE}`));
      await create(pod('absent', IMAGE, 'IfNotPresent'), pod('always', IMAGE, 'Always'), pod('never', IMAGE, 'Never'));
      for (const name of ['absent', 'always', 'never']) {
        const running = await until(`${name} is Ready`, async () => { const status = await container(name); return status?.ready === true && status; });
        assert.equal(running.image, `docker.io/${IMAGE}`);
      }
      assert.equal((await cluster.kubectlOk('exec', 'never', '--', '/bin/busybox', 'cat', '/www/index.html')).trim(), 'loaded');
      assert.equal((await cluster.kubectlOk('exec', 'never', '--', '/bin/busybox', 'ls', '/www')).trim(), 'index.html');
      assert.match((await cluster.kubreak(['image', 'list', '--host', 'w2-k8s'])).stdout, /^w2-k8s {2}docker\.io\/shop\/web:v1$/m);
    });

    test('what leads nowhere says so as upstream says it', async () => {
      await create(pod('missing', 'nobody/knows:v1', 'Never'), pod('unknown', 'nobody/knows:v1'), pod('tag', 'nginx:1.17.23'), pod('malformed', 'Bad/Name:v1'), { ...pod('stand-in', 'busybox') });
      assert.equal((await waiting('missing', 'ErrImageNeverPull')).message, 'Container image "nobody/knows:v1" is not present with pull policy of Never');
      assert.match((await waiting('malformed', 'InvalidImageName')).message ?? '', /couldn't parse image name "Bad\/Name:v1": repository name must be lowercase/);
      await waiting('unknown', 'ErrImagePull', 'ImagePullBackOff');
      assert.match((await waiting('tag', 'ImagePullBackOff')).message ?? '', /^Back-off pulling image "nginx:1\.17\.23": ErrImagePull: .*docker\.io\/library\/nginx:1\.17\.23: not found$/);
      await until('the stand-in is told', async () => (await cluster.json<{ items: Event[] }>('get', 'events')).items.some(({ reason, message, involvedObject }) =>
        involvedObject.name === 'stand-in' && reason === 'StandInImage' && message === 'Image "busybox" is a built-in stand-in, not the published image'));
    });

    test('an archive that is none is refused, and a host that is none', async () => {
      const path = cluster.writeFile('none.tar', 'nothing');
      chmodSync(path, 0o644);
      const broken = await cluster.kubreak(['image', 'load', path, '--host', 'w1-k8s']);
      assert.equal(broken.code, 1);
      assert.match(broken.stderr, /^kubreak: w1-k8s: the archive /);
      assert.equal((await cluster.kubreak(['image', 'load', '/nowhere.tar'])).code, 2);
      assert.equal((await cluster.kubreak(['image', 'load', path, '--host', 'w9-k8s'])).code, 2);
    });
  });
}

defineImageTests('images, as root', 'self', false);
defineImageTests('images, as an ordinary user', 'ordinary', ordinaryProblem);
