import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, parseOptions } from './agnhost.ts';
import { echoText } from './echoserver.ts';

const request = { clientAddress: '172.16.0.9', method: 'GET', path: '/a?b=c', httpVersion: '1.1', headers: { 'user-agent': 'curl', 'host': '172.16.1.2:8080', 'accept': '*/*' }, body: '' };

test('echoserver 1.4 answers in the old form', () => {
  const text = echoText({ version: '1.4', port: 8080, pod: {} }, 'echo-1', request);
  assert.match(text, /^CLIENT VALUES:\nclient_address=172\.16\.0\.9\ncommand=GET\nreal path=\/a\?b=c\nquery=b=c\nrequest_version=1\.1\nrequest_uri=http:\/\/172\.16\.1\.2:8080\/a\?b=c\n/);
  assert.match(text, /HEADERS RECEIVED:\naccept=\*\/\*\nhost=172\.16\.1\.2:8080\nuser-agent=curl\nBODY:\n-no body in request-$/);
});

test('echoserver 1.10 tells of its pod', () => {
  const text = echoText({ version: '1.10', port: 8080, pod: { POD_NAME: 'p' } }, 'echo-1', { ...request, body: 'hello' });
  assert.match(text, /^\n\nHostname: echo-1\n\nPod Information:\n\tpod name:\tp\n/);
  assert.match(text, /Request Body:\nhello\n/);
});

test('options and durations are read as Go programs read them', () => {
  assert.deepEqual(parseOptions(['--http-port=80', '--udp-port', '-1', '--close', 'word'], ['close']), { options: { 'http-port': '80', 'udp-port': '-1', 'close': 'true' }, words: ['word'] });
  assert.equal(duration('1.5s'), 1500);
  assert.equal(duration('1m30s'), 90_000);
  assert.equal(duration(null), 0);
});
