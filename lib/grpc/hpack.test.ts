import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeHeaders, HpackDecoder, HpackError } from './hpack.ts';
import { decodeHuffman } from './huffman.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const LIMIT = 64 * 1024;

test('requests in a row are decoded as RFC 7541, C.3 and C.4 have them', () => {
  const plain = ['828684410f7777772e6578616d706c652e636f6d', '828684be58086e6f2d6361636865', '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565'];
  const huffman = ['828684418cf1e3c2e5f23a6ba0ab90f4ff', '828684be5886a8eb10649cbf', '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'];
  for (const blocks of [plain, huffman]) {
    const decoder = new HpackDecoder(LIMIT);
    const lists = blocks.map((block) => decoder.decode(hex(block)));
    const common = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'];
    assert.deepEqual(lists, [
      common, [...common, 'cache-control', 'no-cache'],
      [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com', 'custom-key', 'custom-value'],
    ]);
  }
});

test('the table drops what no longer fits: responses of RFC 7541, C.6, with room for 256 bytes', () => {
  const decoder = new HpackDecoder(LIMIT);
  decoder.decode(hex('3fe101')); // a table of 256 bytes
  const first = decoder.decode(hex('488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3'));
  assert.deepEqual(first?.slice(0, 4), [':status', '302', 'cache-control', 'private']);
  assert.deepEqual(decoder.decode(hex('4883640effc1c0bf')), [
    ':status', '307', 'cache-control', 'private', 'date', 'Mon, 21 Oct 2013 20:13:21 GMT', 'location', 'https://www.example.com',
  ]);
  const third = decoder.decode(hex('88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007'));
  assert.deepEqual(third?.slice(-2), ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1']);
});

test('what cannot be decoded is refused', () => {
  const refused: readonly [string, string][] = [
    ['an index of zero', '80'], ['an entry that is not there', 'be'], ['an integer without end', 'ffffffffffff7f'], ['a string that is cut off', '400161'],
    ['a larger table than offered', '3fe21f'], ['a table size after a field', '8220'], ['Huffman code with an end mark', '400184ffffffff00'],
    ['Huffman code with a byte of padding', '4001 6182 1fff ff'], ['Huffman padding of zeroes', '400161 81 18'],
  ];
  for (const [what, block] of refused) assert.throws(() => new HpackDecoder(LIMIT).decode(hex(block)), HpackError, what);
});

test('a list that is too large is not given, yet the table goes on from it', () => {
  const decoder = new HpackDecoder(100);
  assert.equal(decoder.decode(Buffer.concat([hex('40016e 7f01'), Buffer.alloc(128, 'v'), hex('be')])), undefined);
  const next = new HpackDecoder(1000);
  next.decode(Buffer.concat([hex('40016e 7f01'), Buffer.alloc(128, 'v')]));
  assert.deepEqual(next.decode(hex('be')), ['n', 'v'.repeat(128)]);
});

test('thousands of entries pass through the table, and it never holds more than it may', () => {
  const decoder = new HpackDecoder(LIMIT);
  for (let at = 0; at < 5_000; at += 1) {
    const value = `value ${at}`;
    const list = decoder.decode(Buffer.concat([hex('4001 6e'), Buffer.from([value.length]), Buffer.from(value), hex('be')]));
    assert.deepEqual(list, ['n', value, 'n', value]);
  }
  assert.throws(() => decoder.decode(hex('ffff1f')), HpackError);
});

test('what is encoded is decoded, of any length', () => {
  const fields = [':status', '200', 'content-type', 'application/grpc', 'grpc-status', '0', 'x', 'y'.repeat(300), 'empty', ''];
  assert.deepEqual(new HpackDecoder(LIMIT).decode(encodeHeaders(fields)), fields);
});

test('every byte has its Huffman code', () => {
  // RFC 7541, appendix B: the shortest and the longest codes, padded with ones.
  assert.deepEqual(['07', '1f', 'fffffff3', 'ffffffe7ffff'].map((code) => decodeHuffman(hex(code), 0, code.length / 2)), ['0', 'a', '\n', undefined]);
  assert.equal(decodeHuffman(hex('fff8'), 0, 2), undefined);
});
