import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOSTS } from '../cluster-layout.ts';
import { parseStop } from './stop.ts';

const parse = (selector: string) => parseStop(HOSTS, { args: [selector], options: {} });

test('a component without a host is all its instances, one that may run anywhere is not bound to hosts', () => {
  assert.deepEqual(parse('etcd'), { component: 'etcd', hosts: ['m-k8s'] });
  assert.deepEqual(parse('kubelet').hosts, HOSTS.map(({ name }) => name));
  assert.deepEqual(parse('kube-apiserver@m-k8s'), { component: 'apiserver', hosts: ['m-k8s'] });
  assert.deepEqual(parse('coredns'), { component: 'coredns', hosts: [] });
});

test('names that do not exist are refused', () => {
  assert.throws(() => parse('nothing'), /no component is called "nothing"; there are etcd/);
  assert.throws(() => parse('kubelet@mars'), /no host is called "mars"; there are m-k8s/);
  assert.throws(() => parse('etcd@w1-k8s'), /etcd does not run on w1-k8s/);
});
