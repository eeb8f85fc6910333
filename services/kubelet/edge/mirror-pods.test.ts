// Mirror pods while the API server comes and goes.
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { connectToApiserver } from '#lib/api-client/client.ts';
import { steadyClock } from '#lib/environment/clock.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { MirrorPods } from './mirror-pods.ts';

const PATH = '/api/v1/namespaces/kube-system/pods/web-w1';
const server = new ObjectServer();
const stop = new AbortController();
let url = '';
before(async () => {
  url = await server.start();
});
after(async () => {
  stop.abort();
  await server.stop();
});

const webPod = (hash: string): Pod => ({
  metadata: { name: 'web-w1', namespace: 'kube-system', uid: hash, annotations: { 'kubernetes.io/config.hash': hash, 'kubernetes.io/config.source': 'file' } },
  spec: { containers: [{ name: 'web' }], nodeName: 'w1' },
}) as unknown as Pod;
const hashInApi = (): string | undefined => server.get(PATH)?.metadata.annotations?.['kubernetes.io/config.mirror'];

/** `seen`: what the kubelet has heard of the mirror by now, which may be less than the server knows. */
function mirrorPods(seen: () => Pod | undefined) {
  const retried: string[] = [];
  const mirrors: MirrorPods = new MirrorPods({
    api: connectToApiserver({ server: url }, 'test'), apiPod: seen, isSynced: () => true, node: () => ({ metadata: { name: 'w1', uid: 'node-1' } }) as unknown as Node,
    retry: (pod) => {
      retried.push(pod.metadata.uid ?? '');
      mirrors.keep(pod);
    },
    clock: { ...steadyClock, sleep: (_durationMs, signal) => steadyClock.sleep(20, signal) }, random: { fraction: () => 0 }, log: pino({ level: 'silent' }), signal: stop.signal,
  });
  return { mirrors, retried };
}
const inApi = (): Pod | undefined => server.get(PATH) as Pod | undefined;

test('a mirror that could not be made is made as soon as the server is back, without anybody asking again', async () => {
  const { mirrors, retried } = mirrorPods(inApi);
  await server.stop();
  mirrors.keep(webPod('first'));
  await eventually(() => retried.length >= 2, { what: 'further attempts' });
  await server.start('127.0.0.1', Number(new URL(url).port));
  await eventually(() => hashInApi() === 'first', { what: 'the mirror' });
});

test('a manifest that changes while its mirror is being made is what the mirror shows in the end', async () => {
  const { mirrors } = mirrorPods(inApi);
  mirrors.keep(webPod('second'));
  mirrors.keep(webPod('third'));
  mirrors.keep(webPod('fourth'));
  await eventually(() => hashInApi() === 'fourth', { what: 'the mirror of the newest manifest' });
});
