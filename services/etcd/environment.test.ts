import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagsFromEnvironment } from './environment.ts';
import { etcdFlags } from './flags.ts';

test('a variable stands for its flag unless that is given; what stands for none is told', () => {
  const environment = { ETCD_NAME: 'm1', ETCD_INITIAL_CLUSTER: 'm1=https://a:2380,m2=https://b:2380', ETCD_DATA_DIR: '/a', ETCD_NAMES: 'x', ETCDCTL_API: '3', ETCD_WAL_DIR: '' };
  assert.deepEqual(flagsFromEnvironment(etcdFlags, ['--data-dir', '/b', '--name-of=x'], environment), {
    flags: ['--name=m1', '--initial-cluster=m1=https://a:2380,m2=https://b:2380'], unknown: ['ETCD_NAMES'],
  });
});
