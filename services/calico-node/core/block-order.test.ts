import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpv4Cidr, type Cidr } from '#lib/machinery/ipv4.ts';
import { candidateBlocks } from './block-order.ts';
import { firstDraws, fnv1 } from './go-random.ts';

const pool = parseIpv4Cidr('172.16.0.0/16') as Cidr;
const firstBlock = (host: string, blockSize = 26): string | undefined => candidateBlocks(pool, blockSize, host).next().value ?? undefined;

test('a node starts at the block that Calico gives a host of its name', () => {
  assert.equal(firstBlock('m-k8s'), '172.16.171.64/26');
  assert.equal(firstBlock('w1-k8s'), '172.16.221.128/26');
  assert.equal(firstBlock('w2-k8s'), '172.16.103.128/26');
  assert.equal(firstBlock('w3-k8s'), '172.16.132.0/26');
  assert.equal(firstBlock('node-600.example.org'), '172.16.115.0/26'); // 460th block of 1024, as Go reckons it
  assert.equal(firstBlock('node-600.example.org', 22), '172.16.180.0/22'); // 45th of 64
});

test('the draws are those of Go for seeds inside and outside of its modulus', () => {
  assert.deepEqual(firstDraws(1).slice(0, 4), [2596996162, 4039455774, 2854263694, 1879968118]);
  assert.deepEqual(firstDraws(0).slice(0, 4), [4059586549, 1052117029, 2817310706, 233405013]);
  assert.deepEqual(firstDraws(2147483647).slice(0, 2), [4059586549, 1052117029]);
  assert.deepEqual(firstDraws(4294967295).slice(0, 2), [2596996162, 4039455774]);
  assert.equal(fnv1('m-k8s'), 198928033);
});

test('every block of the pool comes once, upwards from the first and around', () => {
  const blocks = [...candidateBlocks(pool, 26, 'w1-k8s')];
  assert.equal(blocks.length, 1024);
  assert.equal(new Set(blocks).size, 1024);
  assert.equal(blocks[1], '172.16.221.192/26');
  assert.ok(blocks.includes('172.16.0.0/26'));
  assert.equal(blocks.at(-1), '172.16.221.64/26');
});

test('a pool of a single block offers it', () => {
  assert.deepEqual([...candidateBlocks(parseIpv4Cidr('10.0.0.0/26') as Cidr, 26, 'a')], ['10.0.0.0/26']);
});
