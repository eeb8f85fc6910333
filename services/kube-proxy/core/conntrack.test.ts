import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUdpFlows, staleUdpFlows } from './conntrack.ts';

const LIST = `ipv4     2 udp      17 29 src=172.16.1.5 dst=10.96.0.10 sport=40000 dport=53 src=172.16.2.2 dst=172.16.1.5 sport=53 dport=40000 mark=0 use=1
ipv4     2 udp      17 29 src=172.16.1.6 dst=10.96.0.10 sport=40001 dport=53 [UNREPLIED] src=10.96.0.10 dst=172.16.1.6 sport=53 dport=40001 mark=0 use=1
ipv4     2 udp      17 29 src=192.168.1.1 dst=192.168.1.101 sport=40002 dport=30053 src=172.16.9.9 dst=192.168.1.101 sport=53 dport=40002 use=1
ipv4     2 udp      17 29 src=192.168.1.1 dst=8.8.8.8 sport=40003 dport=53 src=8.8.8.8 dst=192.168.1.1 sport=53 dport=40003 use=1
`;

test('flows to a service are stale when the answers come from no endpoint of it, or when nothing was translated', () => {
  const frontends = [{ addresses: ['10.96.0.10'], port: 53, nodePort: 30053, endpointIps: new Set(['172.16.2.2']) }];
  const stale = staleUdpFlows(parseUdpFlows(LIST), frontends, ['192.168.1.101']);
  assert.deepEqual(stale.map(({ sourcePort }) => sourcePort), [40001, 40002]);
});
