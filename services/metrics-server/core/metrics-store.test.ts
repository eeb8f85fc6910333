import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricsStore } from './metrics-store.ts';
import type { Point } from './resource-metrics.ts';

const point = (atMs: number, cpuNs: number, startedMs = 0): Point => ({ atMs, cpuNs, startedMs, memoryBytes: 1024 });
const nodes = (one: Point) => ({ nodes: new Map([['n1', one]]), pods: new Map() });
const pods = (containers: Record<string, Point>) => ({ nodes: new Map<string, Point>(), pods: new Map([['default/web', new Map(Object.entries(containers))]]) });

test('a node has usage after two measurements, over the time between them', () => {
  const store = new MetricsStore(15_000);
  store.store(nodes(point(1_000, 5e9)));
  assert.equal(store.node('n1'), undefined);
  assert.equal(store.isReady, false);
  store.store(nodes(point(16_000, 8e9)));
  assert.deepEqual(store.node('n1'), { cpuNanoCores: 2e8, memoryBytes: 1024, atMs: 16_000, windowMs: 15_000 });
});

test('a measurement told twice does not lose the one before', () => {
  const store = new MetricsStore(15_000);
  for (const one of [point(1_000, 1e9), point(16_000, 2e9), point(16_000, 2e9)]) store.store(nodes(one));
  assert.equal(store.node('n1')?.windowMs, 15_000);
});

test('a node that did not answer is forgotten', () => {
  const store = new MetricsStore(15_000);
  store.store(nodes(point(1_000, 1e9)));
  store.store(nodes(point(16_000, 2e9)));
  store.store({ nodes: new Map(), pods: new Map() });
  assert.equal(store.node('n1'), undefined);
});

test('of a container that started between two rounds the start is the first measurement, once it has run ten seconds', () => {
  const store = new MetricsStore(15_000);
  store.store(pods({ app: point(100_000, 1e9, 91_000) }));
  assert.equal(store.pod('default/web'), undefined, 'nine seconds old');
  const other = new MetricsStore(15_000);
  other.store(pods({ app: point(100_000, 1e9, 88_000) }));
  assert.equal(other.pod('default/web')?.windowMs, 12_000);
});

test('a restarted container has no usage until it has been measured twice again, and its pod has none', () => {
  const store = new MetricsStore(15_000);
  store.store(pods({ app: point(100_000, 5e9, 1_000), side: point(100_000, 1e9, 1_000) }));
  store.store(pods({ app: point(115_000, 6e9, 1_000), side: point(115_000, 2e9, 1_000) }));
  assert.equal(store.pod('default/web')?.containers.length, 2);
  store.store(pods({ app: point(130_000, 1e8, 125_000), side: point(130_000, 3e9, 1_000) }));
  assert.equal(store.pod('default/web'), undefined);
  store.store(pods({ app: point(145_000, 2e8, 125_000), side: point(145_000, 4e9, 1_000) }));
  assert.equal(store.pod('default/web')?.containers.length, 2);
});
