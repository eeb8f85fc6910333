import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { planPodGc } from './plan.ts';

const pod = (name: string, { node = 'w1', phase = 'Running', deleting = false, created = '2026-01-01T00:00:00Z' } = {}): Pod => ({
  metadata: { name, creationTimestamp: created, ...(deleting ? { deletionTimestamp: '2026-01-02T00:00:00Z' } : {}) },
  spec: { containers: [], ...(node === '' ? {} : { nodeName: node }) }, status: { phase },
});
const nodes = new Map<string, Node>([
  ['w1', { metadata: { name: 'w1' }, spec: {}, status: {} }],
  ['dead', { metadata: { name: 'dead' }, spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] }, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }],
]);
const plan = (pods: Pod[], threshold = 12500) => Object.fromEntries(Object.entries(planPodGc(pods, (name) => nodes.get(name), threshold)).map(([part, list]) => [part, (list as Pod[]).map(({ metadata }) => metadata.name)]));

test('only what nobody else deletes is swept up', () => {
  assert.deepEqual(plan([
    pod('fine'), pod('unscheduled', { node: '', deleting: true }), pod('waiting', { node: '' }), pod('stray', { node: 'gone' }), pod('stuck', { node: 'dead', deleting: true }), pod('kept', { node: 'dead' }),
  ]), { ended: [], unscheduled: ['unscheduled'], outOfService: ['stuck'], onUnknownNodes: ['stray'] });
});

test('ended pods beyond the threshold go, oldest first', () => {
  const pods = ['c', 'a', 'b'].map((name, index) => pod(name, { phase: 'Succeeded', created: `2026-01-0${index + 1}T00:00:00Z` }));
  assert.deepEqual(plan(pods, 1)['ended'], ['c', 'a']);
  assert.deepEqual(plan(pods, 0)['ended'], []);
});
