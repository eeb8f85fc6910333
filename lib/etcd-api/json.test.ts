import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromJson, JsonError, toJson } from './json.ts';
import { leaseGrantResponse, rangeRequest, rangeResponse, statusResponse, txnRequest } from './messages.ts';

test('names are those of the .proto files, bytes are base64, 64-bit integers are strings, and defaults are left out', () => {
  const response = rangeResponse.decode(rangeResponse.encode({ header: { clusterId: 2n ** 64n - 1n, revision: 7 }, kvs: [{ key: 'foo', value: Buffer.from([0, 255]), createRevision: 2, lease: -1n }], count: 1 }));
  assert.deepEqual(toJson(rangeResponse, response), {
    header: { cluster_id: '18446744073709551615', revision: '7' }, kvs: [{ key: 'Zm9v', create_revision: '2', value: 'AP8=', lease: '-1' }], count: '1',
  });
  assert.deepEqual(toJson(leaseGrantResponse, { header: undefined, ID: 77n, TTL: 100, error: '' }), { ID: '77', TTL: '100' });
  assert.deepEqual(Object.keys(toJson(statusResponse, statusResponse.decode(statusResponse.encode({ raftTerm: 2, dbSizeInUse: 3, downgradeInfo: {} })))), ['raftTerm', 'dbSizeInUse', 'downgradeInfo']);
});

test('requests go by either name, take numbers or strings, and ignore what they do not know', () => {
  const expected = { key: Buffer.from('a'), rangeEnd: Buffer.from('b'), limit: 3, sortOrder: 'DESCEND', keysOnly: true };
  assert.deepEqual(fromJson(rangeRequest, { key: 'YQ==', range_end: 'Yg', limit: '3', sort_order: 'DESCEND', keys_only: true, unknown: {} }), expected);
  assert.deepEqual(fromJson(rangeRequest, { key: 'YQ', rangeEnd: 'Yg==', limit: 3, sortOrder: 2, keysOnly: true, revision: null }), expected);
  assert.deepEqual(fromJson(rangeRequest, { sort_order: 9, sort_target: 'NO_SUCH' }), { sortOrder: 'UNRECOGNIZED', sortTarget: 'KEY' });
  assert.deepEqual(fromJson(txnRequest, { success: [{ request_put: { key: 'YQ==', lease: '9223372036854775807' } }] }), { success: [{ requestPut: { key: Buffer.from('a'), lease: 2n ** 63n - 1n } }] });
});

test('values of a wrong type are refused by name', () => {
  for (const wrong of [{ key: '!!' }, { key: 1 }, { limit: 1.5 }, { limit: 'x' }, { limit: '99999999999999999999' }, { keys_only: 'true' }, { sort_order: {} }, [], 'text', null]) {
    assert.throws(() => fromJson(rangeRequest, wrong), JsonError, JSON.stringify(wrong));
  }
  assert.throws(() => fromJson(rangeRequest, { key: '!!' }), { message: 'proto: invalid value for bytes field key: "!!"' });
});
