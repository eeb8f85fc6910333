import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from './crc32c.ts';

test('the checksum is the one of RFC 3720, appendix B.4', () => {
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('a checksum goes on from where another ended, wherever the cut is', () => {
  const bytes = Uint8Array.from({ length: 41 }, (_, at) => at * 37);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), crc32c(bytes));
    assert.equal(crc32c(bytes, 0, cut), crc32c(bytes.subarray(cut)));
  }
});
