import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultFigures } from './fault-figures.ts';

test('faults are counted by kind and minute, and how many were in force at once', () => {
  const { log, ...figures } = faultFigures([
    { text: 'pause etcd@m-k8s', atMs: 10_000, forMs: 20_000 }, { text: 'kill scheduler@m-k8s', atMs: 5_000, forMs: null }, { text: 'pause scheduler@m-k8s', atMs: 29_000, forMs: 5_000 },
    { text: 'pause coredns', atMs: 31_000, forMs: 5_000, refused: 'coredns is not running' }, { text: 'isolate w1-k8s', atMs: 70_000, forMs: 10_000 },
  ], 125_000);
  assert.deepEqual(figures, {
    made: 4, refused: 1, fewestInAMinute: 1, perMinute: 1.9, mostAtOnce: 2, byKind: { kill: { made: 1, refused: 0 }, pause: { made: 2, refused: 1 }, isolate: { made: 1, refused: 0 } },
  });
  assert.deepEqual(log.map(({ atMs }) => atMs), [5_000, 10_000, 29_000, 31_000, 70_000]);
});
