import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoints, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { isMirrored, planMirror } from './plan.ts';

const endpoints: Endpoints = {
  metadata: { name: 'db', namespace: 'default', uid: 'ep', labels: { team: 'a' } },
  subsets: [{ addresses: [{ ip: '192.0.2.1' }], notReadyAddresses: [{ ip: '192.0.2.2' }], ports: [{ port: 5432 }] }],
};
const service: Service = { metadata: { name: 'db' }, spec: { ports: [{ port: 5432 }] } };

test('only Endpoints of a Service without selector are mirrored', () => {
  assert.equal(isMirrored(endpoints, service), true);
  assert.equal(isMirrored(endpoints, undefined), false);
  assert.equal(isMirrored(endpoints, { ...service, spec: { selector: { app: 'db' } } }), false);
  assert.equal(isMirrored({ ...endpoints, metadata: { ...endpoints.metadata, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } } }, service), false);
});

test('a slice per family and ports, kept, changed and removed', () => {
  const { create } = planMirror(endpoints, [], 1000);
  assert.deepEqual(create.map(({ addressType, ports, endpoints: list, metadata }) => [addressType, ports, list?.map(({ addresses, conditions }) => [addresses[0], conditions?.ready]), metadata.labels]), [[
    'IPv4', [{ name: '', port: 5432, protocol: 'TCP' }], [['192.0.2.1', true], ['192.0.2.2', false]],
    { team: 'a', 'kubernetes.io/service-name': 'db', 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' },
  ]]);
  const existing = { ...create[0], metadata: { ...create[0]?.metadata, name: 'db-x' } } as EndpointSlice;
  assert.deepEqual(planMirror(endpoints, [existing], 1000), { create: [], update: [], remove: [] });
  assert.equal(planMirror({ ...endpoints, subsets: [{ addresses: [{ ip: '192.0.2.9' }], ports: [{ port: 5432 }] }] }, [existing], 1000).update.length, 1);
  assert.deepEqual(planMirror({ ...endpoints, subsets: [] }, [existing], 1000).remove, [existing]);
});
