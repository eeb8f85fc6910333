import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicationController } from '#lib/kinds/types/core-v1.ts';
import { planReplicaSet } from '../replicaset/plan.ts';
import { asReplicaSet, replicationControllerStatus } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const controller: ReplicationController = {
  metadata: { name: 'old', namespace: 'default', uid: 'rc', generation: 1 }, spec: { replicas: 2, selector: { app: 'old' }, template: { metadata: { name: '', labels: { app: 'old' } } } },
};

test('a ReplicationController is planned like a ReplicaSet, and shows no terminating replicas', () => {
  assert.deepEqual(planReplicaSet(asReplicaSet(controller), [], [], 500, NOW), { type: 'create', count: 2 });
  assert.deepEqual(replicationControllerStatus(controller, [], undefined, NOW), { replicas: 0, fullyLabeledReplicas: 0, readyReplicas: 0, availableReplicas: 0, observedGeneration: 1, conditions: [] });
});
