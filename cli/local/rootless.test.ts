import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOSTS, placeWorker } from '../cluster-layout.ts';
import { parseSubordinateIds } from './rootless.ts';

test("a user's subordinate ids are found by name or number, when there are enough of them", () => {
  const text = 'root:1:65536\nada:100000:65536\n1001:300000:65536\nbob:500000:1000\nbob:600000:70000\n';
  assert.deepEqual(parseSubordinateIds(text, 'ada', 1000), { first: 100_000, count: 65_536 });
  assert.deepEqual(parseSubordinateIds(text, 'eve', 1001), { first: 300_000, count: 65_536 });
  assert.deepEqual(parseSubordinateIds(text, 'bob', 1002), { first: 600_000, count: 70_000 });
  assert.equal(parseSubordinateIds(text, 'zoe', 1003), undefined);
});

test('a further worker has its number as address, others have theirs from .201 on', () => {
  assert.equal(placeWorker('w4-k8s', HOSTS)?.address, '192.168.1.104');
  assert.equal(placeWorker('w3-k8s', HOSTS.slice(0, 3))?.address, '192.168.1.103');
  const first = placeWorker('gpu', HOSTS);
  assert.equal(first?.address, '192.168.1.201');
  assert.equal(placeWorker('cpu', [...HOSTS, ...(first ? [first] : [])])?.address, '192.168.1.202');
  assert.equal(placeWorker('w3-k8s', HOSTS)?.address, '192.168.1.201', 'its number is taken');
});
