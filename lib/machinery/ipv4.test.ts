import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrContains, formatIpv4, formatIpv4Cidr, parseIpv4, parseIpv4Cidr, type Cidr } from './ipv4.ts';

test('an address becomes a number and back', () => {
  for (const address of ['0.0.0.0', '10.96.0.1', '192.168.1.10', '255.255.255.255']) assert.equal(formatIpv4(parseIpv4(address) ?? -1), address);
});

test('anything but four plain decimal parts is no address', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', '::1', '1.2.3.x']) assert.equal(parseIpv4(text), undefined, text);
});

test('a network starts at its first address and ends with its size', () => {
  const network = parseIpv4Cidr('192.168.1.77/26') as Cidr;
  assert.deepEqual([formatIpv4Cidr(network), network.size], ['192.168.1.64/26', 64]);
  assert.equal(cidrContains(network, parseIpv4('192.168.1.127') ?? 0), true);
  assert.equal(cidrContains(network, parseIpv4('192.168.1.128') ?? 0), false);
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/x', '10.0.0.0/8/8']) assert.equal(parseIpv4Cidr(text), undefined, text);
});
