import assert from 'node:assert/strict';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { keyValue, leaseGrantRequest, rangeRequest, txnRequest, txnResponse, watchRequest } from './messages.ts';
import { WireError } from './wire.ts';

const schema = protobuf.parse(`
  syntax = "proto3";
  message KeyValue { bytes key = 1; int64 create_revision = 2; int64 mod_revision = 3; int64 version = 4; bytes value = 5; int64 lease = 6; }
  message WatchCreate { bytes key = 1; int64 start_revision = 3; repeated int32 filters = 5; }
  message Watch { WatchCreate create_request = 1; }
`, { keepCase: false }).root;

test('what we write is what protobufjs reads', () => {
  const bytes = keyValue.encode({ key: '/registry/pods/default/web-0', createRevision: 2 ** 31 + 5, modRevision: 2 ** 52 + 3, version: 1, value: Buffer.from([0, 255]), lease: 0x7fffffffffffffffn });
  const read = schema.lookupType('KeyValue').toObject(schema.lookupType('KeyValue').decode(bytes), { longs: String, bytes: String });
  assert.deepEqual(read, {
    key: Buffer.from('/registry/pods/default/web-0').toString('base64'), createRevision: '2147483653', modRevision: '4503599627370499', version: '1', value: 'AP8=', lease: '9223372036854775807',
  });
});

test('what protobufjs writes is what we read, packed enums included', () => {
  const type = schema.lookupType('Watch');
  const bytes = type.encode(type.create({ createRequest: { key: Buffer.from('a'), startRevision: 300, filters: [0, 1] } })).finish();
  const { createRequest } = watchRequest.decode(Buffer.from(bytes));
  assert.equal(createRequest?.key.toString(), 'a');
  assert.equal(createRequest.startRevision, 300);
  assert.deepEqual(createRequest.filters, ['NOPUT', 'NODELETE']);
  assert.equal(createRequest.prevKv, false);
});

test('64-bit integers survive a round trip: numbers within 2^53, ids exactly', () => {
  for (const revision of [0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 53 - 1, -1, -2, -(2 ** 32), -(2 ** 53 - 1)]) {
    assert.equal(keyValue.decode(keyValue.encode({ modRevision: revision })).modRevision, revision);
  }
  for (const lease of [1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n, -(2n ** 63n)]) {
    assert.equal(leaseGrantRequest.decode(leaseGrantRequest.encode({ TTL: 1, ID: lease })).ID, lease);
  }
});

test('a nested transaction survives a round trip, and an empty member of a oneof stays present', () => {
  const { success, compare } = txnRequest.decode(txnRequest.encode({
    compare: [{ target: 'MOD', result: 'NOT_EQUAL', key: 'k', modRevision: 7 }],
    success: [{ requestTxn: { success: [{ requestPut: { key: 'é', value: 'v'.repeat(1000) } }] } }, { requestRange: {} }],
  }));
  assert.equal(compare[0]?.result, 'NOT_EQUAL');
  assert.equal(success[0]?.requestTxn?.success[0]?.requestPut?.key.toString(), 'é');
  assert.equal(success[0]?.requestTxn?.success[0]?.requestPut?.value.length, 1000);
  assert.ok(success[1]?.requestRange);
  assert.equal(success[1].requestPut, undefined);
  assert.deepEqual(txnResponse.decode(txnResponse.encode({ succeeded: true })), { header: undefined, succeeded: true, responses: [] });
});

test('an enum number without a name reads as UNRECOGNIZED, and unknown fields are skipped', () => {
  const request = rangeRequest.decode(Buffer.from([5 << 3, 9, (15 << 3) | 2, 1, 65, (1 << 3) | 2, 1, 66]));
  assert.equal(request.sortOrder, 'UNRECOGNIZED');
  assert.equal(request.key.toString(), 'B');
});

test('a truncated, an overlong and a too deeply nested message are refused', () => {
  assert.throws(() => rangeRequest.decode(Buffer.from([10, 5, 65])), WireError);
  assert.throws(() => rangeRequest.decode(Buffer.from([24, ...Array.from({ length: 11 }, () => 0xff)])), WireError);
  let bytes = Buffer.alloc(0);
  for (let depth = 0; depth < 200; depth += 1) {
    const op = Buffer.concat([Buffer.from([34, ...varint(bytes.length)]), bytes]);
    bytes = Buffer.concat([Buffer.from([18, ...varint(op.length)]), op]);
  }
  assert.throws(() => txnRequest.decode(bytes), /nested too deep/);
});

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
