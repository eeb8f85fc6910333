import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collisions } from './host-routes.ts';

const WANTED = ['192.168.1.0/24', '172.16.0.0/16', '10.96.0.0/12'];

test('routes that share an address with the cluster collide, wider and narrower ones alike', () => {
  const routes = [{ dst: 'default' }, { dst: '172.17.0.0/16' }, { dst: '192.168.0.0/16', dev: 'lan' }, { dst: '10.100.3.4' }, { dst: '10.112.0.0/12' }, { dst: '172.16.9.0/24' }];
  assert.deepEqual(collisions(routes, WANTED).map(({ dst }) => dst), ['192.168.0.0/16', '10.100.3.4', '172.16.9.0/24']);
});
