// What nobody should send: always a Status in upstream's words, or what Go's HTTP server says; never a 500, never the end of the server.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { startTestServer, type Answer, type TestServer } from './testing/test-server.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
  await server.app.listen({ host: '127.0.0.1', port: 0 });
});
after(() => server.close());

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const YAML = { 'content-type': 'application/yaml' };
const failed = ({ code, json }: Answer) => ({ code, reason: json['reason'], message: json['message'] });
const refusal = (message: string) => ({ code: 400, reason: 'BadRequest', message });
const unrecognized = (text: string, summary: string) =>
  refusal(`the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ${text} (${summary})`);

test('a body that is no JSON is refused with the place and the beginning of it', async () => {
  assert.deepEqual(failed(await server.post(CONFIG_MAPS, '', { 'content-length': '0' })), unrecognized('unexpected end of JSON input', '<empty>'));
  assert.deepEqual(failed(await server.post(CONFIG_MAPS, '{"a":')), unrecognized('unexpected end of JSON input', '{"a":'));
  assert.deepEqual(failed(await server.post(CONFIG_MAPS, '{} xx')), unrecognized("invalid character 'x' after top-level value", '{} xx'));
  assert.ok((await server.post(CONFIG_MAPS, `[${'1,'.repeat(40)}`)).text.includes(`(${Buffer.from(`[${'1,'.repeat(15)}`).subarray(0, 30).toString('hex')} ...)`));
});

test('a body that nests without end is refused before anything walks it', async () => {
  const deep = '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000);
  for (const validation of ['Strict', 'Ignore']) {
    assert.deepEqual(failed(await server.post(`${CONFIG_MAPS}?fieldValidation=${validation}`, deep)), unrecognized('exceeded max depth', `${deep.slice(0, 30)} ...`));
  }
  assert.deepEqual(failed(await server.patch(`${CONFIG_MAPS}/x`, 'merge', deep)), refusal('error decoding patch: exceeded max depth'));
  assert.deepEqual(failed(await server.post(CONFIG_MAPS, '{a: '.repeat(20_000) + '1' + '}'.repeat(20_000), YAML)), refusal('the object provided is unrecognized (must be of type ConfigMap): yaml: exceeded max depth ({a: {a: {a: {a: {a: {a: {a: {a ...)'));
});

test('YAML that grows when its aliases are resolved is refused', async () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...[...'bcdefghij'].map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[index]}`).join(',')}]`)].join('\n');
  assert.deepEqual(failed(await server.post(CONFIG_MAPS, bomb, YAML)), refusal('the object provided is unrecognized (must be of type ConfigMap): yaml: document contains excessive aliasing (613a202661205b782c782c782c782c782c782c782c782c785d0a623a2026 ...)'));
});

test('a patch cannot reach the prototypes of the server', async () => {
  await server.post(CONFIG_MAPS, { metadata: { name: 'patched' } });
  for (const path of ['/__proto__/x', '/constructor/prototype/x']) {
    assert.deepEqual(failed(await server.patch(`${CONFIG_MAPS}/patched`, 'json', [{ op: 'add', path, value: 1 }])), { code: 422, reason: 'Invalid', message: 'the server rejected our request due to an error in our request' });
  }
  assert.equal((await server.get(`${CONFIG_MAPS}/patched`)).code, 200);
});

test('options and query parameters that make no sense are named', async () => {
  assert.deepEqual(failed(await server.post(`${CONFIG_MAPS}?fieldValidation=Foo`, {})), {
    code: 422, reason: 'Invalid', message: 'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Foo": supported values: "Ignore", "Strict", "Warn"',
  });
  for (const parameter of ['limit', 'timeoutSeconds']) {
    assert.deepEqual(failed(await server.get(`${CONFIG_MAPS}?${parameter}=abc`)), refusal('strconv.ParseInt: parsing "abc": invalid syntax'));
  }
  assert.deepEqual(failed(await server.post(CONFIG_MAPS, '{}', { 'content-type': ';;;' })), {
    code: 415, reason: 'UnsupportedMediaType', message: 'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
  });
  const badUrl = await server.get(`${CONFIG_MAPS}/%zz`);
  assert.deepEqual([badUrl.code, badUrl.text], [400, '400 Bad Request']);
});

async function rawAnswer(request: string): Promise<string> {
  const socket = connect((server.app.server.address() as AddressInfo).port, '127.0.0.1');
  let answer = '';
  socket.on('error', () => { /* cut off while it still writes */ });
  socket.on('data', (chunk: Buffer) => { answer += chunk.toString(); });
  socket.write(request);
  await once(socket, 'close');
  return `${answer.split('\r\n')[0]} | ${answer.split('\r\n\r\n')[1]}`;
}

test('what is no HTTP is answered in plain text and cut off; long headers are no reason', async () => {
  assert.equal(await rawAnswer('\x00\x01garbage\r\n\r\n'), 'HTTP/1.1 400 Bad Request | 400 Bad Request');
  const withHeader = (bytes: number): string => `GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ${'a'.repeat(bytes)}\r\n\r\n`;
  assert.equal(await rawAnswer(withHeader(200_000)), 'HTTP/1.1 200 OK | ok');
  assert.match(await rawAnswer(withHeader(1_500_000)), /^(HTTP\/1.1 431 Request Header Fields Too Large \| 431 Request Header Fields Too Large| \| undefined)$/);
});
