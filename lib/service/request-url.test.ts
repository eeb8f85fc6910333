import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestUrl } from './request-url.ts';

test('the path is that of the request, with its dots resolved', () => {
  assert.equal(requestUrl('/apis/../metrics?verbose').pathname, '/metrics');
  assert.equal(requestUrl('/a?b=c').searchParams.get('b'), 'c');
});

test('whatever a client writes is a URL of this server', () => {
  for (const target of ['//', '//elsewhere/metrics', 'http://[', '*', '', undefined]) assert.equal(requestUrl(target).hostname, 'localhost', target);
  assert.equal(requestUrl('//elsewhere/metrics').pathname, '//elsewhere/metrics');
});
