import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { evictionMessage, ranked, storageExcess, type PodUsage } from './ranking.ts';
import { noThresholdState, parseThresholds, thresholdRound, type Observations, type Signal } from './thresholds.ts';

const MI = 1024 * 1024;
const memory = (availableMi: number): Observations => new Map<Signal, { available: number; capacity: number }>([['memory.available', { available: availableMi * MI, capacity: 2048 * MI }]]);
const thresholdsOf = (settings: { hard?: Record<string, string>; soft?: Record<string, string>; softGraceMs?: Record<string, number>; minReclaim?: Record<string, string> }) =>
  parseThresholds({ hard: {}, soft: {}, softGraceMs: {}, minReclaim: {}, ...settings });
const pod = (name: string, options: { request?: string; priority?: number; limits?: Record<string, string>; sizeLimit?: string } = {}): Pod => ({
  metadata: { name, uid: name },
  spec: {
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    containers: [{ name: 'c', image: 'x', resources: { ...(options.request === undefined ? {} : { requests: { memory: options.request } }), ...(options.limits ? { limits: options.limits } : {}) } }],
    ...(options.sizeLimit === undefined ? {} : { volumes: [{ name: 'scratch', emptyDir: { sizeLimit: options.sizeLimit } }] }),
  },
});
const usage = (memoryMi: number, diskBytes = 0): PodUsage => ({
  memoryBytes: memoryMi * MI, diskBytes, inodes: 0, processes: 1, containers: new Map([['c', { memoryBytes: memoryMi * MI, diskBytes }]]), emptyDirs: new Map([['scratch', diskBytes]]),
});

test('a hard threshold acts at once, and the condition stays for the transition period', () => {
  const thresholds = thresholdsOf({ hard: { 'memory.available': '100Mi' } });
  const times = { transitionMs: 300_000 };
  const first = thresholdRound(thresholds, memory(99), noThresholdState, { ...times, nowMs: 1_000 });
  assert.deepEqual([first.due.length, [...first.pressures]], [1, ['MemoryPressure']]);
  const later = thresholdRound(thresholds, memory(500), first.state, { ...times, nowMs: 200_000 });
  assert.deepEqual([later.due.length, [...later.pressures]], [0, ['MemoryPressure']]);
  const over = thresholdRound(thresholds, memory(500), later.state, { ...times, nowMs: 301_001 });
  assert.equal(over.pressures.size, 0);
});

test('a soft threshold gives the condition at once and acts after its grace period', () => {
  const thresholds = thresholdsOf({ soft: { 'memory.available': '25%' }, softGraceMs: { 'memory.available': 60_000 } });
  const first = thresholdRound(thresholds, memory(500), noThresholdState, { nowMs: 0, transitionMs: 0 });
  assert.deepEqual([first.due.length, first.pressures.size], [0, 1]);
  assert.equal(thresholdRound(thresholds, memory(500), first.state, { nowMs: 60_000, transitionMs: 0 }).due.length, 1);
});

test('a threshold is left only with the least reclaim on top', () => {
  const thresholds = thresholdsOf({ hard: { 'memory.available': '100Mi' }, minReclaim: { 'memory.available': '50Mi' } });
  const first = thresholdRound(thresholds, memory(90), noThresholdState, { nowMs: 0, transitionMs: 0 });
  const second = thresholdRound(thresholds, memory(120), first.state, { nowMs: 1, transitionMs: 0 });
  assert.equal(second.due.length, 1);
  assert.equal(thresholdRound(thresholds, memory(151), second.state, { nowMs: 2, transitionMs: 0 }).due.length, 0);
});

test('wrong thresholds are refused in upstream\'s words', () => {
  assert.throws(() => thresholdsOf({ hard: { 'memory.free': '1Mi' } }), { message: 'unsupported eviction signal memory.free' });
  assert.throws(() => thresholdsOf({ soft: { 'memory.available': '1Mi' } }), { message: 'grace period must be specified for the soft eviction threshold memory.available' });
});

test('the pod above its request goes first, then the one of lower priority, then the one furthest above its request', () => {
  const pods = [pod('modest', { request: '500Mi' }), pod('important', { priority: 1000 }), pod('small'), pod('large')];
  const usages = new Map([['modest', usage(400)], ['important', usage(900)], ['small', usage(10)], ['large', usage(300)]]);
  assert.deepEqual(ranked(pods, 'memory', ({ metadata }) => usages.get(metadata.name)).map(({ metadata }) => metadata.name), ['large', 'small', 'important', 'modest']);
});

test('the message names resource, threshold and the containers above their requests', () => {
  const [threshold] = thresholdsOf({ hard: { 'memory.available': '100Mi' } });
  assert.ok(threshold);
  assert.equal(evictionMessage('memory', pod('web', { request: '20Mi' }), threshold, memory(64), usage(300)),
    'The node was low on resource: memory. Threshold quantity: 100Mi, available: 64Mi. Container c was using 300Mi, request is 20Mi, has larger consumption of memory. ');
});

test('limits of local storage: volume, pod, container', () => {
  assert.equal(storageExcess(pod('web', { sizeLimit: '1Mi' }), usage(0, 2 * MI)), 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ');
  assert.equal(storageExcess(pod('web', { limits: { 'ephemeral-storage': '1Mi' } }), usage(0, 2 * MI)), 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ');
  assert.equal(storageExcess(pod('web', { sizeLimit: '4Mi' }), usage(0, 2 * MI)), undefined);
});
