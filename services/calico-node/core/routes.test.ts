import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockAffinity } from '#lib/kinds/types/calico-v1.ts';
import { affinityName, affinitySpec } from './block-claim.ts';
import { desiredRoutes, routeChanges, type Route } from './routes.ts';

const affinity = (node: string, cidr: string, state: 'pending' | 'confirmed' = 'confirmed'): BlockAffinity =>
  ({ metadata: { name: affinityName(node, cidr) }, spec: affinitySpec(node, cidr, state) });
const nodes = [{ name: 'w1', address: '192.168.1.101' }, { name: 'w2', address: '192.168.1.102' }];
const affinities = [affinity('w1', '172.16.1.0/26'), affinity('w2', '172.16.2.0/26'), affinity('gone', '172.16.3.0/26'), affinity('w2', '172.16.9.0/26', 'pending')];

test('a node blackholes its own block and routes confirmed blocks of nodes that exist', () => {
  const links = [{ device: 'lo', cidr: '127.0.0.1/8' }, { device: 'eth1', cidr: '192.168.1.101/24' }];
  assert.deepEqual(desiredRoutes({ node: 'w1', nodes, affinities, links }), [
    { destination: '172.16.1.0/26', via: undefined, device: undefined },
    { destination: '172.16.2.0/26', via: '192.168.1.102', device: 'eth1' },
  ]);
});

test('without an interface in the network of a node there is no route to it', () => {
  assert.deepEqual(desiredRoutes({ node: 'w1', nodes, affinities, links: [{ device: 'cali1', cidr: '192.168.1.102/32' }] }).map(({ destination }) => destination), ['172.16.1.0/26']);
});

test('only what differs is changed: moved routes are put, gone ones removed', () => {
  const blackhole: Route = { destination: '172.16.1.0/26', via: undefined, device: undefined };
  const onEth0: Route = { destination: '172.16.2.0/26', via: '192.168.1.102', device: 'eth0' };
  const gone: Route = { destination: '172.16.3.0/26', via: '192.168.1.103', device: 'eth0' };
  const onEth1: Route = { ...onEth0, device: 'eth1' };
  assert.deepEqual(routeChanges([blackhole, onEth0, gone], [blackhole, onEth1]), { remove: [gone], put: [onEth1] });
  assert.deepEqual(routeChanges([blackhole, onEth1], [blackhole, onEth1]), { remove: [], put: [] });
});
