import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRequestInfo } from './request-info.ts';

const parse = (method: string, url: string) => {
  const [path = '', query = ''] = url.split('?');
  return parseRequestInfo(method, path, new URLSearchParams(query));
};
const shown = (method: string, url: string): string => {
  const { verb, apiGroup, apiVersion, namespace, resource, subresource, name } = parse(method, url);
  return [verb, apiGroup, apiVersion, namespace, resource, subresource, name].join('|');
};

test('a request for a resource is read from method and path', () => {
  assert.equal(shown('GET', '/api/v1/namespaces/default/pods'), 'list||v1|default|pods||');
  assert.equal(shown('GET', '/api/v1/namespaces/default/pods/a'), 'get||v1|default|pods||a');
  assert.equal(shown('GET', '/api/v1/namespaces/default/pods?watch=1'), 'watch||v1|default|pods||');
  assert.equal(shown('GET', '/api/v1/pods?watch=false'), 'list||v1||pods||');
  assert.equal(shown('POST', '/api/v1/namespaces/default/pods/a/exec?command=ls'), 'create||v1|default|pods|exec|a');
  assert.equal(shown('PUT', '/apis/apps/v1/namespaces/x/deployments/d/status'), 'update|apps|v1|x|deployments|status|d');
  assert.equal(shown('DELETE', '/apis/apps/v1/namespaces/x/deployments'), 'deletecollection|apps|v1|x|deployments||');
  assert.equal(shown('PATCH', '/api/v1/nodes/n1'), 'patch||v1||nodes||n1');
});

test('a namespace is both the resource and the namespace of a request about it', () => {
  assert.equal(shown('GET', '/api/v1/namespaces/kube-system'), 'get||v1|kube-system|namespaces||kube-system');
  assert.equal(shown('PUT', '/api/v1/namespaces/kube-system/finalize'), 'update||v1|kube-system|namespaces|finalize|kube-system');
  assert.equal(shown('GET', '/api/v1/namespaces'), 'list||v1||namespaces||');
});

test('the name in a field selector counts as the name of a list or watch', () => {
  assert.equal(parse('GET', '/api/v1/namespaces/a/secrets?fieldSelector=metadata.name%3Dtoken').name, 'token');
});

test('what is not below a version is no resource', () => {
  for (const path of ['/', '/healthz', '/api', '/apis', '/api/v1', '/apis/apps', '/apis/apps/v1', '/version']) {
    const { isResourceRequest, verb } = parse('GET', path);
    assert.deepEqual({ path, isResourceRequest, verb }, { path, isResourceRequest: false, verb: 'get' });
  }
});
