// A name server that lies and a relay that takes its time.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { lieTo, serveLies } from './dns-liar.ts';
import { DueTimes, pipeSlowly } from './slow-relay.ts';

/** `a.` of type A and class IN, with an additional OPT record, as resolvers ask. */
const QUERY = Buffer.from('123401000001000000000001016100000100010000290200000000000000', 'hex');

test('the answer has the id and the question of the query, the error, and no records', () => {
  assert.equal(lieTo(QUERY, 'servfail')?.toString('hex'), '12348182000100000000000001610000010001');
  assert.equal(lieTo(QUERY, 'nxdomain')?.toString('hex'), '12348183000100000000000001610000010001');
});

test('what is no query gets no answer', () => {
  assert.equal(lieTo(Buffer.from('1234', 'hex'), 'servfail'), undefined);
  assert.equal(lieTo(QUERY.subarray(0, 16), 'servfail'), undefined);
  const answer = lieTo(QUERY, 'servfail');
  assert.ok(answer);
  assert.equal(lieTo(answer, 'servfail'), undefined);
});

test('jitter changes when a piece is due, but never brings it before an earlier one', () => {
  const randoms = [1, 0, 0.5];
  let nowMs = 0;
  const due = new DueTimes({ delayMs: 100, jitterMs: 50, random: () => randoms.shift() ?? 0.5, nowMs: () => nowMs });
  assert.equal(due.next(), 150);
  nowMs = 10;
  assert.equal(due.next(), 150);
  nowMs = 100;
  assert.equal(due.next(), 200);
});

test('bytes and the end come through whole, each way, later', async () => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const timing = { delayMs: 50, jitterMs: 20, random: Math.random, nowMs: () => performance.now() };
  const relay = createServer({ allowHalfOpen: true }, (client) => {
    const target = connect({ port: (echo.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    pipeSlowly(client, target, timing);
    pipeSlowly(target, client, timing);
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const sent = Buffer.alloc(6 * 1024 * 1024, 'kubreak');
  const startedMs = performance.now();
  const client: Socket = connect({ port: (relay.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  client.end(sent);
  const received: Buffer[] = [];
  for await (const chunk of client) received.push(chunk as Buffer);
  assert.ok(Buffer.concat(received).equals(sent));
  assert.ok(performance.now() - startedMs >= 60, 'two ways of at least 30 ms');
  echo.close();
  relay.close();
});

test('a port for UDP is found where TCP has one', async () => {
  const { port, close } = await serveLies('127.0.0.1', 'nxdomain');
  const socket = createSocket('udp4');
  socket.send(QUERY, port, '127.0.0.1');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  assert.equal(answer.readUInt16BE(2) & 0xf, 3);
  socket.close();
  const stream = connect(port, '127.0.0.1');
  const length = Buffer.from([0, QUERY.length]);
  stream.write(Buffer.concat([length, QUERY, length])); // and half of the next
  const [reply] = (await once(stream, 'data')) as [Buffer];
  assert.equal(reply.readUInt16BE(0), 19);
  stream.destroy();
  close();
});
