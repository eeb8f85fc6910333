import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockAffinity, IPPool } from '#lib/kinds/types/calico-v1.ts';
import { affinityName, affinitySpec, confirmedBlocks, newestOf, nextCandidate, winsBlock } from './block-claim.ts';

const affinity = (node: string, cidr: string, state: 'pending' | 'confirmed', resourceVersion = '1'): BlockAffinity =>
  ({ metadata: { name: affinityName(node, cidr), resourceVersion }, spec: affinitySpec(node, cidr, state) });
const pool: IPPool = { metadata: { name: 'default-ipv4-ippool' }, spec: { cidr: '172.16.0.0/16', blockSize: 26 } };
const tiny: IPPool = { metadata: { name: 'tiny' }, spec: { cidr: '10.0.0.0/25', blockSize: 26 } };
const nothingTried = new Set<string>();

test('an affinity is named after its node and its block', () => {
  assert.equal(affinityName('w2-k8s', '172.16.103.128/26'), 'w2-k8s-172-16-103-128-26');
});

test('of two pending affinities for a block the one made first wins, and a confirmed one beats both', () => {
  const early = affinity('b', '10.0.0.0/26', 'pending', '9');
  const late = affinity('a', '10.0.0.0/26', 'pending', '10');
  assert.equal(winsBlock(early, [early, late]), true);
  assert.equal(winsBlock(late, [early, late]), false);
  assert.equal(winsBlock(late, [affinity('b', '10.0.0.0/26', 'confirmed', '12'), late]), false);
  assert.equal(winsBlock(late, [affinity('b', '10.0.0.64/26', 'confirmed', '2'), late]), true);
});

test('a node skips blocks that others hold or that it has just lost', () => {
  const taken = [affinity('x', '172.16.103.128/26', 'pending')];
  assert.deepEqual(nextCandidate([pool], taken, { node: 'w2-k8s', tried: nothingTried }), { cidr: '172.16.103.192/26', pending: undefined });
  assert.deepEqual(nextCandidate([pool], taken, { node: 'w2-k8s', tried: new Set(['172.16.103.192/26']) }), { cidr: '172.16.104.0/26', pending: undefined });
});

test('a claim that was cut short is taken up again', () => {
  const own = affinity('w2-k8s', '172.16.9.0/26', 'pending');
  assert.deepEqual(nextCandidate([pool], [own], { node: 'w2-k8s', tried: nothingTried }), { cidr: '172.16.9.0/26', pending: own });
});

test('when every pool is used up there is nothing to claim; disabled pools offer nothing', () => {
  const all = [affinity('x', '10.0.0.0/26', 'confirmed'), affinity('y', '10.0.0.64/26', 'confirmed')];
  assert.equal(nextCandidate([tiny], all, { node: 'z', tried: nothingTried }), undefined);
  assert.equal(nextCandidate([{ ...tiny, spec: { cidr: '10.0.0.0/25', disabled: true } }], [], { node: 'z', tried: nothingTried }), undefined);
});

test('only confirmed affinities of the node itself count as its blocks, oldest first', () => {
  const older = affinity('w1', '10.0.0.64/26', 'confirmed');
  older.metadata.creationTimestamp = '2026-01-01T00:00:00Z';
  const younger = affinity('w1', '10.0.0.0/26', 'confirmed');
  younger.metadata.creationTimestamp = '2026-01-02T00:00:00Z';
  assert.deepEqual(confirmedBlocks([younger, older, affinity('w1', '10.0.1.0/26', 'pending'), affinity('w2', '10.0.2.0/26', 'confirmed')], 'w1'), ['10.0.0.64/26', '10.0.0.0/26']);
});

test('of two states of an affinity the newer one counts', () => {
  const pending = affinity('w1', '10.0.0.0/26', 'pending', '9');
  const confirmed = affinity('w1', '10.0.0.0/26', 'confirmed', '10');
  assert.deepEqual(newestOf([pending, confirmed]), [confirmed]);
  assert.deepEqual(newestOf([confirmed, pending]), [confirmed]);
});
