import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError, nodePortIps, readConfiguration } from './configuration.ts';

const kind = 'KubeProxyConfiguration';

test('what is not set has upstream\'s default; zero durations count as not set', () => {
  const configuration = readConfiguration({ kind, mode: '', clusterCIDR: '172.16.0.0/16', nftables: { syncPeriod: '0s', minSyncPeriod: '0s', masqueradeBit: null }, healthzBindAddress: '', nodePortAddresses: null });
  assert.equal(configuration.syncPeriodMs, 30_000);
  assert.equal(configuration.minSyncPeriodMs, 1_000);
  assert.equal(configuration.masqueradeBit, 14);
  assert.deepEqual(configuration.healthz, { host: '0.0.0.0', port: 10256 });
  assert.deepEqual(configuration.metrics, { host: '127.0.0.1', port: 10249 });
  assert.equal(configuration.clusterCidr, '172.16.0.0/16');
});

test('what cannot be used is refused with the name of its field', () => {
  const refusal = (fields: object, pattern: RegExp): void => assert.throws(() => readConfiguration({ kind, ...fields }), (error) => error instanceof ConfigurationError && pattern.test(error.message));
  refusal({ mode: 'ipvs' }, /^mode: .*ipvs/);
  refusal({ clusterCIDR: 'everything' }, /^clusterCIDR/);
  refusal({ nftables: { masqueradeBit: 40 } }, /masqueradeBit/);
  refusal({ nftables: { syncPeriod: 'soon' } }, /^nftables\.syncPeriod/);
  refusal({ metricsBindAddress: 'nowhere' }, /^metricsBindAddress/);
  assert.throws(() => readConfiguration('nonsense'), ConfigurationError);
});

test('node ports answer on the node\'s own address, on chosen networks, or everywhere', () => {
  const contains = (cidr: string): string[] => (cidr === '192.168.1.0/24' ? ['192.168.1.101'] : []);
  assert.deepEqual(nodePortIps({ nodePortAddresses: undefined }, ['10.0.0.1'], contains), ['10.0.0.1']);
  assert.deepEqual(nodePortIps({ nodePortAddresses: ['192.168.1.0/24'] }, ['10.0.0.1'], contains), ['192.168.1.101']);
  assert.equal(nodePortIps({ nodePortAddresses: ['0.0.0.0/0'] }, ['10.0.0.1'], contains), undefined);
});
