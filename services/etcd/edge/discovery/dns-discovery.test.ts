import assert from 'node:assert/strict';
import type { SrvRecord } from 'node:dns';
import { test } from 'node:test';
import pino from 'pino';
import { discoverByDns, type DnsDiscoveryOptions } from './dns-discovery.ts';

const srv = (name: string, port = 2380): SrvRecord => ({ name, port, priority: 10, weight: 10 });
const ADDRESSES: Readonly<Record<string, string>> = { 'a.example.': '10.0.0.1', 'b.example.': '10.0.0.2', 'a.example': '10.0.0.1' };

const optionsOf = (records: Readonly<Record<string, readonly SrvRecord[]>>, rest: Partial<DnsDiscoveryOptions> = {}): DnsDiscoveryOptions => ({
  domain: 'example', serviceName: '', name: 'm1', peerUrls: ['https://a.example:2380'], log: pino({ level: 'silent' }),
  resolveSrv: async (name) => records[name] ?? Promise.reject(new Error(`querySrv ENOTFOUND ${name}`)),
  addressesOf: async (host) => (ADDRESSES[host] === undefined ? Promise.reject(new Error(`getaddrinfo ENOTFOUND ${host}`)) : [ADDRESSES[host]]), ...rest,
});

test('records name the members; the local one goes by its name', async () => {
  assert.deepEqual(await discoverByDns(optionsOf({ '_etcd-server-ssl._tcp.example': [srv('b.example.'), srv('a.example.'), srv('gone.example.')] })), ['0=https://b.example:2380', 'm1=https://a.example:2380']);
  assert.deepEqual(await discoverByDns(optionsOf({ '_etcd-server-ssl-x._tcp.example': [srv('a.example.')] }, { serviceName: 'x' })), ['m1=https://a.example:2380']);
});

test('a cluster without the local member, or without records, is refused', async () => {
  await assert.rejects(discoverByDns(optionsOf({ '_etcd-server-ssl._tcp.example': [srv('b.example.')] })), /cannot find local etcd member "m1" in SRV records/);
  await assert.rejects(discoverByDns(optionsOf({})), /error querying DNS SRV records for _etcd-server-ssl querySrv ENOTFOUND/);
  await assert.rejects(discoverByDns(optionsOf({ '_etcd-server._tcp.example': [srv('a.example.'), srv('b.example.')] })), /cannot find local etcd member/, 'its own record has another scheme');
});
