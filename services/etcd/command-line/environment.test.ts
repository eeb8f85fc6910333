import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagsFromEnvironment } from './environment.ts';

const KNOWN = ['name', 'initial-cluster', 'data-dir', 'wal-dir'];

test('a variable stands for its flag; what stands for none is told', () => {
  const environment = { ETCD_NAME: 'm1', ETCD_INITIAL_CLUSTER: 'm1=https://a:2380,m2=https://b:2380', ETCD_NAMES: 'x', ETCDCTL_API: '3', ETCD_WAL_DIR: '' };
  assert.deepEqual(flagsFromEnvironment(KNOWN, new Set(['data-dir', 'name-of']), environment), {
    flags: [{ name: 'name', value: 'm1', variable: 'ETCD_NAME' }, { name: 'initial-cluster', value: 'm1=https://a:2380,m2=https://b:2380', variable: 'ETCD_INITIAL_CLUSTER' }], unknown: ['ETCD_NAMES=x', 'ETCD_WAL_DIR='],
  });
});

test('a variable beside its flag is refused', () => {
  assert.throws(() => flagsFromEnvironment(KNOWN, new Set(['data-dir']), { ETCD_DATA_DIR: '/a' }), /conflicting environment variable is shadowed by corresponding command-line flag .*: ETCD_DATA_DIR/);
});
