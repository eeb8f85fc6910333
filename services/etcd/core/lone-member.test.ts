import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { confChange, type ConfChange, type ConfState, type Entry } from '#lib/etcd-api/raft-messages.ts';
import { ClusterMembers, encodeMember } from './cluster-members.ts';
import { leaveAlone } from './lone-member.ts';

const SELF = 7n;
const nothing: ConfState = { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
const member = (id: bigint, isLearner = false): Buffer => encodeMember({ id, name: '', peerUrls: [`https://${id}:2380`], clientUrls: [], isLearner });
const entryOf = (index: number, change: Omit<ConfChange, 'id'>): Entry => ({ type: 'EntryConfChange', term: 1, index, data: confChange.encode(change) });
const put = (index: number): Entry => ({ type: 'EntryNormal', term: 1, index, data: Buffer.from('put') });
const decoded = (entries: readonly Entry[]): string[] => entries.map(({ index, data }) => {
  const { type, nodeId } = confChange.decode(Buffer.from(data));
  return `${index} ${type} ${nodeId}`;
});

test('the others are removed after what was committed, and what was not is given up', () => {
  const entries = [put(11), entryOf(12, { type: 'ConfChangeAddLearnerNode', nodeId: 9n, context: member(9n, true) }), entryOf(13, { type: 'ConfChangeRemoveNode', nodeId: 8n, context: Buffer.alloc(0) }), put(14)];
  const { kept, added } = leaveAlone({ self: SELF, term: 3, commit: 12, confState: { ...nothing, voters: [6n, SELF, 8n] }, entries });
  assert.deepEqual(kept.map(({ index }) => index), [11, 12]);
  assert.deepEqual(decoded(added), ['13 ConfChangeRemoveNode 6', '14 ConfChangeRemoveNode 8', '15 ConfChangeRemoveNode 9']);
  assert.ok(added.every(({ term }) => term === 3));
});

test('a member that is alone already needs nothing, and one that the log does not know is added first', () => {
  assert.deepEqual(leaveAlone({ self: SELF, term: 3, commit: 10, confState: { ...nothing, voters: [SELF] }, entries: [] }).added, []);
  const { added } = leaveAlone({ self: SELF, term: 3, commit: 10, confState: { ...nothing, voters: [6n] }, entries: [] });
  assert.deepEqual(decoded(added), [`11 ConfChangeAddNode ${SELF}`, '12 ConfChangeRemoveNode 6']);
});

test('whatever changes of the membership a log holds, the member is alone once it is applied', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seededRandom(seed);
    const cluster = new ClusterMembers(3);
    const apply = ({ data }: Entry): void => {
      const change = confChange.decode(Buffer.from(data));
      if (cluster.objection(change) === undefined) cluster.apply(change);
    };
    const entries = [1n, 2n, SELF].map((id, at) => entryOf(at + 1, { type: 'ConfChangeAddNode', nodeId: id, context: member(id) }));
    while (entries.length < 30) {
      const nodeId = BigInt(1 + integerBelow(random, 12));
      const index = entries.length + 1;
      const kind = integerBelow(random, 4);
      if (kind === 0) entries.push(put(index));
      else if (kind === 1 && nodeId !== SELF) entries.push(entryOf(index, { type: 'ConfChangeRemoveNode', nodeId, context: Buffer.alloc(0) }));
      else if (kind === 2) entries.push(entryOf(index, { type: 'ConfChangeAddNode', nodeId, context: member(nodeId) }));
      else entries.push(entryOf(index, { type: 'ConfChangeAddLearnerNode', nodeId, context: member(nodeId, true) }));
    }
    const { kept, added } = leaveAlone({ self: SELF, term: 2, commit: 3 + integerBelow(random, 28), confState: undefined, entries });
    for (const one of [...kept, ...added]) if (one.type === 'EntryConfChange') apply(one);
    assert.deepEqual(cluster.confState(), { ...nothing, voters: [SELF] }, `seed ${seed}`);
  }
});
