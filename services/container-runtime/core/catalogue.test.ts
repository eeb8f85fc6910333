import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { findInCatalogue, missingProgramText, type CatalogueEntry } from './catalogue.ts';
import { parseImageReference } from './image-reference.ts';

const { images } = JSON.parse(readFileSync(new URL('../../../images/catalogue.json', import.meta.url), 'utf8')) as { images: CatalogueEntry[] };
const find = (name: string) => {
  const reference = parseImageReference(name);
  return reference && findInCatalogue(images, reference);
};

test('published tags of nginx are there, and 1.17.23, which never was, is not', () => {
  for (const tag of ['1.7.9', '1.14.2', '1.15.12', '1.16.0', '1.16.1', '1.19.0', '1.25.3', '1.27-alpine', 'alpine', 'stable']) assert.ok(find(`nginx:${tag}`), tag);
  assert.equal(find('nginx:1.17.23'), undefined);
  assert.equal(find('nginx:1.16.0')?.version, '1.16.0');
  assert.match(find('nginx')?.version ?? '', /^1\.\d+\.\d+$/);
});

test("the cluster's own images are there in their versions", () => {
  for (const name of ['registry.k8s.io/etcd:3.6.8-0', 'registry.k8s.io/kube-apiserver:v1.36.2', 'registry.k8s.io/kube-proxy:v1.36.2', 'registry.k8s.io/coredns/coredns:v1.14.2', 'registry.k8s.io/pause:3.10.1', 'calico/node:v3.30.1', 'calico/kube-controllers:v3.30.1']) {
    assert.ok(find(name), name);
  }
  assert.equal(find('registry.k8s.io/kube-apiserver:v1.36.99'), undefined);
});

test('an unknown image and a digest are not found', () => {
  assert.equal(find('example.org/nginx'), undefined);
  assert.equal(find(`nginx@sha256:${'a'.repeat(64)}`), undefined);
});

test('what tutorials use is there', () => {
  for (const name of ['httpd', 'httpd:2.4-alpine', 'busybox:1.28', 'centos:7', 'redis:alpine', 'memcached', 'postgres:15', 'mysql:8.0', 'sysnet4admin/echo-hname', 'sysnet4admin/echo-ip', 'sysnet4admin/audit-trail', 'sysnet4admin/net-tools',
    'nicolaka/netshoot', 'hashicorp/http-echo:0.2.3', 'k8s.gcr.io/echoserver:1.4', 'registry.k8s.io/echoserver:1.10', 'gcr.io/google-samples/hello-app:1.0', 'registry.k8s.io/e2e-test-images/agnhost:2.53', 'curlimages/curl', 'bitnami/kubectl',
    'hello-world', 'perl:5.34.0', 'python:3.11']) assert.ok(find(name), name);
  assert.equal(find('sysnet4admin/echo-hname:v2'), undefined);
});

test('a missing program is told with what to install', () => {
  assert.equal(missingProgramText('docker.io/library/redis:7', '/usr/bin/redis-server', ['redis-server']),
    'failed to pull and unpack image "docker.io/library/redis:7": failed to resolve reference "docker.io/library/redis:7": docker.io/library/redis:7: not found (the built-in image runs /usr/bin/redis-server of the node, which is not installed: apt-get install redis-server)');
});
