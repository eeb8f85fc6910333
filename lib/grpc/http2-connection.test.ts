// What well-behaved clients do not do, frame by frame. Section numbers are those of RFC 9113.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { encodeHeaders } from './hpack.ts';
import { errorCode, frame, frameFlag, frameType, resetFrame, setting, settingsFrame, windowUpdateFrame } from './http2-frames.ts';
import { headersFrame, message, RawClient, REQUEST_HEADERS, startTestServer, until } from './testing.ts';

const server = await startTestServer({ minPingIntervalMs: 60_000 });
after(() => server.close());
const open = (settings?: readonly (readonly [number, number])[]): Promise<RawClient> => RawClient.open(server.port, settings);
const data = (streamId: number, bytes: Buffer, flags: number = frameFlag.END_STREAM): Buffer => frame(frameType.DATA, flags, streamId, bytes);
const answer = (client: RawClient, streamId: number): string => client.data(streamId).subarray(5).toString();

test('a call is answered to a client that sends bytes one by one', async () => {
  const client = await open();
  const bytes = Buffer.concat([headersFrame(1, REQUEST_HEADERS('Echo')), data(1, message('slowly'))]);
  for (const byte of bytes) {
    client.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await client.status(1), [0, '']);
  assert.equal(answer(client, 1), 'slowly');
  client.close();
});

test('headers may come padded, with a priority and in parts; messages in any pieces, padded and empty ones too', async () => {
  const client = await open();
  const block = encodeHeaders(REQUEST_HEADERS('Echo'));
  client.send(
    frame(frameType.HEADERS, frameFlag.PADDED | frameFlag.PRIORITY, 1, Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 16]), block.subarray(0, 10), Buffer.alloc(3)])),
    frame(frameType.CONTINUATION, 0, 1, block.subarray(10, 20)), frame(frameType.CONTINUATION, frameFlag.END_HEADERS, 1, block.subarray(20)),
    frame(frameType.PRIORITY, 0, 1, Buffer.alloc(5)), frame(0xbe, 0, 1, Buffer.from('unknown')),
    data(1, Buffer.from([2, 0, 0, 9, 9]), frameFlag.PADDED), data(1, Buffer.alloc(0), 0), data(1, Buffer.from([0, 0, 2, 0x61]), 0), data(1, Buffer.from([0x62])),
  );
  assert.deepEqual(await client.status(1), [0, '']);
  assert.equal(answer(client, 1), 'ab');
  client.close();
});

test('any authority is taken, none too, and a missing te', async () => {
  const client = await open();
  const withAuthority = (authority: string[]): string[] => [':method', 'POST', ':scheme', 'http', ':path', '/test.Texts/Echo', ...authority, 'content-type', 'application/grpc+proto'];
  [[':authority', 'http://127.0.0.1:2379'], [':authority', 'etcd-cluster:2379#, 10.0.0.1'], []].forEach((authority, index) => {
    client.send(headersFrame(2 * index + 1, withAuthority(authority)), data(2 * index + 1, message('x')));
  });
  for (const streamId of [1, 3, 5]) assert.deepEqual(await client.status(streamId), [0, '']);
  client.close();
});

test('requests that are none of gRPC are refused as grpc-go refuses them', async () => {
  const client = await open();
  const send = (streamId: number, changes: Readonly<Record<string, string | undefined>>): void => {
    const fields = { ':method': 'POST', ':scheme': 'http', ':path': '/test.Texts/Echo', 'content-type': 'application/grpc', ...changes };
    client.send(headersFrame(streamId, Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name, value])), frameFlag.END_HEADERS | frameFlag.END_STREAM));
  };
  send(1, { 'content-type': undefined });
  assert.equal(await client.resetCode(1), errorCode.PROTOCOL_ERROR);
  send(3, { connection: 'close' });
  assert.equal(await client.resetCode(3), errorCode.PROTOCOL_ERROR);
  const refusals: [number, Record<string, string>, string, number, string][] = [
    [5, { 'content-type': 'application/json' }, '415', 3, 'invalid gRPC request content-type "application/json"'],
    [7, { 'content-type': 'application/grpcx' }, '415', 3, 'invalid gRPC request content-type "application/grpcx"'],
    [9, { ':method': 'GET' }, '405', 13, 'Received a HEADERS frame with :method "GET" which should be POST'],
    [11, { 'grpc-timeout': '1x' }, '400', 13, 'malformed grpc-timeout: transport: timeout unit is not recognized: "1x"'],
    [13, { ':path': 'Echo' }, '200', 12, 'malformed method name: "Echo"'],
    [15, { 'grpc-encoding': 'gzip' }, '200', 12, 'grpc: Decompressor is not installed for grpc-encoding "gzip"'],
    [17, {}, '200', 13, 'cardinality violation: received no request message from non-client-streaming RPC'],
  ];
  for (const [streamId, changes, httpStatus, code, text] of refusals) {
    send(streamId, changes);
    assert.deepEqual(await client.status(streamId), [code, text]);
    assert.equal(client.frames.find((frame) => frame.streamId === streamId)?.headers?.[':status'], httpStatus);
  }
  client.close();
});

test('messages that are not as their prefix says are refused', async () => {
  const client = await open();
  const refusals: [Buffer, number, string][] = [
    [message('x', 1), 13, 'grpc: compressed flag set with identity or empty encoding'],
    [message('x', 7), 13, 'grpc: received unexpected payload format 7'],
    [Buffer.from([0, 0, 0, 0, 9, 1]), 13, 'unexpected EOF'],
    [Buffer.from([0, 0]), 13, 'unexpected EOF'],
    [Buffer.from([0, 255, 255, 255, 255]), 8, 'grpc: received message larger than max (4294967295 vs. 1048576)'],
    [Buffer.concat([message('one'), message('two')]), 13, 'cardinality violation: received multiple request messages for non-client-streaming RPC'],
  ];
  for (const [index, [body, code, text]] of refusals.entries()) {
    const streamId = 2 * index + 1;
    client.request(streamId, 'Echo', body);
    assert.deepEqual(await client.status(streamId), [code, text]);
  }
  client.close();
});

test('a refusal before the request has ended tells the client not to send the rest', async () => {
  const client = await open();
  client.request(1, 'Nothing');
  assert.deepEqual(await client.status(1), [12, 'unknown method Nothing for service test.Texts']);
  assert.equal(await client.resetCode(1), errorCode.NO_ERROR);
  client.request(3, 'Echo', message('goes on'));
  assert.deepEqual(await client.status(3), [0, '']);
  client.close();
});

const breaches: readonly [what: string, bytes: Buffer, code: number][] = [
  ['another greeting (3.4)', Buffer.from('GET / HTTP/1.1\r\n\r\n'), errorCode.PROTOCOL_ERROR],
  ['a frame that is too large (4.2)', Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]), errorCode.FRAME_SIZE_ERROR],
  ['DATA of no stream (6.1)', data(0, Buffer.alloc(1)), errorCode.PROTOCOL_ERROR],
  ['DATA of a stream that was not opened (5.1)', data(1, Buffer.alloc(1)), errorCode.PROTOCOL_ERROR],
  ['DATA that are nothing but padding (6.1)', Buffer.concat([headersFrame(1, REQUEST_HEADERS('Echo')), data(1, Buffer.from([9, 0]), frameFlag.PADDED)]), errorCode.PROTOCOL_ERROR],
  ['a stream with an even number (5.1.1)', headersFrame(2, REQUEST_HEADERS('Echo')), errorCode.PROTOCOL_ERROR],
  ['a stream number that goes back (5.1.1)', Buffer.concat([headersFrame(5, REQUEST_HEADERS('Echo')), headersFrame(3, REQUEST_HEADERS('Echo'))]), errorCode.PROTOCOL_ERROR],
  ['a header block that is not continued (6.10)', Buffer.concat([headersFrame(1, REQUEST_HEADERS('Echo'), 0), headersFrame(3, REQUEST_HEADERS('Echo'))]), errorCode.PROTOCOL_ERROR],
  ['CONTINUATION of nothing (6.10)', frame(frameType.CONTINUATION, 4, 1, Buffer.alloc(1)), errorCode.PROTOCOL_ERROR],
  ['HEADERS that cannot be decoded (4.3)', frame(frameType.HEADERS, 4, 1, Buffer.from([0xff])), errorCode.COMPRESSION_ERROR],
  ['a push (8.4)', frame(frameType.PUSH_PROMISE, 4, 1, Buffer.alloc(4)), errorCode.PROTOCOL_ERROR],
  ['RST_STREAM of a stream that was not opened (6.4)', resetFrame(1, errorCode.CANCEL), errorCode.PROTOCOL_ERROR],
  ['RST_STREAM of a wrong size (6.4)', frame(frameType.RST_STREAM, 0, 1, Buffer.alloc(3)), errorCode.FRAME_SIZE_ERROR],
  ['SETTINGS of a stream (6.5)', frame(frameType.SETTINGS, 0, 1, Buffer.alloc(0)), errorCode.PROTOCOL_ERROR],
  ['SETTINGS of a wrong size (6.5)', frame(frameType.SETTINGS, 0, 0, Buffer.alloc(5)), errorCode.FRAME_SIZE_ERROR],
  ['an acknowledgement with settings (6.5)', frame(frameType.SETTINGS, frameFlag.ACK, 0, Buffer.alloc(6)), errorCode.FRAME_SIZE_ERROR],
  ['ENABLE_PUSH of 2 (6.5.2)', settingsFrame([[setting.ENABLE_PUSH, 2]]), errorCode.PROTOCOL_ERROR],
  ['a window beyond 2^31 - 1 in SETTINGS (6.5.2)', settingsFrame([[setting.INITIAL_WINDOW_SIZE, 2 ** 31]]), errorCode.FLOW_CONTROL_ERROR],
  ['a frame size out of range (6.5.2)', settingsFrame([[setting.MAX_FRAME_SIZE, 100]]), errorCode.PROTOCOL_ERROR],
  ['PING of a stream (6.7)', frame(frameType.PING, 0, 1, Buffer.alloc(8)), errorCode.PROTOCOL_ERROR],
  ['PING of a wrong size (6.7)', frame(frameType.PING, 0, 0, Buffer.alloc(7)), errorCode.FRAME_SIZE_ERROR],
  ['WINDOW_UPDATE by nothing (6.9)', windowUpdateFrame(0, 0), errorCode.PROTOCOL_ERROR],
  ['WINDOW_UPDATE of a wrong size (6.9)', frame(frameType.WINDOW_UPDATE, 0, 0, Buffer.alloc(5)), errorCode.FRAME_SIZE_ERROR],
  ['a window of the connection beyond 2^31 - 1 (6.9.1)', windowUpdateFrame(0, 2 ** 31 - 1), errorCode.FLOW_CONTROL_ERROR],
];
for (const [what, bytes, code] of breaches) {
  test(`${what} ends the connection, which is told why`, async () => {
    const client = await open();
    if (what.startsWith('another greeting')) {
      client.close();
      const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes));
      let received = Buffer.alloc(0);
      for await (const chunk of socket as AsyncIterable<Buffer>) received = Buffer.concat([received, chunk]);
      assert.ok(received.includes('bogus greeting'));
      return;
    }
    client.send(bytes);
    assert.equal((await client.goAway())[0], code);
    await client.closed();
  });
}

test('a first frame that is not SETTINGS ends the connection (3.4)', async () => {
  const socket = connect(server.port, '127.0.0.1', () => socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(frameType.PING, 0, 0, Buffer.alloc(8))])));
  let received = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) received = Buffer.concat([received, chunk]);
  assert.ok(received.includes('the first frame is not SETTINGS'));
});

test('breaches of a stream end the stream only', async () => {
  const client = await open();
  client.request(1, 'Chat');
  client.send(windowUpdateFrame(1, 0));
  assert.equal(await client.resetCode(1), errorCode.PROTOCOL_ERROR);
  client.request(3, 'Chat');
  client.send(windowUpdateFrame(3, 2 ** 31 - 1));
  assert.equal(await client.resetCode(3), errorCode.FLOW_CONTROL_ERROR);
  client.request(5, 'Wait', message('ended'));
  client.send(data(5, Buffer.alloc(1)));
  assert.equal(await client.resetCode(5), errorCode.STREAM_CLOSED);
  client.request(7, 'Chat');
  client.send(headersFrame(7, ['x', 'y'])); // trailers that do not end the stream
  assert.equal(await client.resetCode(7), errorCode.PROTOCOL_ERROR);
  client.send(headersFrame(9, [...REQUEST_HEADERS('Echo'), 'large', 'x'.repeat(9000)]), headersFrame(11, REQUEST_HEADERS('Echo')), data(11, message('goes on')));
  client.send(data(9, message('x')), data(1, Buffer.alloc(3)), windowUpdateFrame(3, 1), resetFrame(5, errorCode.CANCEL)); // for streams that are over: nothing
  assert.deepEqual(await client.status(11), [0, '']);
  client.close();
});

test('more headers than allowed cost the stream; many CONTINUATIONs the connection', async () => {
  const client = await open();
  const parts = Array.from({ length: 8 }, (_, at) => [`h${at}`, 'x'.repeat(9000)]).flat();
  const block = encodeHeaders([...REQUEST_HEADERS('Echo'), ...parts]);
  client.send(frame(frameType.HEADERS, 0, 1, block.subarray(0, 16_000)), frame(frameType.CONTINUATION, 0, 1, block.subarray(16_000, 32_000)));
  client.send(frame(frameType.CONTINUATION, 0, 1, block.subarray(32_000, 48_000)), frame(frameType.CONTINUATION, 0, 1, block.subarray(48_000, 60_000)));
  client.send(...Array.from({ length: 2_000 }, () => frame(frameType.CONTINUATION, 0, 1, Buffer.alloc(0))));
  assert.deepEqual(await client.goAway(), [errorCode.ENHANCE_YOUR_CALM, 'a header block is too large']);
  await client.closed();
  const other = await open();
  // One large entry in the table, then named again and again: small on the wire, large as a list.
  other.send(frame(frameType.HEADERS, frameFlag.END_HEADERS | frameFlag.END_STREAM, 1, Buffer.concat([Buffer.from([0x40, 1, 0x6e, 0x7f, 0xe1, 0x1d]), Buffer.alloc(3936, 'v'), Buffer.alloc(5000, 0xbe)])));
  assert.equal(await other.resetCode(1), errorCode.FRAME_SIZE_ERROR);
  other.request(3, 'Echo', message('goes on'));
  assert.deepEqual(await other.status(3), [0, '']);
  other.close();
});

test('a stream gets no more than its window, then as much as it is given; SETTINGS change it', async () => {
  const client = await open([[setting.INITIAL_WINDOW_SIZE, 100]]);
  client.request(1, 'Echo', message('x'.repeat(1000)));
  const received = (): number => client.data(1).length;
  await until('the window is used up', () => received() === 100);
  client.send(windowUpdateFrame(1, 50));
  await until('what was given is used up', () => received() === 150);
  client.send(settingsFrame([[setting.INITIAL_WINDOW_SIZE, 300]]));
  await until('what the setting adds is used up', () => received() === 350);
  client.send(settingsFrame([[setting.INITIAL_WINDOW_SIZE, 0]]), windowUpdateFrame(1, 200)); // a window below zero
  client.send(frame(frameType.PING, 0, 0, Buffer.from('12345678')));
  await client.frame('the answer to PING', ({ type, flags }) => type === frameType.PING && flags === frameFlag.ACK);
  assert.equal(received(), 350);
  client.send(windowUpdateFrame(1, 10_000));
  assert.deepEqual(await client.status(1), [0, '']);
  assert.equal(answer(client, 1), 'x'.repeat(1000));
  client.close();
});

test('streams share the connection\'s window in turns, and small answers are not held up by the order', async () => {
  const client = await open([[setting.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]]);
  const large = message('x'.repeat(200_000));
  const pieces = (streamId: number): Buffer[] => Array.from({ length: Math.ceil(large.length / 16_384) }, (_, at) =>
    data(streamId, large.subarray(at * 16_384, (at + 1) * 16_384), (at + 1) * 16_384 >= large.length ? frameFlag.END_STREAM : 0));
  for (const streamId of [1, 3, 5]) {
    client.request(streamId, 'Echo');
    client.send(...pieces(streamId));
  }
  const total = (): number => [1, 3, 5].reduce((sum, streamId) => sum + client.data(streamId).length, 0);
  await until('the window is used up', () => total() === 65_535);
  for (let given = 65_535; given < 3 * large.length; given += 100_000) {
    const before = total();
    client.send(windowUpdateFrame(0, 100_000));
    await until('what was given is used', () => total() === Math.min(before + 100_000, 3 * large.length));
  }
  for (const streamId of [1, 3, 5]) assert.deepEqual([await client.status(streamId), client.data(streamId).length], [[0, ''], large.length]);
  client.close();
});

test('more data than the windows allow are refused', async () => {
  const client = await open();
  client.request(1, 'Chat');
  const piece = data(1, Buffer.concat([Buffer.from([0, 0, 0x0f, 0xff, 0xfb]), Buffer.alloc(16_379)]), 0);
  const more = data(1, Buffer.alloc(16_384), 0);
  client.send(piece, ...Array.from({ length: 63 }, () => more)); // one message of 1 MiB: the window is given back as it comes
  await client.frame('room', ({ type, streamId }) => type === frameType.WINDOW_UPDATE && streamId === 1);
  client.request(3, 'Wait'); // does not end, so its second message is never taken
  assert.equal(client.frames.some(({ type }) => type === frameType.RST_STREAM), false);
  const other = await open([[setting.INITIAL_WINDOW_SIZE, 0]]);
  other.request(1, 'Chat'); // echoes, but may not: it stops to read
  const small = data(1, Buffer.concat(Array.from({ length: 16 }, () => message('x'.repeat(1019)))), 0);
  for (let at = 0; at < 64; at += 1) other.send(small);
  assert.equal(await other.resetCode(1), errorCode.FLOW_CONTROL_ERROR);
  other.request(3, 'Echo', message('goes on'));
  await other.frame('the answer', ({ streamId, headers }) => streamId === 3 && headers !== undefined);
  client.close();
  other.close();
});

test('as many streams as are announced, no more', async () => {
  const few = await startTestServer({ maxConcurrentStreams: 2 });
  const client = await RawClient.open(few.port);
  const { payload } = await client.frame('SETTINGS', ({ type }) => type === frameType.SETTINGS);
  assert.ok(payload.includes(Buffer.from([0, setting.MAX_CONCURRENT_STREAMS, 0, 0, 0, 2])));
  for (const streamId of [1, 3, 5]) client.request(streamId, 'Wait', message(`few ${streamId}`));
  assert.equal(await client.resetCode(5), errorCode.REFUSED_STREAM);
  client.send(resetFrame(1, errorCode.CANCEL));
  client.request(7, 'Echo', message('x'));
  assert.deepEqual(await client.status(7), [0, '']);
  client.close();
  await until('nobody waits', () => few.waiting.size === 0);
  await few.close();
});

test('a peer whose header table is smaller is told that ours is empty (RFC 7541, 4.2)', async () => {
  const client = await open([[setting.HEADER_TABLE_SIZE, 0]]);
  client.request(1, 'Echo', message('x'));
  client.request(3, 'Echo', message('x'));
  await client.status(3);
  const [first, second] = [1, 3].map((streamId) => client.frames.find((frame) => frame.type === frameType.HEADERS && frame.streamId === streamId)?.payload[0]);
  assert.deepEqual([first, second], [0x20, 0x88]);
  client.close();
});

test('pings after an answer are welcome, others must be rare', async () => {
  const client = await open();
  const ping = frame(frameType.PING, 0, 0, Buffer.from('12345678'));
  for (let streamId = 1; streamId < 20; streamId += 2) {
    client.request(streamId, 'Echo', message('x'));
    await client.status(streamId);
    client.send(ping);
  }
  await until('all are answered', () => client.frames.filter(({ type, flags }) => type === frameType.PING && flags === frameFlag.ACK).length === 10);
  client.request(21, 'Wait', message('pings'));
  client.send(ping, ping, ping);
  assert.deepEqual(await client.goAway(), [errorCode.ENHANCE_YOUR_CALM, 'too_many_pings']);
  await client.closed();
});

test('a silent client is asked whether it is there, and cut off when it is not', async () => {
  const own = await startTestServer({ keepAliveTimeMs: 50, keepAliveTimeoutMs: 200 });
  const client = await RawClient.open(own.port);
  const { payload } = await client.frame('PING', ({ type }) => type === frameType.PING);
  client.send(frame(frameType.PING, frameFlag.ACK, 0, payload));
  await until('it is asked again', () => client.frames.filter(({ type }) => type === frameType.PING).length === 2);
  await client.closed();
  assert.equal(own.grpc.connectionCount, 0);
  await own.close();
});

test('draining says so, takes calls until the client has heard of it, and none after', async () => {
  const own = await startTestServer();
  const client = await RawClient.open(own.port);
  client.request(1, 'Chat');
  client.send(data(1, message('a'), 0));
  await until('it is there', () => client.data(1).length > 0);
  const drained = own.grpc.drain(10_000);
  const { payload } = await client.frame('PING', ({ type }) => type === frameType.PING);
  assert.equal((await client.goAway())[0], errorCode.NO_ERROR);
  client.request(3, 'Echo', message('b'));
  assert.deepEqual(await client.status(3), [0, '']);
  client.send(frame(frameType.PING, frameFlag.ACK, 0, payload));
  const last = await client.frame('the last stream taken', ({ type, payload: goAway }) => type === frameType.GOAWAY && goAway.readUInt32BE(0) === 3);
  assert.equal(last.payload.readUInt32BE(4), errorCode.NO_ERROR);
  client.request(5, 'Echo', message('c'));
  client.send(data(1, Buffer.alloc(0)));
  assert.deepEqual(await client.status(1), [0, '']);
  await client.closed();
  await drained;
  assert.equal(client.frames.some(({ streamId }) => streamId === 5), false);
  await own.close();
});

test('drain ends when its time is up', async () => {
  const own = await startTestServer();
  const client = await RawClient.open(own.port);
  client.request(1, 'Chat');
  await client.frame('SETTINGS', ({ type }) => type === frameType.SETTINGS);
  await own.grpc.drain(50);
  assert.equal(own.grpc.connectionCount, 1);
  await own.close();
  await client.closed();
});

test('a deadline passes while the request is still coming in', async () => {
  const client = await open();
  client.request(1, 'Echo', undefined, ['grpc-timeout', '20m']);
  assert.deepEqual(await client.status(1), [4, 'context deadline exceeded']);
  for (const [index, timeout] of ['99999999H', '5S', '5000000u', '99999999n'].entries()) {
    const streamId = 2 * index + 3;
    client.request(streamId, 'Echo', message('in time'), ['grpc-timeout', timeout]);
    assert.deepEqual(await client.status(streamId), [0, '']);
  }
  client.close();
});

test('a connection that is cut ends its calls', async () => {
  const client = await open();
  client.request(1, 'Wait', message('cut'));
  await until('the call is there', () => server.waiting.has('cut'));
  client.close();
  await until('it has ended', () => !server.waiting.has('cut'));
});
