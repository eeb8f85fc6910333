import assert from 'node:assert/strict';
import { test } from 'node:test';
import { staleAffinities } from './stale-affinities.ts';

test('only blocks of nodes that are gone are stale', () => {
  const affinity = (node: string, type?: string) => ({ metadata: { name: `${node}-block` }, spec: { cidr: '172.16.0.0/26', deleted: 'false', node, state: 'confirmed', ...(type === undefined ? {} : { type }) } });
  const affinities = [affinity('w1'), affinity('gone', 'host'), affinity('load-balancer', 'virtual')];
  assert.deepEqual(staleAffinities(affinities, new Set(['w1'])).map(({ metadata }) => metadata.name), ['gone-block']);
});
