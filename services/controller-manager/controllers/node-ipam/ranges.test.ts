import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeRanges, parseRange } from './ranges.ts';

test('ranges are dealt in order, the same again for the same node', () => {
  const ranges = new NodeRanges('172.16.0.0/16', 24);
  assert.equal(ranges.allocate('a'), '172.16.0.0/24');
  assert.equal(ranges.allocate('b'), '172.16.1.0/24');
  assert.equal(ranges.allocate('a'), '172.16.0.0/24');
});

test('occupied and reserved ranges are passed over', () => {
  const ranges = new NodeRanges('10.0.0.0/16', 24, ['10.0.0.0/23', '']);
  ranges.occupy('10.0.2.0/24', 'old');
  ranges.occupy('192.168.0.0/24', 'elsewhere');
  assert.equal(ranges.allocate('a'), '10.0.3.0/24');
});

test('a freed range is dealt again only after those not used yet', () => {
  const ranges = new NodeRanges('10.0.0.0/22', 24);
  ranges.allocate('a');
  ranges.allocate('b');
  ranges.release('a');
  assert.deepEqual([ranges.allocate('c'), ranges.allocate('d'), ranges.allocate('e'), ranges.allocate('f')], ['10.0.2.0/24', '10.0.3.0/24', '10.0.0.0/24', undefined]);
});

test('what is no range is refused', () => {
  assert.throws(() => parseRange('172.16.0.0'), /invalid CIDR address: 172.16.0.0/);
  assert.throws(() => new NodeRanges('172.16.0.0/26', 24), /does not fit/);
});
