import assert from 'node:assert/strict';
import { test } from 'node:test';
import { componentStatusExtension } from './component-status.ts';
import { startTestServer } from './testing/test-server.ts';

test('componentstatuses are asked for at every read, as a list, a table and one by one', async () => {
  const server = await startTestServer({ extensions: [componentStatusExtension(() => Promise.resolve())] });
  try {
    const items = (await server.get('/api/v1/componentstatuses')).json['items'] as unknown as { metadata: { name: string } }[];
    assert.deepEqual(items.map(({ metadata }) => metadata.name), ['scheduler', 'controller-manager', 'etcd-0']);
    const table = (await server.get('/api/v1/componentstatuses', { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' })).json;
    assert.deepEqual(table['rows']?.['2']?.['cells'], ['etcd-0', 'Healthy', 'ok', '']);
    assert.equal((await server.get('/api/v1/componentstatuses/etcd-0')).json['conditions']?.['0']?.['status'], 'True');
    assert.equal((await server.get('/api/v1/componentstatuses/none')).code, 404);
    assert.equal((await server.get('/api/v1/componentstatuses?watch=1')).code, 405);
    assert.equal((await server.post('/api/v1/componentstatuses', {})).code, 405);
  } finally {
    await server.close();
  }
});
