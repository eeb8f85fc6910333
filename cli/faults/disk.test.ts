import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOSTS } from '../cluster-layout.ts';
import { parseDisk } from './disk.ts';

const parse = (component: string, options: Record<string, string | boolean>) => parseDisk(HOSTS, { args: [component], options });

test('one way at a time to break a disk', () => {
  assert.deepEqual(parse('etcd', { full: true }), { component: 'etcd', hosts: ['m-k8s'], fault: { kind: 'full' } });
  assert.deepEqual(parse('containerd@w1-k8s', { slow: '1.5s' }), { component: 'container-runtime', hosts: ['w1-k8s'], fault: { kind: 'slow', delayMs: 1500 } });
  assert.throws(() => parse('etcd', {}), /one of --full, --slow DURATION and --fail-fsync/);
  assert.throws(() => parse('etcd', { full: true, 'fail-fsync': true }), /one of/);
  assert.throws(() => parse('etcd', { slow: 'very' }), /--slow must be a duration such as 200ms/);
});

test('only what keeps something has a disk', () => {
  assert.throws(() => parse('scheduler', { full: true }), /scheduler keeps nothing on a disk; those that do are etcd, kubelet, container-runtime/);
  assert.throws(() => parse('postgres', { full: true }), /no component is called "postgres"/);
  assert.throws(() => parse('kubelet', { 'fail-fsync': true }), /kubelet does not sync/);
});
