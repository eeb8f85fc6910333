import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { SpdyConnection, type SpdyStream } from './spdy.ts';

/** A header block that is not compressed but stored: as valid, and readable here. */
function storedBlock(headers: Readonly<Record<string, string>>, isFirst: boolean): Buffer {
  const uint32 = (value: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(value); return bytes; };
  const text = Buffer.concat([uint32(Object.keys(headers).length), ...Object.entries(headers).flatMap(([name, value]) => [uint32(name.length), Buffer.from(name), uint32(value.length), Buffer.from(value)])]);
  const head = Buffer.alloc(5);
  head.writeUInt16LE(text.length, 1);
  head.writeUInt16LE(0xffff - text.length, 3);
  return Buffer.concat([...(isFirst ? [Buffer.of(0x78, 0x01)] : []), head, text, Buffer.of(0, 0, 0, 0xff, 0xff)]);
}

function frame(first: number, flags: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(first, 0);
  head.writeUInt32BE(payload.length, 4);
  head.writeUInt8(flags, 4);
  return Buffer.concat([head, payload]);
}
const synStream = (id: number, type: string): Buffer => {
  const ids = Buffer.alloc(10);
  ids.writeUInt32BE(id);
  return frame(0x80030001, 0, Buffer.concat([ids, storedBlock({ streamtype: type }, id === 1)]));
};

const streams: SpdyStream[] = [];
let connection: SpdyConnection;
const server = createServer((transport) => {
  connection = new SpdyConnection({ transport, head: Buffer.alloc(0), onStream: (stream) => streams.push(stream) });
});
let client: Socket;
let received: Buffer = Buffer.alloc(0);

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('data', (chunk: Buffer) => { received = Buffer.concat([received, chunk]); });
  await once(client, 'connect');
});
after(() => {
  client.destroy();
  server.close();
});

async function receive(bytes: number): Promise<Buffer> {
  while (received.length < bytes) await once(client, 'data');
  const result = received.subarray(0, bytes);
  received = received.subarray(bytes);
  return result;
}

test('a stream is opened with its headers and answered', async () => {
  client.write(synStream(1, 'error'));
  const first = await receive(8 + 4 + 16);
  assert.equal(first.readUInt32BE(0), 0x80030002);
  assert.equal(first.readUInt32BE(8), 1);
  client.write(synStream(3, 'stdin'));
  await receive(8 + 4 + 14);
  assert.deepEqual(streams.map(({ id, headers }) => [id, headers['streamtype']]), [[1, 'error'], [3, 'stdin']]);
});

test('data and its end arrive, cut anywhere', async () => {
  const [, stdin] = streams;
  const bytes = Buffer.concat([frame(3, 0, Buffer.from('hello ')), frame(3, 1, Buffer.from('world'))]);
  client.write(bytes.subarray(0, 11));
  client.write(bytes.subarray(11));
  const chunks: Buffer[] = [];
  for await (const chunk of stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), 'hello world');
  // read to its end, the stream is given up: the client is told that nothing more will come on it
  assert.equal((await receive(8)).toString('hex'), '0000000301000000');
});

test('what is written is sent as data, the end as a flag', async () => {
  streams[0]?.end('done');
  const data = await receive(8 + 4);
  assert.equal(data.readUInt32BE(0), 1);
  assert.equal(data.toString('utf8', 8), 'done');
  const end = await receive(8);
  assert.equal(end.readUInt32BE(4), 0x01000000);
});

test('a ping of the client is answered', async () => {
  client.write(frame(0x80030006, 0, Buffer.of(0, 0, 0, 5)));
  assert.equal((await receive(12)).toString('hex'), '800300060000000400000005');
});

test('a frame larger than the limit ends the connection', async () => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x00ffffff, 4);
  client.write(head);
  await connection.closed;
});
