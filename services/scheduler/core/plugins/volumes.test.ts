import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec, Pod } from '#lib/kinds/types/core-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';
import { chooseNode, type Decision } from '../choose-node.ts';
import { fitErrorText } from '../fit-error.ts';
import type { ClusterView } from '../framework.ts';
import { AssumedStorage, type Storage } from '../storage.ts';
import { cluster, node, pod, storage } from '../testing/objects.ts';
import { defaultPlugins } from './registry.ts';

const COMPLETED = { 'pv.kubernetes.io/bind-completed': 'yes' };
const waiting: StorageClass = { metadata: { name: 'standard' }, provisioner: 'kubreak.dev/local-path', volumeBindingMode: 'WaitForFirstConsumer' };
const byHand: StorageClass = { metadata: { name: 'local' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' };
const claim = (name: string, spec: Partial<PersistentVolumeClaimSpec> = {}, annotations: Record<string, string> = {}): PersistentVolumeClaim => ({
  metadata: { name, namespace: 'default', uid: `uid-${name}`, annotations, resourceVersion: '5' },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'standard', resources: { requests: { storage: '1Gi' } }, ...spec },
});
const volume = (name: string, host: string | undefined, spec: Partial<PersistentVolumeSpec> = {}): PersistentVolume => ({
  metadata: { name, resourceVersion: '5' }, status: { phase: 'Available' },
  spec: {
    accessModes: ['ReadWriteOnce'], storageClassName: 'local', capacity: { storage: '1Gi' }, ...spec,
    ...(host === undefined ? {} : { nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] }] } } }),
  },
});
const using = (...claims: string[]): Pod => pod('p', { volumes: claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } })) });
const view = (objects: Parameters<typeof storage>[0] | Storage, ...nodes: readonly [Node, ...Pod[]][]): ClusterView =>
  ({ ...cluster(...(nodes.length > 0 ? nodes : [[node('a')], [node('b')]] as [Node][])), storage: objects && 'claim' in objects ? objects : storage(objects as Parameters<typeof storage>[0]) });
const decide = (one: Pod, of: ClusterView): Decision => chooseNode(defaultPlugins, one, of, seededRandom(1));
const verdict = (one: Pod, of: ClusterView): string => {
  const decision = decide(one, of);
  return decision.kind === 'placed' ? decision.nodeName : fitErrorText(of.nodes.length, decision.outcome);
};

test('claims that are not there, not bound, lost or on their way out keep the pod away', () => {
  assert.equal(verdict(using('c'), view({})), '0/2 nodes are available: persistentvolumeclaim "c" not found.');
  assert.equal(verdict(using('c'), view({ claims: [claim('c', { storageClassName: '' })] })), '0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.');
  assert.equal(verdict(using('c'), view({ claims: [{ ...claim('c', { volumeName: 'v' }), status: { phase: 'Lost' } }] })), '0/2 nodes are available: persistentvolumeclaim "c" bound to non-existent persistentvolume "v".');
  const ending = claim('c');
  ending.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  assert.equal(verdict(using('c'), view({ claims: [ending] })), '0/2 nodes are available: persistentvolumeclaim "c" is being deleted.');
  assert.match(verdict(pod('p', { volumes: [{ name: 'e', ephemeral: { volumeClaimTemplate: { spec: {} } } }] }), view({})), /: waiting for ephemeral volume controller to create the persistentvolumeclaim "p-e"\.$/);
});

test('a pod goes where its bound volume is', () => {
  const claims = [claim('c', { volumeName: 'v' }, COMPLETED)];
  assert.equal(verdict(using('c'), view({ claims, volumes: [volume('v', 'b')] })), 'b');
  assert.equal(verdict(using('c'), view({ claims, volumes: [volume('v', 'z')] })), "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.");
});

test('a delayed claim is given the node that was chosen, and the next pod follows it there', () => {
  const assumed = new AssumedStorage(storage({ claims: [claim('c')], classes: [waiting] }));
  const first = decide(using('c'), view(assumed));
  assert.ok(first.kind === 'placed');
  assert.deepEqual(first.volumePlan.provisions.map(({ metadata }) => metadata.annotations), [{ 'volume.kubernetes.io/selected-node': first.nodeName }]);
  assumed.assume(first.volumePlan);
  assert.equal(verdict(using('c'), view(assumed)), first.nodeName);
  assumed.forget(first.volumePlan);
  assert.equal(assumed.claim('default', 'c')?.metadata.annotations?.['volume.kubernetes.io/selected-node'], undefined);
});

test('volumes made by hand decide about the node, each for one claim', () => {
  const claims = [claim('c', { storageClassName: 'local' }), claim('d', { storageClassName: 'local' })];
  const classes = [byHand];
  const decision = decide(using('c'), view({ claims, classes, volumes: [volume('v', 'b')] }));
  assert.ok(decision.kind === 'placed');
  assert.deepEqual([decision.nodeName, decision.volumePlan.bindings.map(({ volume: { metadata, spec } }) => [metadata.name, spec.claimRef?.name])], ['b', [['v', 'c']]]);
  assert.equal(verdict(using('c', 'd'), view({ claims, classes, volumes: [volume('v', 'b')] })), "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.");
  assert.equal(verdict(using('c', 'd'), view({ claims, classes, volumes: [volume('v', 'b'), volume('w', 'b'), volume('x', 'a')] })), 'b');
});

test('what a binding has taken is not given twice, until the server says otherwise', () => {
  const free = volume('v', 'a');
  const base = { claims: [claim('c', { storageClassName: 'local' }), claim('d', { storageClassName: 'local' })], classes: [byHand], volumes: [free] };
  const assumed = new AssumedStorage(storage(base));
  const decision = decide(using('c'), view(assumed));
  assert.ok(decision.kind === 'placed');
  assumed.assume(decision.volumePlan);
  assert.match(verdict(using('d'), view(assumed)), /didn't find available persistent volumes to bind/);
  free.metadata.resourceVersion = '9'; // changed on the server since
  assert.equal(verdict(using('d'), view(assumed)), 'a');
});

test('classes may keep their volumes to some nodes', () => {
  const classes = [{ ...waiting, allowedTopologies: [{ matchLabelExpressions: [{ key: 'kubernetes.io/hostname', values: ['b'] }] }] }];
  assert.equal(verdict(using('c'), view({ claims: [claim('c')], classes })), 'b');
});

test('a claim for one pod is refused to a second, and a more important one may take it', () => {
  const claims = [claim('c', { volumeName: 'v', accessModes: ['ReadWriteOncePod'] }, COMPLETED)];
  const objects = { claims, volumes: [volume('v', undefined)] };
  assert.match(verdict(using('c'), view(objects, [node('a'), using('c')], [node('b')])), /: 2 node\(s\) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod\.$/);
  assert.match(verdict(using('c'), view(objects, [node('a')], [node('b')])), /^[ab]$/);
});

test('the zone of a volume is the zone of its pod, in a cluster with zones', () => {
  const zone = (name: string) => ({ labels: { 'topology.kubernetes.io/zone': name } });
  const zoned = volume('v', undefined);
  zoned.metadata.labels = { 'topology.kubernetes.io/zone': 'z2__z3' };
  const objects = { claims: [claim('c', { volumeName: 'v' }, COMPLETED)], volumes: [zoned] };
  assert.equal(verdict(using('c'), view(objects, [node('a', zone('z1'))], [node('b', zone('z3'))])), 'b');
  assert.match(verdict(using('c'), view(objects, [node('a', zone('z1'))])), /1 node\(s\) had no available volume zone\.$/);
});

test('a CSI driver\'s limit holds for what is there and what would come', () => {
  const csi = (name: string) => volume(name, undefined, { csi: { driver: 'd', volumeHandle: name } });
  const objects = {
    claims: [claim('c', { volumeName: 'v' }, COMPLETED), claim('e', { volumeName: 'w' }, COMPLETED)], volumes: [csi('v'), csi('w')],
    csiNodes: [{ metadata: { name: 'a' }, spec: { drivers: [{ name: 'd', nodeID: 'a', allocatable: { count: 1 } }] } }],
  };
  assert.match(verdict(using('c'), view(objects, [node('a'), using('e')])), /1 node\(s\) exceed max volume count\.$/);
  assert.equal(verdict(using('c'), view(objects, [node('a'), using('c')])), 'a', 'the same volume counts once');
});
