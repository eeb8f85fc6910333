// HTTP/2 as nobody should speak it, frame by frame: whoever does it loses his connection, nobody else notices.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, constants, type ClientHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { createHttpServer } from './http-server.ts';

let handled = 0;
let server: ReturnType<typeof createHttpServer>;
let port = 0;
before(async () => {
  const nowMs = Date.now();
  const ca = await createCertificateAuthority({ commonName: 'ca', nowMs });
  const { certPem: cert, keyPem: key } = await issueCertificate({ ca, commonName: 'a', usages: ['server'], nowMs, dnsNames: ['localhost'], ipAddresses: [] });
  server = createHttpServer({ cert, key }, (request, response) => {
    handled += 1;
    if (request.url === '/wait') return; // as a watch does
    response.end('ok');
  }, { askAfterMs: 300, deadlineMs: 300 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const CONTINUATION = 9;
/** `:method GET`, `:path /`, `:scheme https` by their index. */
const GET = Buffer.from([0x82, 0x84, 0x87]);

function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const literal = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
const request = Buffer.concat([GET, literal(':authority', 'a')]);

async function speak(): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ALPNProtocols: ['h2'], rejectUnauthorized: false });
  socket.on('error', () => undefined); // cut off while it writes
  await once(socket, 'secureConnect');
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0)]));
  return socket;
}

/** Whether it is; false when it does not happen in time. */
function isClosed(socket: TLSSocket, deadlineMs = 5_000): Promise<boolean> {
  if (socket.destroyed) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), deadlineMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** Types of the frames that have come so far. */
function received(socket: TLSSocket): () => number[] {
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
  return () => {
    const types: number[] = [];
    for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes[at + 3] ?? 0);
    return types;
  };
}
async function ask(session: ClientHttp2Session, path = '/'): Promise<number | undefined> {
  const [headers] = await once(session.request({ ':path': path }), 'response') as [Record<string, number>];
  return headers[':status'];
}
async function isAlive(): Promise<void> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  assert.equal(await ask(session), 200);
  session.destroy();
}

const ROUNDS = 1_000;
const pair = (stream: number): Buffer => Buffer.concat([frame(HEADERS, 5, stream, request), frame(RST_STREAM, 0, stream, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]))]);

/** Each round of bytes is what one connection sends again and again. */
const floods: Readonly<Record<string, (round: number) => Buffer>> = {
  'requests that are taken back at once (CVE-2023-44487)': (round) => Buffer.concat(Array.from({ length: 100 }, (_, index) => pair((round * 100 + index) * 2 + 1))),
  'settings whose answers nobody reads': () => Buffer.concat(Array<Buffer>(1000).fill(frame(SETTINGS, 0, 0))),
  'pings whose answers nobody reads': () => Buffer.concat(Array<Buffer>(1000).fill(frame(PING, 0, 0, Buffer.alloc(8)))),
  'headers that never end (CVE-2024-27983)': (round) => (round === 0 ? frame(HEADERS, 1, 1, request) : Buffer.concat(Array<Buffer>(100).fill(frame(CONTINUATION, 0, 1, literal('x-a', 'b'.repeat(100)))))),
};
for (const [what, bytes] of Object.entries(floods)) {
  test(`whoever sends ${what} is cut off`, { timeout: 15_000 }, async () => {
    const socket = await speak();
    const before = handled;
    if (!what.includes('nobody reads')) socket.resume();
    const closed = isClosed(socket);
    let isOver = false;
    void closed.then(() => (isOver = true));
    let round = 0;
    for (; round < ROUNDS && !isOver; round += 1) {
      socket.write(bytes(round));
      while (socket.writableNeedDrain && !isOver) await sleep(1);
    }
    assert.ok(await closed, 'the connection is still there');
    assert.ok(handled - before <= 1000 + 250, `${handled - before} requests were worked on`);
    await isAlive();
  });
}

for (const [what, bytes] of Object.entries({
  'data for a stream that is none': frame(0, 1, 1, Buffer.from('x')), 'a stream number of the server': frame(HEADERS, 5, 2, request), 'a continuation of nothing': frame(CONTINUATION, 4, 1, GET),
  'headers that cannot be unpacked': frame(HEADERS, 5, 1, Buffer.alloc(7, 255)), 'settings of a wrong length': frame(SETTINGS, 0, 0, Buffer.alloc(5)), 'a promise': frame(5, 4, 1, Buffer.alloc(8)),
})) {
  test(`${what}: the connection is said goodbye to`, { timeout: 15_000 }, async () => {
    const socket = await speak();
    const types = received(socket);
    socket.write(bytes);
    assert.ok(await isClosed(socket), 'the connection is still there');
    assert.ok(types().includes(GOAWAY), JSON.stringify(types()));
    await isAlive();
  });
}

for (const [what, block] of Object.entries({
  'no path': Buffer.concat([Buffer.from([0x82, 0x87]), literal(':authority', 'a')]), 'two methods': Buffer.concat([Buffer.from([0x82]), request]), 'a pseudo-header that nobody knows': Buffer.concat([request, literal(':foo', 'x')]),
  'a pseudo-header after others': Buffer.concat([Buffer.from([0x82, 0x87]), literal('a', 'b'), Buffer.from([0x84])]), 'capital letters': Buffer.concat([request, literal('Foo', 'x')]),
  'a header of connections': Buffer.concat([request, literal('connection', 'keep-alive')]),
})) {
  test(`a request with ${what} is reset, others on the connection are not`, { timeout: 15_000 }, async () => {
    const socket = await speak();
    const before = handled;
    const types = received(socket);
    socket.write(Buffer.concat([frame(HEADERS, 5, 1, block), frame(HEADERS, 5, 3, request)]));
    await eventually(async () => types().includes(RST_STREAM) && types().includes(HEADERS));
    socket.destroy();
    assert.equal(handled - before, 1);
  });
}

test('a client has 250 requests at once; the next waits for one of them to end', { timeout: 15_000 }, async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  await once(session, 'remoteSettings');
  assert.equal(session.remoteSettings.maxConcurrentStreams, 250);
  const waiting = Array.from({ length: 250 }, () => session.request({ ':path': '/wait' }));
  for (const one of waiting) one.on('error', () => undefined);
  const next = ask(session);
  await sleep(50);
  await isAlive();
  waiting[0]?.close();
  assert.equal(await next, 200);
  session.destroy();
});

test('a silent client that is there keeps its connection, one that does not answer loses it', { timeout: 15_000 }, async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const mute = (await speak()).resume(); // it never answers a ping
  assert.equal(await ask(session), 200);
  assert.ok(await isClosed(mute));
  await sleep(1_000); // several times the silence that is allowed
  assert.ok(!session.destroyed && !session.closed);
  assert.equal(await ask(session), 200);
  session.destroy();
});
