import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Pod, ResourceQuota } from '#lib/kinds/types/core-v1.ts';
import { objectCountName } from '#lib/quota/usage.ts';
import { quotaStatus, resourcesOf } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const pod = (cpu: string, phase = 'Running'): Pod => ({ metadata: { name: cpu }, spec: { containers: [{ name: 'c', resources: { requests: { cpu } } }] }, status: { phase } });
const status = (quota: ResourceQuota, pods: KubernetesObject[]) =>
  quotaStatus(quota, new Map(resourcesOf(quota).map((resource) => [resource, resource.plural === 'pods' ? pods : []])), NOW);

test('the resources that a quota is about', () => {
  const quota: ResourceQuota = { metadata: { name: 'q' }, spec: { hard: { 'requests.cpu': '1', 'count/deployments.apps': '2', secrets: '5', 'requests.storage': '1Gi' } } };
  assert.deepEqual(resourcesOf(quota).map(objectCountName), ['count/pods', 'count/deployments.apps', 'count/secrets', 'count/persistentvolumeclaims']);
});

test('usage is summed by name, and nothing is zero rather than absent', () => {
  const quota: ResourceQuota = { metadata: { name: 'q' }, spec: { hard: { pods: '4', cpu: '2', 'count/jobs.batch': '1', services: '3' } } };
  assert.deepEqual(status(quota, [pod('500m'), pod('250m'), pod('9', 'Succeeded')]), {
    hard: { pods: '4', cpu: '2', 'count/jobs.batch': '1', services: '3' }, used: { pods: '2', cpu: '750m', 'count/jobs.batch': '0', services: '0' },
  });
});

test('a scope leaves out what it is not about', () => {
  const quota: ResourceQuota = { metadata: { name: 'q' }, spec: { hard: { pods: '4' }, scopes: ['BestEffort'] } };
  assert.deepEqual(status(quota, [pod('500m'), { ...pod('1'), spec: { containers: [] } }]).used, { pods: '1' });
});
