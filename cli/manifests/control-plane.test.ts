import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlPlaneEndpoint, hostsWith, mastersOf, urlOf } from '../cluster-layout.ts';
import { controlPlaneManifests } from './control-plane.ts';

test('every member of etcd knows all of them, and its API server asks the one beside it', () => {
  const masters = mastersOf(hostsWith(3, 3));
  for (const host of masters) {
    const manifests = controlPlaneManifests(host, { masters });
    const etcd = manifests.get('etcd.yaml') ?? '';
    assert.match(etcd, /--initial-cluster=m-k8s=https:\/\/192\.168\.1\.10:2380,m2-k8s=https:\/\/192\.168\.1\.11:2380,m3-k8s=https:\/\/192\.168\.1\.12:2380$/m);
    assert.ok(etcd.includes(`--name=${host.name}\n`) && etcd.includes(`--initial-advertise-peer-urls=https://${host.address}:2380\n`));
    assert.match(manifests.get('kube-apiserver.yaml') ?? '', /--etcd-servers=https:\/\/127\.0\.0\.1:2379$/m);
  }
});

test('clients of several masters go by the balancer of their host, those of one to it', () => {
  assert.equal(urlOf(controlPlaneEndpoint(hostsWith(3, 5))), 'https://127.0.0.1:7445');
  assert.equal(urlOf(controlPlaneEndpoint(hostsWith(3))), 'https://192.168.1.10:6443');
});
