import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { findInCatalogue, type CatalogueEntry } from './catalogue.ts';
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
