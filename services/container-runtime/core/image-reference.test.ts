import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatImageReference, parseImageReference } from './image-reference.ts';

const normalised = (text: string): string | undefined => {
  const reference = parseImageReference(text);
  return reference && formatImageReference(reference);
};
const DIGEST = `sha256:${'ab'.repeat(32)}`;

test('a short name means Docker Hub, its library and the tag latest', () => {
  assert.equal(normalised('nginx'), 'docker.io/library/nginx:latest');
  assert.equal(normalised('nginx:1.16.0'), 'docker.io/library/nginx:1.16.0');
  assert.equal(normalised('calico/node:v3.30.1'), 'docker.io/calico/node:v3.30.1');
  assert.equal(normalised('index.docker.io/nginx'), 'docker.io/library/nginx:latest');
});

test('a first part with a dot, a port or the name localhost is a registry', () => {
  assert.equal(normalised('registry.k8s.io/pause:3.10'), 'registry.k8s.io/pause:3.10');
  assert.equal(normalised('localhost:5000/a/b'), 'localhost:5000/a/b:latest');
  assert.equal(normalised('localhost/a'), 'localhost/a:latest');
});

test('a digest decides, the tag beside it is dropped', () => {
  assert.equal(normalised(`nginx:1.16.0@${DIGEST}`), `docker.io/library/nginx@${DIGEST}`);
});

test('what is no reference is refused', () => {
  for (const text of ['', 'Nginx', 'nginx:', 'nginx:a b', 'a//b', 'nginx@sha256:12', '/nginx', 'nginx:-x']) assert.equal(normalised(text), undefined, text);
});
