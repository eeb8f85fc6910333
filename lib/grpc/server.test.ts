// The server against a client that is not ours: grpc-js, over node:http2.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { startTestServer, until } from './testing.ts';

const server = await startTestServer();
const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
after(async () => {
  client.close();
  await server.close();
});

const encode = (text: string): Buffer => Buffer.from(text);
const decode = (bytes: Buffer): string => bytes.toString();
const path = (method: string): string => `/test.Texts/${method}`;

function call(method: string, request: string | Buffer, { metadata = new Metadata(), timeoutMs = 10_000 } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path(method), (value: string | Buffer) => Buffer.from(value as string), decode, request, metadata, { deadline: Date.now() + timeoutMs },
      (error: ServiceError | null, response?: string) => (error === null ? resolve(response ?? '') : reject(error)));
  });
}

test('a call is answered', async () => {
  assert.equal(await call('Echo', 'hello'), 'hello');
  assert.equal(await call('Echo', ''), '');
});

test('thousands of calls at once on one connection are answered, each with its own', async () => {
  const requests = Array.from({ length: 5_000 }, (_, at) => `request ${at}`);
  assert.deepEqual(await Promise.all(requests.map((request) => call('Echo', request))), requests);
});

test('messages up to the limit pass in either direction, many at once, whatever the windows', async () => {
  const large = 'x'.repeat(1024 * 1024);
  for (const answer of await Promise.all(Array.from({ length: 20 }, () => call('Echo', large)))) assert.ok(answer === large);
});

test('a larger message is refused in grpc-go\'s words', async () => {
  await assert.rejects(call('Echo', 'x'.repeat(1024 * 1024 + 1)), { code: status.RESOURCE_EXHAUSTED, details: 'grpc: received message larger than max (1048577 vs. 1048576)' });
});

test('errors come with their code and text, whatever the text', async () => {
  await assert.rejects(call('Fail', '5 no such thing'), { code: status.NOT_FOUND, details: 'no such thing' });
  await assert.rejects(call('Fail', '9 100 % größer\nthan 日本'), { code: status.FAILED_PRECONDITION, details: '100 % größer\nthan 日本' });
  await assert.rejects(call('Fail', `9 ${'long '.repeat(10_000)}`), ({ code, details }: ServiceError) => code === status.FAILED_PRECONDITION && details.length === 4096);
});

test('a defect is told to the server, and little of it to the client', async () => {
  await assert.rejects(call('Fail', ' secret'), { code: status.INTERNAL, details: 'a defect' });
  assert.deepEqual(server.defects.map((error) => (error as Error).message), ['secret']);
});

test('what is no message of the method is refused', async () => {
  await assert.rejects(call('Echo', Buffer.from([0xff])), { code: status.INTERNAL, details: 'grpc: error unmarshalling request: not a text' });
});

test('unknown methods and services are unimplemented', async () => {
  await assert.rejects(call('Nothing', ''), { code: status.UNIMPLEMENTED, details: 'unknown method Nothing for service test.Texts' });
  await assert.rejects(new Promise((_, reject) => {
    client.makeUnaryRequest('/test.Other/Echo', encode, decode, '', (error: ServiceError | null) => reject(error));
  }), { code: status.UNIMPLEMENTED, details: 'unknown service test.Other' });
});

test('metadata reach the handler, printable characters of all kinds too', async () => {
  const metadata = new Metadata();
  const printable = String.fromCharCode(...Array.from({ length: 94 }, (_, at) => 0x21 + at));
  metadata.set('token', printable);
  assert.equal(await call('Header', 'token', { metadata }), printable);
  assert.equal(await call('Header', 'te'), 'trailers');
  assert.equal(await call('Header', 'hasleader'), 'none');
});

test('a deadline ends the call at both ends', async () => {
  await assert.rejects(call('Wait', 'deadline', { timeoutMs: 100 }), { code: status.DEADLINE_EXCEEDED });
  await until('the handler has heard of it', () => !server.waiting.has('deadline'));
});

test('a cancelled call aborts the signal of its handler', async () => {
  const cancelled = client.makeUnaryRequest(path('Wait'), encode, decode, 'cancel', () => undefined);
  await until('the call is there', () => server.waiting.has('cancel'));
  cancelled.cancel();
  await until('the handler has heard of it', () => !server.waiting.has('cancel'));
});

test('a stream of answers comes in order and whole', async () => {
  let count = 0;
  for await (const answer of client.makeServerStreamRequest(path('Count'), encode, decode, '3000 1000') as AsyncIterable<string>) {
    assert.equal(answer, `${count} `.padEnd(1000, 'x'));
    count += 1;
  }
  assert.equal(count, 3000);
});

test('a client that reads nothing holds up its stream only, and costs little memory', async () => {
  const slow = client.makeServerStreamRequest(path('Count'), encode, decode, '2000 100000'); // 200 MB
  await new Promise((resolve) => slow.once('readable', resolve));
  const before = process.memoryUsage().arrayBuffers;
  for (let at = 0; at < 200; at += 1) assert.equal(await call('Echo', 'meanwhile'), 'meanwhile');
  assert.ok(process.memoryUsage().arrayBuffers - before < 50e6);
  slow.on('error', () => undefined);
  slow.cancel();
});

test('a conversation goes both ways, ends when the client ends it, and fails when the handler does', async () => {
  const chat = client.makeBidiStreamRequest(path('Chat'), encode, decode);
  const answers: string[] = [];
  chat.on('data', (answer: string) => answers.push(answer));
  for (const word of ['a', 'b', 'c'.repeat(300_000)]) chat.write(word);
  await until('all is echoed', () => answers.length === 3);
  const ended = new Promise((resolve) => chat.once('status', resolve));
  chat.end();
  assert.equal(((await ended) as { code: number }).code, status.OK);

  const failing = client.makeBidiStreamRequest(path('Chat'), encode, decode);
  const failed = new Promise((resolve) => failing.once('error', resolve));
  failing.on('data', () => undefined);
  failing.write('one');
  failing.write('fail');
  assert.deepEqual([((await failed) as ServiceError).code, ((await failed) as ServiceError).details], [status.ABORTED, 'as you like']);
});

test('draining lets calls finish, takes no new ones on the connection, and ends', async () => {
  const own = await startTestServer();
  const other = new Client(`127.0.0.1:${own.port}`, credentials.createInsecure());
  const chat = other.makeBidiStreamRequest(path('Chat'), encode, decode);
  const answers: string[] = [];
  chat.on('data', (answer: string) => answers.push(answer));
  chat.write('before');
  await until('the stream is there', () => answers.length === 1);
  const drained = own.grpc.drain(10_000);
  chat.write('while');
  await until('the stream goes on', () => answers.length === 2);
  chat.end();
  await drained;
  assert.equal(own.grpc.connectionCount, 0);
  other.close();
  await own.close();
});
