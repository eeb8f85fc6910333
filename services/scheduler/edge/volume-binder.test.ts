import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import pino from 'pino';
import { ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import type { PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { node, pod } from '../core/testing/objects.ts';
import { StorageWatch } from './storage-watch.ts';
import { bindVolumes } from './volume-binder.ts';

const CLAIM = '/api/v1/namespaces/default/persistentvolumeclaims/c';
const SELECTED = 'volume.kubernetes.io/selected-node';

async function setUp(context: TestContext) {
  const server = new ObjectServer();
  server.put(CLAIM, { metadata: {}, spec: {} });
  const api = new ApiClient({ server: await server.start() }, 'test');
  const stop = new AbortController();
  const storage = new StorageWatch({ api, environment: { clock: systemClock, random: systemRandom, log: pino({ level: 'silent' }) }, notify: () => undefined });
  let hasSynced = false;
  const running = storage.run(() => (hasSynced = true), stop.signal);
  context.after(async () => {
    stop.abort();
    await running;
    await api.close();
    await server.stop();
  });
  assert.equal(hasSynced, false, 'nothing is asked of the server before it is wanted');
  storage.want();
  await eventually(() => hasSynced);
  const claim = storage.claim('default', 'c');
  assert.ok(claim);
  const provisions = [{ ...claim, metadata: { ...claim.metadata, annotations: { [SELECTED]: 'a' } } }];
  let exists = true;
  const bound = bindVolumes({ api, storage, pod: pod('p'), node: node('a'), plan: { bindings: [], provisions }, podExists: () => exists, signal: stop.signal });
  bound.catch(() => undefined); // awaited by the tests
  await eventually(() => server.get(CLAIM)?.metadata.annotations?.[SELECTED] === 'a', { what: 'the chosen node is on the claim' });
  return { server, bound, deletePod: () => (exists = false) };
}
const change = (server: ObjectServer, annotations: Record<string, string>, spec: Partial<PersistentVolumeClaim['spec']> = {}): void => {
  const claim = server.get(CLAIM);
  server.put(CLAIM, { ...claim, metadata: { ...claim?.metadata, annotations }, spec });
};

test('a pod is bound once its claim is', async (context) => {
  const { server, bound } = await setUp(context);
  change(server, { [SELECTED]: 'a', 'pv.kubernetes.io/bind-completed': 'yes' }, { volumeName: 'v' });
  await bound;
});

test('a provisioner that takes the node back makes the pod be tried again', async (context) => {
  const { server, bound } = await setUp(context);
  change(server, {});
  await assert.rejects(bound, { name: 'VolumesNotBound', message: 'binding volumes: provisioning failed for PVC "c"' });
});

test('nobody waits for the volumes of a pod that is gone', async (context) => {
  const { bound, deletePod } = await setUp(context);
  deletePod();
  await assert.rejects(bound, { message: 'binding volumes: pod does not exist any more: pod "p" not found' });
});
