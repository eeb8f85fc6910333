import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseResolvConf, podDns } from './dns.ts';
import { hostNetworkHostsFile, hostnameOf, podHostsFile } from './hosts-file.ts';
import { pod } from './testing.ts';

const host = parseResolvConf('# made by hand\nsearch example.com\nnameserver 192.168.1.1\noptions timeout:2\n');
const dns = (spec = {}, clusterDns = ['10.96.0.10']) => podDns({ pod: pod(spec), host, clusterDns, clusterDomain: 'cluster.local' });

test('ClusterFirst asks the cluster and searches its domains before those of the node', () => {
  const { servers, searches, options } = dns();
  assert.deepEqual([servers, searches, options], [['10.96.0.10'], ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'example.com'], ['ndots:5']]);
});

test('a pod in the host network asks as its node does, unless it wants the cluster expressly', () => {
  assert.deepEqual(dns({ hostNetwork: true }).servers, ['192.168.1.1']);
  assert.deepEqual(dns({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }).servers, ['10.96.0.10']);
  assert.deepEqual(dns({ dnsPolicy: 'Default' }).options, ['timeout:2']);
});

test('dnsConfig adds to what the policy gives, and replaces options of the same name', () => {
  const { servers, searches, options } = dns({ dnsPolicy: 'None', dnsConfig: { nameservers: ['1.1.1.1'], searches: ['a.b'], options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }] } });
  assert.deepEqual([servers, searches, options], [['1.1.1.1'], ['a.b'], ['ndots:2', 'edns0']]);
  assert.deepEqual(dns({ dnsConfig: { options: [{ name: 'ndots', value: '1' }] } }).options, ['ndots:1']);
});

test('more than three name servers are cut, with a warning', () => {
  const { servers, warnings } = dns({ dnsConfig: { nameservers: ['1.1.1.1', '2.2.2.2', '3.3.3.3'] } });
  assert.equal(servers.length, 3);
  assert.equal(warnings[0]?.message, 'Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.96.0.10 1.1.1.1 2.2.2.2');
});

test('without cluster DNS the policy falls back to that of the node, with a warning', () => {
  const { servers, warnings } = dns({}, []);
  assert.deepEqual([servers, warnings[0]?.reason], [['192.168.1.1'], 'MissingClusterDNS']);
});

test('/etc/hosts names the pod, its domain and its aliases', () => {
  const text = podHostsFile(pod({ hostname: 'web-0', subdomain: 'web', hostAliases: [{ ip: '1.2.3.4', hostnames: ['foo', 'bar'] }] }), ['172.16.0.2'], 'cluster.local');
  assert.match(text, /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n/);
  assert.match(text, /172\.16\.0\.2\tweb-0\.web\.default\.svc\.cluster\.local\tweb-0\n\n# Entries added by HostAliases\.\n1\.2\.3\.4\tfoo\tbar\n$/);
  assert.equal(hostNetworkHostsFile('127.0.0.1 localhost\n', pod()), '# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n');
});

test('a host name is cut to 63 characters', () => {
  assert.equal(hostnameOf(pod({}, { name: `${'a'.repeat(62)}-bc` })), 'a'.repeat(62));
});
