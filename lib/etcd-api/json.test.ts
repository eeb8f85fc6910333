import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromJson, toJson } from './json.ts';
import { leaseGrantResponse, leaseRevokeRequest, rangeRequest, rangeResponse, statusResponse, txnRequest } from './messages.ts';

test('names are those of the .proto files, bytes are base64, 64-bit integers are strings, and defaults are left out', () => {
  const response = rangeResponse.decode(rangeResponse.encode({ header: { clusterId: 2n ** 64n - 1n, revision: 7 }, kvs: [{ key: 'foo', value: Buffer.from([0, 255]), createRevision: 2, lease: -1n }], count: 1 }));
  assert.deepEqual(toJson(rangeResponse, response), {
    header: { cluster_id: '18446744073709551615', revision: '7' }, kvs: [{ key: 'Zm9v', create_revision: '2', value: 'AP8=', lease: '-1' }], count: '1',
  });
  assert.deepEqual(toJson(leaseGrantResponse, { header: undefined, ID: 77n, TTL: 100, error: '' }), { ID: '77', TTL: '100' });
  assert.deepEqual(Object.keys(toJson(statusResponse, statusResponse.decode(statusResponse.encode({ raftTerm: 2, dbSizeInUse: 3, downgradeInfo: {} })))), ['raftTerm', 'dbSizeInUse', 'downgradeInfo']);
});

const read = (message: Parameters<typeof fromJson>[0], value: unknown): unknown => fromJson(message, JSON.stringify(value));

test('requests go by either name, take numbers or strings, and ignore what they do not know', () => {
  const expected = { key: Buffer.from('a'), rangeEnd: Buffer.from('b'), limit: 3, sortOrder: 'DESCEND', keysOnly: true };
  assert.deepEqual(read(rangeRequest, { key: 'YQ==', range_end: 'Yg', limit: '3', sort_order: 'DESCEND', keys_only: true, unknown: {} }), expected);
  assert.deepEqual(read(rangeRequest, { key: 'YQ', rangeEnd: 'Yg==', limit: 3, sortOrder: 2, keysOnly: true, revision: null }), expected);
  assert.deepEqual(read(rangeRequest, { sort_order: 9, sort_target: 'NO_SUCH' }), { sortOrder: 'UNRECOGNIZED', sortTarget: 'KEY' });
  assert.deepEqual(read(txnRequest, { success: [{ request_put: { key: 'YQ==', lease: '9223372036854775807' } }] }), { success: [{ requestPut: { key: Buffer.from('a'), lease: 2n ** 63n - 1n } }] });
});

test('integers of 64 bits are exact, however they are written', () => {
  for (const [text, value] of [['8173696233422460966', 8173696233422460966n], ['"-9223372036854775808"', -(2n ** 63n)], ['5.0', 5n], ['5e1', 50n], ['0.05e2', 5n], ['-0', 0n], ['50', 50n], ['0e99999', 0n]] as const) {
    assert.deepEqual(fromJson(leaseRevokeRequest, `{"ID":${text}}`), { ID: value }, text);
  }
  assert.deepEqual(fromJson(rangeRequest, '{"revision":9007199254740993}'), { revision: Number.MAX_SAFE_INTEGER });
});

// Taken from etcd 3.6.8.
for (const [text, words] of [
  ['{"key":"YQ==","limit":1.5}', 'proto: (line 1:23): invalid value for int64 field limit: 1.5'], ['{\n "limit": "x"}', 'proto: (line 2:11): invalid value for int64 field limit: "x"'],
  ['{"limit":99999999999999999999}', 'proto: (line 1:10): invalid value for int64 field limit: 99999999999999999999'], ['{"limit":1e999999999}', 'proto: (line 1:10): invalid value for int64 field limit: 1e999999999'],
  ['{"limit":"007"}', 'proto: (line 1:10): invalid value for int64 field limit: "007"'], ['{"key":"Y!"}', 'proto: (line 1:8): invalid value for bytes field key: "Y!"'], ['{"key":5}', 'proto: (line 1:8): invalid value for bytes field key: 5'],
  ['{"keys_only":"true"}', 'proto: (line 1:14): invalid value for bool field keysOnly: "true"'], ['{"sort_order":{}}', 'proto: (line 1:15): invalid value for enum field sortOrder: {'],
  ['{"key":"YQ==","key":"Yg=="}', 'proto: (line 1:15): duplicate field "key"'], ['[]', 'proto: syntax error (line 1:1): unexpected token ['], ['{"key" "YQ=="}', 'invalid character \'"\' after object key'],
] as const) {
  test(`${text.replace('\n', ' ')} is refused: ${words}`, () => assert.throws(() => fromJson(rangeRequest, text), { name: 'JsonError', message: words }));
}
test('a value in place of a list is refused', () => {
  assert.throws(() => fromJson(txnRequest, '{"success":{}}'), { message: 'proto: syntax error (line 1:12): unexpected token {' });
});
