import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, ResourceQuota } from '#lib/kinds/types/core-v1.ts';
import { formatQuantity } from '#lib/machinery/quantity.ts';
import { quotaCovers } from './scopes.ts';
import { isTrackedBy, masked, usageOf, type Amounts } from './usage.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const pods = { group: '', plural: 'pods' };
const pod = (spec: Partial<Pod['spec']>, phase = 'Running'): Pod => ({ metadata: { name: 'p' }, spec: { containers: [], ...spec }, status: { phase } });
const busy = pod({ containers: [{ name: 'a', resources: { requests: { cpu: '100m', memory: '64Mi', 'example.com/gpu': '1' }, limits: { cpu: '1' } } }, { name: 'b', resources: { requests: { cpu: '150m' } } }] });
const texts = (amounts: Amounts) => Object.fromEntries([...amounts].map(([name, amount]) => [name, formatQuantity(amount)]));

test('a pod counts itself and what its containers ask for', () => {
  assert.deepEqual(texts(usageOf(pods, busy, NOW)), {
    'count/pods': '1', pods: '1', cpu: '250m', 'requests.cpu': '250m', memory: '64Mi', 'requests.memory': '64Mi', 'requests.example.com/gpu': '1', 'limits.cpu': '1',
  });
});

test('a pod that has ended, or should have long ago, is only an object in the store', () => {
  assert.deepEqual(texts(usageOf(pods, pod({}, 'Failed'), NOW)), { 'count/pods': '1' });
  const overdue = { ...busy, metadata: { ...busy.metadata, deletionTimestamp: '2026-01-01T11:58:00Z', deletionGracePeriodSeconds: 30 } };
  assert.deepEqual(texts(usageOf(pods, overdue, NOW)), { 'count/pods': '1' });
  assert.equal(usageOf(pods, overdue, Date.parse('2026-01-01T11:58:10Z')).has('pods'), true);
});

test('services, claims and other kinds', () => {
  const service = { metadata: { name: 's' }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }, { port: 443 }] } };
  assert.deepEqual(texts(usageOf({ group: '', plural: 'services' }, service, NOW)), { services: '1', 'count/services': '1', 'services.nodeports': '2', 'services.loadbalancers': '1' });
  const claim = { metadata: { name: 'c' }, spec: { storageClassName: 'gold', resources: { requests: { storage: '1Gi' } } } };
  assert.deepEqual(texts(usageOf({ group: '', plural: 'persistentvolumeclaims' }, claim, NOW)), {
    persistentvolumeclaims: '1', 'count/persistentvolumeclaims': '1', 'gold.storageclass.storage.k8s.io/persistentvolumeclaims': '1', 'requests.storage': '1Gi', 'gold.storageclass.storage.k8s.io/requests.storage': '1Gi',
  });
  assert.deepEqual(texts(usageOf({ group: 'apps', plural: 'deployments' }, { metadata: { name: 'd' } }, NOW)), { 'count/deployments.apps': '1' });
  assert.deepEqual(texts(usageOf({ group: '', plural: 'secrets' }, { metadata: { name: 'd' } }, NOW)), { 'count/secrets': '1', secrets: '1' });
});

test('which kinds a limit is about', () => {
  assert.equal(isTrackedBy(pods, 'requests.nvidia.com/gpu'), true);
  assert.equal(isTrackedBy(pods, 'requests.storage'), false);
  assert.equal(isTrackedBy({ group: '', plural: 'persistentvolumeclaims' }, 'requests.storage'), true);
  assert.equal(isTrackedBy({ group: 'batch', plural: 'jobs' }, 'count/jobs.batch'), true);
  assert.equal(isTrackedBy({ group: 'batch', plural: 'jobs' }, 'pods'), false);
});

test('scopes', () => {
  const covers = (spec: ResourceQuota['spec'], object: Pod) => quotaCovers({ metadata: { name: 'q' }, spec }, pods, object);
  assert.equal(covers({}, busy), true);
  assert.equal(covers({ scopes: ['BestEffort'] }, busy), false);
  assert.equal(covers({ scopes: ['NotBestEffort', 'NotTerminating'] }, busy), true);
  assert.equal(covers({ scopes: ['Terminating'] }, pod({ activeDeadlineSeconds: 5 })), true);
  const high = { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }] } };
  assert.equal(covers(high, pod({ priorityClassName: 'high' })), true);
  assert.equal(covers(high, busy), false);
  assert.equal(quotaCovers({ metadata: { name: 'q' }, spec: { scopes: ['BestEffort'] } }, { group: '', plural: 'services' }, { metadata: { name: 's' } }), false);
});

test('amounts are masked by name', () => {
  const usage = usageOf(pods, busy, NOW);
  assert.deepEqual(texts(masked(usage, ['cpu'])), { cpu: '250m' });
});
