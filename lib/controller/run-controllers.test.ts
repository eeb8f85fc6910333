import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import pino from 'pino';
import { Registry } from 'prom-client';
import { ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { defineController, definePeriodic, done, mapped, owned, retryAfterMs, type Controller } from './define-controller.ts';
import { OwnWrites } from './own-writes.ts';
import { runControllers } from './run-controllers.ts';
import { SharedCache } from './shared-cache.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
const SECRETS = '/api/v1/namespaces/default/secrets';

describe('controllers', () => {
  let server: ObjectServer;
  let api: ApiClient;
  let stopping: AbortController;
  let running: Promise<void> | undefined;
  let metrics: Registry;
  before(async () => {
    server = new ObjectServer();
    api = new ApiClient({ server: await server.start() }, 'test');
  });
  after(async () => {
    await stop();
    await api.close();
    await server.stop();
  });
  beforeEach(async () => {
    await stop();
    for (const path of server.paths()) server.remove(path);
    stopping = new AbortController();
    metrics = new Registry();
  });
  async function stop(): Promise<void> {
    stopping?.abort(new Error('test is over'));
    await running;
    running = undefined;
  }
  const common = () => ({ clock: systemClock, random: systemRandom, log: pino({ level: 'silent' }) });
  function start(...controllers: Controller[]): SharedCache {
    const cache = new SharedCache({ api, ...common() });
    running = runControllers({ controllers, cache, clientFor: () => api, metrics, signal: stopping.signal, ...common() });
    return cache;
  }

  test('what is there at the start and what changes later is reconciled, deletions too', async () => {
    server.put(`${MAPS}/early`, {});
    const seen: string[] = [];
    start(defineController({
      name: 'test', reconciles: configMapKind,
      reconcile: async ({ namespace, name }, { cache }) => {
        seen.push(`${name}=${cache.get(configMapKind, namespace, name)?.data?.['v'] ?? 'gone'}`);
        return done;
      },
    }));
    await eventually(() => seen.includes('early=gone'), { what: 'the first look' });
    server.put(`${MAPS}/late`, { data: { v: '1' } });
    await eventually(() => seen.includes('late=1'), { what: 'the addition' });
    server.remove(`${MAPS}/late`);
    await eventually(() => seen.at(-1) === 'late=gone', { what: 'the deletion' });
  });

  test('an event about an owned object wakes its owner; one that changes hands wakes both', async () => {
    for (const name of ['a', 'b']) server.put(`${MAPS}/${name}`, { metadata: { uid: `uid-of-${name}` } });
    const woken: string[] = [];
    const ownerOf = (name: string) => [controllerReference({ metadata: { name, uid: `uid-of-${name}` } }, configMapKind)];
    const cache = start(defineController({
      name: 'test', reconciles: configMapKind, alsoWatches: [owned(secretKind)],
      reconcile: async ({ name }) => (woken.push(name), done),
    }));
    await eventually(() => woken.length === 2, { what: 'the start' });
    server.put(`${SECRETS}/child`, { metadata: { ownerReferences: ownerOf('a') } });
    await eventually(() => woken[2] === 'a', { what: 'the owner' });
    const [owner] = cache.list(configMapKind).filter(({ metadata }) => metadata.name === 'a');
    assert.deepEqual(cache.ownedBy(owner ?? assert.fail(), secretKind).map(({ metadata }) => metadata.name), ['child']);
    server.put(`${SECRETS}/child`, { metadata: { ownerReferences: ownerOf('b') } });
    await eventually(() => woken.length === 5, { what: 'both owners' });
    assert.deepEqual(woken.slice(3).sort(), ['a', 'b']);
  });

  test('a failed reconcile comes back, and one that asks for time comes back after it', async () => {
    server.put(`${MAPS}/flaky`, {});
    let calls = 0;
    start(defineController({
      name: 'test', reconciles: configMapKind,
      reconcile: async () => {
        calls += 1;
        if (calls < 3) throw new Error('not yet');
        return calls === 3 ? retryAfterMs(10) : done;
      },
    }));
    await eventually(() => calls === 4, { what: 'four calls' });
    const text = await metrics.metrics();
    assert.match(text, /workqueue_retries_total\{name="configmap"\} 2/);
    assert.match(text, /workqueue_depth\{name="configmap"\} 0/);
  });

  test('a controller that counts never makes one too many, however late its cache is', async () => {
    server.put(`${MAPS}/owner`, {});
    let made = 0;
    const wanted = 5;
    start(defineController({
      name: 'test', reconciles: configMapKind, alsoWatches: [mapped(secretKind, () => ['default/owner'])], workers: 3,
      reconcile: async ({ namespace }, { cache, api: writes }) => {
        // One at a time, so that each reconcile rests on the one before.
        if (cache.list(secretKind, namespace).length >= wanted) return done;
        made += 1;
        await writes.create(secretKind, { metadata: { name: `made-${made}`, namespace } });
        return retryAfterMs(0);
      },
    }));
    await eventually(() => server.paths().filter((path) => path.startsWith(SECRETS)).length >= wanted, { what: 'all made' });
    server.put(`${MAPS}/owner`, { data: { touched: 'yes' } });
    await eventually(async () => (await metrics.metrics()).includes('workqueue_depth{name="configmap"} 0'), { what: 'an idle queue' });
    assert.equal(made, wanted);
  });

  test('an outage of the API server passes', async () => {
    server.put(`${MAPS}/before`, {});
    const seen = new Set<string>();
    start(defineController({ name: 'test', reconciles: configMapKind, reconcile: async ({ name }) => (seen.add(name), done) }));
    await eventually(() => seen.has('before'));
    server.setDown(true);
    server.put(`${MAPS}/meanwhile`, {});
    server.setDown(false);
    await eventually(() => seen.has('meanwhile'), { deadlineMs: 10_000, what: 'what happened meanwhile' });
  });

  test('periodic work runs again when it is woken, and survives its failures', async () => {
    let runs = 0;
    start(definePeriodic({
      name: 'sweeper', reads: [anyKind(configMapKind)], periodMs: 60_000,
      wokenBy: [{ kind: anyKind(configMapKind), isRelevant: (next) => next.metadata.name === 'alarm' }],
      run: async () => {
        runs += 1;
        if (runs === 1) throw new Error('first run fails');
        return undefined;
      },
    }));
    await eventually(() => runs === 1);
    server.put(`${MAPS}/other`, {});
    server.put(`${MAPS}/alarm`, {});
    await eventually(() => runs === 2, { what: 'the second run' });
  });

  test('a write is pending until the cache shows it, or a deletion until the object is gone', async () => {
    const cache = new SharedCache({ api, ...common() });
    cache.informer(configMapKind);
    const writes = new OwnWrites(cache);
    server.put(`${MAPS}/x`, { metadata: { uid: 'u1' } });
    running = cache.run(stopping.signal);
    await cache.informer(configMapKind).synced(stopping.signal);
    const version = Number(server.get(`${MAPS}/x`)?.metadata.resourceVersion);
    writes.wrote('key', configMapKind as never, { metadata: { resourceVersion: String(version + 1) } }, 0);
    assert.equal(writes.arePending('key', 0), true);
    assert.equal(writes.arePending('other', 0), false);
    server.put(`${MAPS}/y`, {});
    await eventually(() => !writes.arePending('key', 0), { what: 'the write' });
    writes.deleted('key', configMapKind as never, { namespace: 'default', name: 'x', uid: 'u1' }, 0);
    assert.equal(writes.arePending('key', 0), true);
    assert.equal(writes.arePending('key', 300_000), false, 'given up after five minutes');
    writes.deleted('key', configMapKind as never, { namespace: 'default', name: 'x', uid: 'u1' }, 0);
    server.remove(`${MAPS}/x`);
    await eventually(() => !writes.arePending('key', 0), { what: 'the deletion' });
  });
});
