import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { addressOfReverseName } from './addresses.ts';
import { ClusterRecords, clusterIps, type ClusterView } from './cluster-records.ts';
import type { Reply } from './message.ts';

const web: Service = { metadata: { name: 'web', namespace: 'default' }, spec: { clusterIP: '10.96.0.50', clusterIPs: ['10.96.0.50'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }, { name: 'metrics', port: 9090 }] } };
const headless: Service = { metadata: { name: 'db', namespace: 'default' }, spec: { clusterIP: 'None', ports: [{ name: 'pg', port: 5432 }] } };
const empty: Service = { metadata: { name: 'empty', namespace: 'default' }, spec: { clusterIP: 'None' } };
const alias: Service = { metadata: { name: 'elsewhere', namespace: 'default' }, spec: { type: 'ExternalName', externalName: 'example.org.' } };
const slice: EndpointSlice = {
  metadata: { name: 'db-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'db' } }, addressType: 'IPv4', ports: [{ name: 'pg', port: 5432, protocol: 'TCP' }],
  endpoints: [{ addresses: ['172.16.1.2'], hostname: 'db-0' }, { addresses: ['172.16.1.3'] }, { addresses: ['172.16.1.4'], conditions: { ready: false } }],
};
const services = [web, headless, empty, alias];
const webSlice: EndpointSlice = {
  metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } }, addressType: 'IPv4', ports: [], endpoints: [{ addresses: ['172.16.1.9', '10.96.0.50'] }],
};
const view: ClusterView = {
  hasSynced: true,
  hasNamespace: (name) => name === 'default' || name === 'kube-system',
  service: (namespace, name) => services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  slicesOf: (_, service) => (service === 'db' ? [slice] : []),
  servicesByIp: (address) => services.filter((service) => clusterIps(service).includes(address)),
  slicesByIp: (address) => [slice, webSlice].filter(({ endpoints }) => (endpoints ?? []).some(({ addresses }) => addresses.includes(address))),
  ownAddresses: ['10.96.0.10'],
};
const records = new ClusterRecords(view, { zones: ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.'], ttlSeconds: 30, pods: 'insecure', fallthrough: ['in-addr.arpa.', 'ip6.arpa.'], endpointPodNames: false });
const ask = (name: string, type = 'A'): Reply => {
  const found = records.lookup({ name, type, class: 'IN' }, 7);
  assert.equal(found.kind, 'reply');
  return (found as { reply: Reply }).reply;
};
const data = (name: string, type = 'A'): unknown[] => ask(name, type).answers.map((record) => record.data);
const soa = { name: 'cluster.local', type: 'SOA', ttl: 30, data: { mname: 'ns.dns.cluster.local', rname: 'hostmaster.cluster.local', serial: 7, refresh: 7200, retry: 1800, expire: 86400, minimum: 30 } };

test('a service has its cluster IP, in whatever case it is asked for, for 30 seconds', () => {
  assert.deepEqual(ask('Web.default.SVC.cluster.local').answers, [{ name: 'Web.default.SVC.cluster.local', type: 'A', ttl: 30, data: '10.96.0.50' }]);
  assert.equal(ask('web.default.svc.cluster.local').isAuthoritative, true);
});

test('a headless service has its ready endpoints, and each of them a name of its own', () => {
  assert.deepEqual(data('db.default.svc.cluster.local'), ['172.16.1.2', '172.16.1.3']);
  assert.deepEqual(data('db-0.db.default.svc.cluster.local'), ['172.16.1.2']);
  assert.deepEqual(data('172-16-1-3.db.default.svc.cluster.local'), ['172.16.1.3']);
  assert.equal(ask('172-16-1-4.db.default.svc.cluster.local').rcode, 'NXDOMAIN');
  assert.equal(ask('empty.default.svc.cluster.local').rcode, 'NXDOMAIN');
});

test('ports have SRV records, with addresses beside them', () => {
  assert.deepEqual(data('_http._tcp.web.default.svc.cluster.local', 'SRV'), [{ priority: 0, weight: 100, port: 80, target: 'web.default.svc.cluster.local' }]);
  assert.deepEqual(ask('_http._tcp.web.default.svc.cluster.local', 'SRV').additionals, [{ name: 'web.default.svc.cluster.local', type: 'A', ttl: 30, data: '10.96.0.50' }]);
  assert.deepEqual(data('_pg._tcp.db.default.svc.cluster.local', 'SRV'), [
    { priority: 0, weight: 50, port: 5432, target: 'db-0.db.default.svc.cluster.local' }, { priority: 0, weight: 50, port: 5432, target: '172-16-1-3.db.default.svc.cluster.local' }]);
  assert.equal(data('web.default.svc.cluster.local', 'SRV').length, 2);
  assert.equal(ask('_nope._tcp.web.default.svc.cluster.local', 'SRV').rcode, 'NXDOMAIN');
});

test('a name that exists but has nothing of the type gives no data; one that does not exist NXDOMAIN; both with the SOA', () => {
  assert.deepEqual(ask('web.default.svc.cluster.local', 'AAAA'), { rcode: 'NOERROR', isAuthoritative: true, isRecursionAvailable: false, answers: [], authorities: [soa], additionals: [] });
  for (const name of ['svc', 'default.svc', 'pod', 'default.pod']) assert.deepEqual([ask(`${name}.cluster.local`).rcode, data(`${name}.cluster.local`)], ['NOERROR', []]);
  for (const name of ['nope.default.svc', 'nope.svc', 'web.nope.svc', 'a.b.c.web.default.svc', 'web.default', '*.default.svc']) {
    assert.deepEqual([name, ask(`${name}.cluster.local`).rcode, ask(`${name}.cluster.local`).authorities], [name, 'NXDOMAIN', [soa]]);
  }
});

test('an external name is an alias to be followed', () => {
  assert.deepEqual(records.lookup({ name: 'elsewhere.default.svc.cluster.local', type: 'A', class: 'IN' }, 7), {
    kind: 'alias', target: 'example.org', record: { name: 'elsewhere.default.svc.cluster.local', type: 'CNAME', ttl: 30, data: 'example.org' } });
});

test('a pod\'s name is its address with dashes, in any namespace that exists', () => {
  assert.deepEqual(data('172-16-9-9.default.pod.cluster.local'), ['172.16.9.9']);
  assert.equal(ask('172-16-9-9.nope.pod.cluster.local').rcode, 'NXDOMAIN');
  assert.equal(ask('nonsense.default.pod.cluster.local').rcode, 'NXDOMAIN');
});

test('addresses of services and of endpoints have names; others are for somebody else', () => {
  assert.deepEqual(data('50.0.96.10.in-addr.arpa', 'PTR'), ['web.default.svc.cluster.local'], 'a service comes before endpoints');
  assert.deepEqual(data('9.1.16.172.in-addr.arpa', 'PTR'), ['172-16-1-9.web.default.svc.cluster.local']);
  assert.deepEqual(ask('in-addr.arpa', 'SOA').answers.map(({ name, type }) => `${name} ${type}`), ['in-addr.arpa SOA']);
  assert.deepEqual(data('2.1.16.172.in-addr.arpa', 'PTR'), ['db-0.db.default.svc.cluster.local']);
  assert.deepEqual(records.lookup({ name: '8.8.8.8.in-addr.arpa', type: 'PTR', class: 'IN' }, 7), { kind: 'next' });
  assert.deepEqual(records.lookup({ name: 'example.org', type: 'A', class: 'IN' }, 7), { kind: 'next' });
});

test('the zone itself has a SOA, a name server and a version', () => {
  assert.deepEqual(ask('cluster.local', 'SOA').answers, [soa]);
  assert.deepEqual(data('cluster.local', 'NS'), ['ns.dns.cluster.local']);
  assert.deepEqual(data('ns.dns.cluster.local'), ['10.96.0.10']);
  assert.deepEqual(data('dns-version.cluster.local', 'TXT'), [['1.1.0']]);
});

test('before the API server was heard every name of the cluster fails for now', () => {
  const unsynced = new ClusterRecords({ ...view, hasSynced: false }, { zones: ['cluster.local.'], ttlSeconds: 30, pods: 'insecure', fallthrough: [], endpointPodNames: false });
  const found = unsynced.lookup({ name: 'web.default.svc.cluster.local', type: 'A', class: 'IN' }, 7);
  assert.equal(found.kind === 'reply' && found.reply.rcode, 'SERVFAIL');
});

test('reverse names of IPv6 addresses are read in their shortest form', () => {
  assert.equal(addressOfReverseName(`1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`), '2001:db8::1');
  assert.equal(addressOfReverseName(`1.${'0.'.repeat(31)}ip6.arpa`), '::1');
  assert.equal(addressOfReverseName('300.1.1.1.in-addr.arpa'), undefined);
});
