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

const PODS = '/api/v1/namespaces/default/pods';
const MERGE = { 'content-type': 'application/merge-patch+json' };
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const optionsProblem = (kind: string, text: string) => ({ code: 422, reason: 'Invalid', message: `${kind}.meta.k8s.io "" is invalid: ${text}` });
const NOT_SERVED = { code: 404, reason: 'NotFound', message: 'the server could not find the requested resource' };
const NOT_ALLOWED = { code: 405, reason: 'MethodNotAllowed', message: 'the server does not allow this method on the requested resource' };
const NAMELESS = { code: 422, reason: 'Invalid', message: 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required' };

interface Row {
  readonly ask: readonly [method: string, url: string, body?: unknown, headers?: Readonly<Record<string, string>>];
  readonly answer: { readonly code: number; readonly reason: string; readonly message: string };
}
const rows: readonly Row[] = [
  // names that JavaScript's objects have, too
  ...['constructor', '__proto__', 'toString'].flatMap((name): Row[] => [
    { ask: ['GET', `${PODS}/p/${name}`], answer: NOT_SERVED }, { ask: ['GET', `/api/v1/namespaces/default/${name}`], answer: NOT_SERVED },
    { ask: ['GET', `${CONFIG_MAPS}/${name}`], answer: { code: 404, reason: 'NotFound', message: `configmaps "${name}" not found` } },
  ]),
  // bodies that say nothing
  { ask: ['POST', CONFIG_MAPS, 'null'], answer: NAMELESS }, { ask: ['POST', CONFIG_MAPS, '', YAML], answer: NAMELESS },
  { ask: ['POST', CONFIG_MAPS, 'NaN'], answer: unrecognized("invalid character 'N' looking for beginning of value", '4e614e') },
  { ask: ['POST', CONFIG_MAPS, '*x', YAML], answer: refusal("the object provided is unrecognized (must be of type ConfigMap): yaml: unknown anchor 'x' referenced (2a78)") },
  { ask: ['POST', CONFIG_MAPS, { data: { a: 'x'.repeat(3 * 1024 * 1024) } }], answer: { code: 413, reason: 'RequestEntityTooLarge', message: 'Request entity too large: limit is 3145728' } },
  // parameters of lists
  { ask: ['GET', `${CONFIG_MAPS}?limit=`], answer: refusal('strconv.ParseInt: parsing "": invalid syntax') },
  { ask: ['GET', `${CONFIG_MAPS}?limit=99999999999999999999`], answer: refusal('strconv.ParseInt: parsing "99999999999999999999": value out of range') },
  { ask: ['GET', `${CONFIG_MAPS}?resourceVersion=${'9'.repeat(23)}`], answer: refusal(`invalid resource version: strconv.ParseUint: parsing "${'9'.repeat(23)}": value out of range`) },
  { ask: ['GET', `${CONFIG_MAPS}?continue=abc`], answer: refusal('continue key is not valid: illegal base64 data') },
  { ask: ['GET', `${CONFIG_MAPS}?continue=${Buffer.from('{"v":"meta.k8s.io/v1","rv":1,"start":"../../x"}').toString('base64url')}`], answer: refusal('continue key is not valid: ../../x') },
  { ask: ['GET', `${CONFIG_MAPS}?labelSelector=${encodeURIComponent('a in (')}`], answer: refusal("unable to parse requirement: found '', expected: ',', ')' or identifier") },
  { ask: ['GET', `${CONFIG_MAPS}?fieldSelector=spec.x%3D1`], answer: refusal('"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"') },
  { ask: ['GET', `${CONFIG_MAPS}?sendInitialEvents=true`], answer: optionsProblem('ListOptions', 'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list') },
  { ask: ['GET', `${CONFIG_MAPS}?watch=1&resourceVersionMatch=NotOlderThan`], answer: optionsProblem('ListOptions', 'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided') },
  { ask: ['GET', `${CONFIG_MAPS}?watch=1&timeoutSeconds=x`], answer: refusal('strconv.ParseInt: parsing "x": invalid syntax') },
  // deletions
  { ask: ['DELETE', `${CONFIG_MAPS}?limit=x`], answer: refusal('strconv.ParseInt: parsing "x": invalid syntax') },
  { ask: ['DELETE', `${CONFIG_MAPS}/x`, { propagationPolicy: 'Foo' }], answer: optionsProblem('DeleteOptions', 'propagationPolicy: Unsupported value: "Foo": supported values: "Background", "Foreground", "Orphan", "nil"') },
  { ask: ['DELETE', `${CONFIG_MAPS}/x?dryRun=Some`], answer: optionsProblem('DeleteOptions', 'dryRun: Unsupported value: "Some": supported values: "All"') },
  // patches
  { ask: ['PATCH', `${CONFIG_MAPS}/x`, '{', MERGE], answer: refusal('error decoding patch: unexpected end of JSON input') },
  { ask: ['PATCH', `${CONFIG_MAPS}/x`, '{}', JSON_PATCH], answer: { code: 404, reason: 'NotFound', message: 'configmaps "x" not found' } },
  { ask: ['PATCH', `${CONFIG_MAPS}/x`, '{}', { 'content-type': 'application/json' }], answer: {
    code: 415, reason: 'UnsupportedMediaType', message: 'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml',
  } },
  // subresources
  { ask: ['POST', `${PODS}/p/eviction`, {}], answer: refusal('name in URL does not match name in Eviction object') },
  { ask: ['POST', `${PODS}/p/binding`, { metadata: { name: 'q' } }], answer: refusal('name in URL does not match name in Binding object') },
  { ask: ['DELETE', `${PODS}/p/status`], answer: NOT_ALLOWED }, { ask: ['PUT', CONFIG_MAPS, {}], answer: NOT_ALLOWED },
  { ask: ['GET', PODS, undefined, { accept: 'text/html' }], answer: { code: 406, reason: 'NotAcceptable', message: 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf' } },
];

for (const { ask, answer } of rows) {
  const [method, url, body, headers] = ask;
  test(`${method} ${url.slice(0, 90)} ${body === undefined ? '' : JSON.stringify(body).slice(0, 40)} ${Object.values(headers ?? {}).join()}: ${answer.code} ${answer.reason}`, async () => {
    assert.deepEqual(failed(await server.request(method, url, body, headers)), answer);
  });
}
