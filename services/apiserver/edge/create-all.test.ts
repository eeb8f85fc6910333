import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { anyKind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { asServer } from './hooks/ensure.ts';
import { startTestServer, type Json } from './testing/test-server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const wanted = (...names: string[]) => names.map((name) => ({ kind: anyKind(configMapKind), object: { metadata: { name, namespace: 'default' }, data: { a: 'b' } } as unknown as KubernetesObject }));

test('objects created in one write are complete, share a revision and are all told to who watches', async () => {
  const server = await startTestServer();
  try {
    const { json: { metadata } } = await server.get(CONFIG_MAPS);
    const names = Array.from({ length: 150 }, (_, index) => `c${index}`);
    const watching = server.get(`${CONFIG_MAPS}?watch=true&resourceVersion=${metadata?.['resourceVersion']}&timeoutSeconds=1`);
    assert.equal(await server.store.createAll(wanted(...names), asServer), true);
    const items = (await server.get(CONFIG_MAPS)).json['items'] as unknown as Json[];
    assert.deepEqual(items.map((one) => one['metadata']?.['name']).sort(), [...names].sort());
    assert.equal(new Set(items.map((one) => one['metadata']?.['resourceVersion'])).size, 2, 'two writes, of a hundred at most');
    assert.ok(items.every((one) => one['metadata']?.['uid'] && one['metadata']?.['managedFields']?.['0']?.['manager'] === 'kube-apiserver'));
    assert.equal((await watching).text.trim().split('\n').length, 150);
    assert.equal(await server.store.createAll(wanted('new', 'c0'), asServer), false);
    assert.equal((await server.get(`${CONFIG_MAPS}/new`)).code, 404, 'none, when one of them is there');
  } finally {
    await server.close();
  }
});
