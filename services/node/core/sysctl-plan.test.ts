import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planNetworkSysctls } from './sysctl-plan.ts';

const FILE = '# Kubernetes\nnet.bridge.bridge-nf-call-iptables = 1\nnet.ipv4.ip_forward = 1\n';

test('with br_netfilter loaded a network restart switches forwarding off and on again', () => {
  assert.deepEqual(planNetworkSysctls(FILE, new Set(['br_netfilter'])), {
    writes: [{ key: 'net.ipv4.ip_forward', value: '0' }, { key: 'net.ipv4.ip_forward', value: '1' }],
  });
});

test('without br_netfilter the file fails at the bridge parameter and forwarding stays off', () => {
  const plan = planNetworkSysctls(FILE, new Set());
  assert.deepEqual(plan.writes, [{ key: 'net.ipv4.ip_forward', value: '0' }]);
  assert.match(plan.problem ?? '', /bridge-nf-call-iptables: No such file or directory/);
});
