import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfChange } from '#lib/etcd-api/raft-messages.ts';
import { ClusterMembers, decodeMember, encodeMember, type ClusterMember } from './cluster-members.ts';
import type { BucketRecord, RecordWrite } from './bucket-record.ts';

const BIG = 2n ** 64n - 3n;
const memberOf = (id: bigint, fields: Partial<ClusterMember> = {}): ClusterMember => ({ id, name: '', peerUrls: [`https://${id}:2380`], clientUrls: [], isLearner: false, ...fields });
const change = (type: ConfChange['type'], member: ClusterMember, isPromote?: boolean): ConfChange => ({ id: 1n, type, nodeId: member.id, context: encodeMember(member, isPromote) });
const removal = (nodeId: bigint): ConfChange => ({ id: 1n, type: 'ConfChangeRemoveNode', nodeId, context: Buffer.alloc(0) });

function clusterOf(...ids: bigint[]): ClusterMembers {
  const cluster = new ClusterMembers();
  for (const id of ids) {
    cluster.apply(change('ConfChangeAddNode', memberOf(id)));
    cluster.setAttributes(id, { name: `m${id}`, clientUrls: [] });
  }
  return cluster;
}

test('a member is written as Go writes it, ids beyond what JSON can tell included', () => {
  const member = memberOf(BIG, { name: 'm1', clientUrls: ['https://c:2379'], isLearner: true });
  assert.equal(encodeMember(member).toString(), `{"id":${BIG},"peerURLs":["https://${BIG}:2380"],"isLearner":true,"name":"m1","clientURLs":["https://c:2379"]}`);
  assert.deepEqual(decodeMember(encodeMember(member).toString()), { member, isPromote: false });
  assert.equal(decodeMember(encodeMember(member, true).toString()).isPromote, true);
});

test('every member objects to the same changes', () => {
  const cluster = clusterOf(1n, 2n);
  cluster.apply(removal(2n));
  assert.equal(cluster.objection(change('ConfChangeAddNode', memberOf(2n))), 'MemberNotFound'); // an id does not come back
  assert.equal(cluster.objection(change('ConfChangeAddNode', memberOf(1n))), 'MemberExists');
  assert.equal(cluster.objection(change('ConfChangeAddNode', memberOf(3n, { peerUrls: ['https://1:2380'] }))), 'PeerUrlExists');
  assert.equal(cluster.objection(removal(9n)), 'MemberNotFound');
  assert.equal(cluster.objection(change('ConfChangeUpdateNode', memberOf(1n))), undefined);
  assert.equal(cluster.objection(change('ConfChangeAddNode', memberOf(1n), true)), 'MemberNotLearner');
  const learner = memberOf(4n, { isLearner: true });
  assert.equal(cluster.objection(change('ConfChangeAddLearnerNode', learner)), undefined);
  cluster.apply(change('ConfChangeAddLearnerNode', learner));
  assert.equal(cluster.objection(change('ConfChangeAddLearnerNode', memberOf(5n, { isLearner: true }))), 'TooManyLearners');
  assert.deepEqual([cluster.confState().voters, cluster.confState().learners], [[1n], [4n]]);
  cluster.apply(change('ConfChangeAddNode', memberOf(4n, { peerUrls: [] }), true));
  assert.deepEqual([cluster.confState().voters, cluster.get(4n)?.peerUrls], [[1n, 4n], ['https://4:2380']]);
});

test('a change that would leave no majority of started members is not ready', () => {
  const cluster = clusterOf(1n);
  assert.equal(cluster.isReadyToAddVoter(), true);
  assert.equal(cluster.isReadyToRemoveVoter(1n), false);
  cluster.apply(change('ConfChangeAddNode', memberOf(2n)));
  assert.equal(cluster.isReadyToAddVoter(), false); // the second one has not started
  cluster.setAttributes(2n, { name: 'm2', clientUrls: [] });
  assert.equal(cluster.isReadyToAddVoter(), true);
  assert.equal(cluster.isReadyToRemoveVoter(2n), true);
});

test('what was written gives the same cluster again', () => {
  const cluster = new ClusterMembers();
  const disk = new Map<string, BucketRecord>();
  const write = (writes: readonly RecordWrite[]): void => {
    for (const one of writes) {
      if (one.type === 'put-record') disk.set(`${one.record.bucket}/${one.record.key.toString('hex')}`, one.record);
      else disk.delete(`${one.bucket}/${one.key.toString('hex')}`);
    }
  };
  write(cluster.apply(change('ConfChangeAddNode', memberOf(BIG))));
  write(cluster.apply(change('ConfChangeAddNode', memberOf(2n))));
  write(cluster.setAttributes(BIG, { name: 'm1', clientUrls: ['https://c:2379'] }));
  write(cluster.apply(removal(2n)));
  write(cluster.setVersion('3.6.0'));
  const again = new ClusterMembers();
  again.restore(disk.values());
  assert.deepEqual([again.list(), again.isRemoved(2n), again.clusterVersion], [cluster.list(), true, '3.6.0']);
});
