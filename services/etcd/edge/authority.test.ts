import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuthorityRewriter, opensLikeGo } from './authority.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const frame = (type: number, flags: number, payload: Buffer): Buffer => {
  const header = Buffer.from([0, 0, 0, type, flags, 0, 0, 0, 1]);
  header.writeUIntBE(payload.length, 0, 3);
  return Buffer.concat([header, payload]);
};
const literal = (first: number, value: string): Buffer => Buffer.concat([Buffer.from([first, value.length]), Buffer.from(value)]);
/** :method POST, :scheme https, :path /x, :authority as a literal, then a header with a name of its own. */
const block = (authority: string): Buffer =>
  Buffer.concat([Buffer.from([0x83, 0x87]), literal(0x44, '/x'), literal(0x41, authority), Buffer.from([0x40, 1]), Buffer.from('n'), literal(1, 'v').subarray(1)]);

test('the value of :authority is replaced, and everything else passes as it came, however it is cut', () => {
  const settings = frame(4, 0, Buffer.alloc(0));
  const data = frame(0, 1, Buffer.from('payload'));
  const sent = Buffer.concat([PREFACE, settings, frame(1, 4, block('http://127.0.0.1:2379')), data, frame(1, 4, Buffer.from([0x83, 0xbe]))]);
  const expected = Buffer.concat([PREFACE, settings, frame(1, 4, block('e')), data, frame(1, 4, Buffer.from([0x83, 0xbe]))]);
  for (const size of [1, 7, 40, sent.length]) {
    const rewriter = new AuthorityRewriter();
    const received: Buffer[] = [];
    for (let at = 0; at < sent.length; at += size) received.push(rewriter.push(sent.subarray(at, at + size)));
    assert.deepEqual(Buffer.concat(received), expected);
  }
});

test('padding and priority of a HEADERS frame are kept', () => {
  const rewriter = new AuthorityRewriter();
  rewriter.push(PREFACE);
  const payload = (authority: string): Buffer => Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 16]), block(authority), Buffer.alloc(2)]);
  assert.deepEqual(rewriter.push(frame(1, 0x2c, payload('https://etcd:2379'))), frame(1, 0x2c, payload('e')));
});

test('only connections that open with empty SETTINGS are those of the old Go client', () => {
  assert.equal(opensLikeGo(Buffer.concat([PREFACE, frame(4, 0, Buffer.alloc(0))])), true);
  assert.equal(opensLikeGo(Buffer.concat([PREFACE, frame(4, 0, Buffer.from([0, 4, 0, 0, 255, 255]))])), false);
  assert.equal(opensLikeGo(Buffer.from('GET / HTTP/1.1\r\nhost: localhost:2379\r\n\r\n')), false);
});
