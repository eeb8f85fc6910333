// Clients that mean harm, or are broken: the server neither crashes nor hangs, and keeps nothing of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { CLIENT_PREFACE, errorCode, frame, frameFlag, frameType, resetFrame, setting, settingsFrame, windowUpdateFrame } from './http2-frames.ts';
import { headersFrame, message, RawClient, REQUEST_HEADERS, startTestServer, until } from './testing.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const server = await startTestServer();
after(() => server.close());

function memoryBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Buffers are freed by another thread, some time after the collection that found them unused. */
async function untilMemoryIsBelow(limitBytes: number): Promise<void> {
  await until(`memory below ${limitBytes} bytes`, () => memoryBytes() < limitBytes);
}

async function assertServes(): Promise<void> {
  const client = await RawClient.open(server.port);
  client.request(1, 'Echo', message('still there'));
  assert.deepEqual(await client.status(1), [0, '']);
  client.close();
}

/** Some frames that make sense, in no particular order, for the fuzzer to damage. */
function sensibleFrames(pick: (count: number) => number): Buffer[] {
  const frames = [settingsFrame([])];
  for (let streamId = 1, left = 2 + pick(12); left > 0; left -= 1) {
    switch (pick(8)) {
      case 0: frames.push(frame(frameType.PING, pick(2), 0, Buffer.alloc(8, pick(256)))); break;
      case 1: frames.push(windowUpdateFrame(pick(3) * 2 + 1, pick(2 ** 16))); break;
      case 2: frames.push(resetFrame(pick(4) * 2 + 1, errorCode.CANCEL)); break;
      case 3: frames.push(settingsFrame([[pick(8), pick(2 ** 17)]])); break;
      default: {
        const body = message(Buffer.alloc(pick(2000), pick(256)), pick(20) === 0 ? 1 : 0);
        const cut = pick(body.length + 1);
        frames.push(headersFrame(streamId, REQUEST_HEADERS(['Echo', 'Chat', 'Count', 'Fail', 'Nothing'][pick(5)] ?? '')));
        frames.push(frame(frameType.DATA, 0, streamId, body.subarray(0, cut)), frame(frameType.DATA, frameFlag.END_STREAM, streamId, body.subarray(cut)));
        streamId += 2;
      }
    }
  }
  return frames;
}

const SEEDS = process.env['SEED'] === undefined ? Array.from({ length: 400 }, (_, seed) => seed) : [Number(process.env['SEED'])];

test('fuzzed bytes neither crash nor hang the server, and nothing of them stays', { timeout: 120_000 }, async () => {
  await assertServes();
  const before = memoryBytes();
  for (const seed of SEEDS) {
    const random = seededRandom(seed);
    const pick = (count: number): number => integerBelow(random, count);
    const bytes = Buffer.concat([CLIENT_PREFACE, ...sensibleFrames(pick)]);
    const start = pick(10) === 0 ? 0 : CLIENT_PREFACE.length; // mostly past the greeting
    for (let damage = pick(6); damage > 0; damage -= 1) bytes[start + pick(bytes.length - start)] = pick(256);
    const end = pick(4) === 0 ? pick(bytes.length) : bytes.length;
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined).on('data', () => undefined);
    await once(socket, 'connect');
    for (let at = 0; at < end;) {
      const next = Math.min(end, at + 1 + pick(pick(3) === 0 ? 20 : 4000));
      socket.write(bytes.subarray(at, next));
      at = next;
      if (pick(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (pick(2) === 0) socket.destroy();
    else {
      socket.end();
      if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(5_000) }).catch((error: unknown) => assert.fail(`seed ${seed}: the server holds the connection: ${String(error)}`));
    }
    if (seed % 50 === 0) await assertServes();
  }
  await until('all connections are gone', () => server.grpc.connectionCount === 0);
  await assertServes();
  server.defects.length = 0;
  await untilMemoryIsBelow(before + 8e6);
});

async function drainedOrClosed({ socket }: RawClient): Promise<void> {
  const over = new AbortController();
  await Promise.race([once(socket, 'drain', over), once(socket, 'close', over)]).catch(() => undefined); // what breaks the connection also closes it
  over.abort();
}

/** Sends pieces as fast as the server takes them, until it hangs up or all are sent. */
async function flood(client: RawClient, piece: Buffer, times: number): Promise<void> {
  for (let sent = 0; sent < times && !client.isClosed && client.socket.writable; sent += 1) {
    if (!client.socket.write(piece)) await drainedOrClosed(client);
  }
}

test('a flood of pings ends with ENHANCE_YOUR_CALM', async () => {
  const client = await RawClient.open(server.port);
  await flood(client, Buffer.concat(Array.from({ length: 1000 }, () => frame(frameType.PING, 0, 0, Buffer.alloc(8)))), 1000);
  assert.deepEqual(await client.goAway(), [errorCode.ENHANCE_YOUR_CALM, 'too_many_pings']);
  await client.closed();
});

test('a flood of settings whose answers nobody reads stops being read', async () => {
  const before = memoryBytes();
  const client = await RawClient.open(server.port);
  client.socket.pause();
  const piece = Buffer.concat(Array.from({ length: 2000 }, () => settingsFrame([])));
  let sent = 0;
  for (; sent < 5000; sent += 1) {
    if (client.socket.write(piece)) continue;
    const hasDrained = await Promise.race([once(client.socket, 'drain').then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 1000, false))]);
    if (!hasDrained) break;
  }
  assert.ok(sent < 5000, 'the server went on reading'); // 90 MB
  await untilMemoryIsBelow(before + 16e6);
  await assertServes();
  client.close();
});

test('streams opened and reset at once, over and over, leave nothing behind', async () => {
  const before = memoryBytes();
  const client = await RawClient.open(server.port);
  for (let round = 0; round < 50; round += 1) {
    const frames: Buffer[] = [];
    for (let at = 0; at < 400; at += 1) {
      const streamId = (round * 400 + at) * 2 + 1;
      frames.push(headersFrame(streamId, REQUEST_HEADERS('Wait')), frame(frameType.DATA, frameFlag.END_STREAM, streamId, message(`${streamId}`)), resetFrame(streamId, errorCode.CANCEL));
    }
    await flood(client, Buffer.concat(frames), 1);
  }
  client.request(99_999, 'Echo', message('x'));
  assert.deepEqual(await client.status(99_999), [0, '']);
  await until('no handler is left', () => server.waiting.size === 0);
  server.reasons.length = 0;
  client.close();
  await until('the connection is gone', () => server.grpc.connectionCount === 0);
  await untilMemoryIsBelow(before + 8e6);
});

test('cancelled calls whose handlers go on are limited', async () => {
  const own = await startTestServer();
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => { release = resolve; });
  own.grpc.addUnary({ path: '/test.Texts/Stubborn', requestDeserialize: (bytes) => bytes, responseSerialize: (bytes: Buffer) => bytes }, async (request) => {
    await released;
    return request;
  });
  const client = await RawClient.open(own.port);
  for (let streamId = 1; streamId < 12_000 && !client.isClosed; streamId += 2) {
    client.request(streamId, 'Stubborn', message('x'));
    client.send(resetFrame(streamId, errorCode.CANCEL));
  }
  assert.deepEqual(await client.goAway(), [errorCode.ENHANCE_YOUR_CALM, 'too many cancelled calls']);
  await client.closed();
  release();
  await own.close();
});

test('messages that never end are bounded for the whole connection', async () => {
  const before = memoryBytes();
  const client = await RawClient.open(server.port);
  const start = Buffer.concat([Buffer.from([0, 0, 0x10, 0, 0]), Buffer.alloc(16_379)]);
  const more = Buffer.alloc(16_384);
  for (let streamId = 1; streamId < 240; streamId += 2) { // 120 messages of 1 MiB, all but their end
    const pieces = [headersFrame(streamId, REQUEST_HEADERS('Echo')), frame(frameType.DATA, 0, streamId, start)];
    for (let at = 1; at < 63; at += 1) pieces.push(frame(frameType.DATA, 0, streamId, more));
    await flood(client, Buffer.concat(pieces), 1);
  }
  await client.frame('a refusal', ({ headers }) => headers?.['grpc-status'] === '8');
  await untilMemoryIsBelow(before + 80e6);
  await assertServes();
  client.close();
  await until('the connection is gone', () => server.grpc.connectionCount === 0);
  await untilMemoryIsBelow(before + 8e6);
});

test('answers that nobody reads are bounded for the whole connection', async () => {
  const client = await RawClient.open(server.port, [[setting.INITIAL_WINDOW_SIZE, 0]]);
  const body = message(Buffer.alloc(1_000_000, 'x'));
  for (let streamId = 1; streamId < 200; streamId += 2) {
    client.request(streamId, 'Echo');
    for (let at = 0; at < body.length; at += 16_384) client.send(frame(frameType.DATA, at + 16_384 >= body.length ? frameFlag.END_STREAM : 0, streamId, body.subarray(at, at + 16_384)));
    if (client.socket.writableNeedDrain) await once(client.socket, 'drain');
  }
  const { headers } = await client.frame('a refusal', ({ headers: fields }) => fields?.['grpc-status'] === '8');
  assert.equal(headers?.['grpc-message'], 'grpc: the client does not read what it has asked for');
  await assertServes();
  client.close();
});

test('settings that change thousands of streams, thousands of times, take no time', async () => {
  const client = await RawClient.open(server.port, [[setting.INITIAL_WINDOW_SIZE, 0]]);
  for (let streamId = 1; streamId < 20_000; streamId += 2) client.request(streamId, 'Count', message('1 10'));
  await until('they have answered', () => client.frames.filter(({ type }) => type === frameType.HEADERS).length === 10_000);
  const before = process.cpuUsage();
  const piece = Buffer.concat(Array.from({ length: 2_000 }, (_, at) => settingsFrame([[setting.INITIAL_WINDOW_SIZE, at % 2]])));
  await flood(client, piece, 5);
  client.send(windowUpdateFrame(0, 1_000_000));
  client.request(20_001, 'Echo', message(''));
  client.send(settingsFrame([[setting.INITIAL_WINDOW_SIZE, 1000]]));
  assert.deepEqual(await client.status(20_001), [0, '']);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 5e6, 'the time of a setting does not depend on the number of streams'); // microseconds of processor
  client.close();
});
