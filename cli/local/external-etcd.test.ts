import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlPlaneManifests } from '../manifests/control-plane.ts';
import { externalEtcdOf } from './external-etcd.ts';

const file = new URL(import.meta.url).pathname;
const files = { etcdCafile: file, etcdCertfile: file, etcdKeyfile: file };

test('an etcd outside is given by addresses that the hosts can tell from their own', () => {
  assert.equal(externalEtcdOf({}), undefined);
  assert.deepEqual(externalEtcdOf({ etcdServers: 'https://10.1.2.3:2379,https://10.1.2.4:2379', ...files })?.servers, ['https://10.1.2.3:2379', 'https://10.1.2.4:2379']);
  assert.deepEqual([...externalEtcdOf({ etcdServers: 'https://10.1.2.3:2379', ...files })?.files.keys() ?? []], ['/etc/kubernetes/pki/etcd/ca.crt', '/etc/kubernetes/pki/apiserver-etcd-client.crt', '/etc/kubernetes/pki/apiserver-etcd-client.key']);
  assert.throws(() => externalEtcdOf({ etcdServers: 'https://127.0.0.1:2379', ...files }), /127\.0\.0\.1 is in 127\.0\.0\.0\/8/);
  assert.throws(() => externalEtcdOf({ etcdServers: 'https://10.97.0.1:2379', ...files }), /is in 10\.96\.0\.0\/12/);
  assert.throws(() => externalEtcdOf({ etcdServers: 'https://etcd.example:2379', ...files }), /is not of the form/);
  assert.throws(() => externalEtcdOf({ etcdServers: 'https://10.1.2.3:2379' }), /needs --etcd-cafile/);
  assert.throws(() => externalEtcdOf({ etcdServers: 'https://10.1.2.3:2379', ...files, etcdKeyfile: '/nowhere' }), /cannot read --etcd-keyfile: ENOENT/);
  assert.throws(() => externalEtcdOf(files), /go with --etcd-servers/);
});

test('with an etcd outside there is no static pod of etcd, and the API server is told where it is', () => {
  const host = { name: 'm-k8s', address: '192.168.1.10' };
  const manifests = controlPlaneManifests(host, { masters: [host], externalEtcd: ['https://10.1.2.3:2379'] });
  assert.deepEqual([...manifests.keys()], ['kube-apiserver.yaml', 'kube-controller-manager.yaml', 'kube-scheduler.yaml']);
  assert.match(manifests.get('kube-apiserver.yaml') ?? '', /--etcd-servers=https:\/\/10\.1\.2\.3:2379/);
  assert.match(controlPlaneManifests(host, { masters: [host] }).get('kube-apiserver.yaml') ?? '', /--etcd-servers=https:\/\/127\.0\.0\.1:2379/);
  assert.doesNotMatch(controlPlaneManifests(host, { masters: [host], externalEtcd: ['http://10.1.2.3:2379'] }).get('kube-apiserver.yaml') ?? '', /etcd-cafile/);
});
