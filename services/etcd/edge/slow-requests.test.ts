import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deleteRangeRequest, putRequest, rangeRequest, rangeResponse, txnRequest, txnResponse, putResponse } from '#lib/etcd-api/messages.ts';
import type { LogCommand } from '../core/log-command.ts';
import { EncodedRange } from './encoded-range.ts';
import { goDuration, humanBytes } from './go-text.ts';
import { commandText, failedApplyOf, isFailure, slowApplyOf, slowReadOf, statsOf } from './slow-requests.ts';

// What is expected is what etcd 3.6.8 wrote for the same requests with --warning-apply-duration=1ns.

const callTo = (path: string, requestBytes = 0) => ({ path: `/etcdserverpb.${path}`, requestBytes, peer: { address: '127.0.0.1:60566' } as never });
const range = (input: Parameters<typeof rangeRequest.encode>[0]) => rangeRequest.decode(rangeRequest.encode(input));
const put = (input: Parameters<typeof putRequest.encode>[0]) => putRequest.decode(putRequest.encode(input));
const txn = (input: Parameters<typeof txnRequest.encode>[0]) => txnRequest.decode(txnRequest.encode(input));
const header = { clusterId: 0xcdf818194e3a8c32n, memberId: 0x8e9e05c52164694dn, revision: 2, raftTerm: 2 };
const kv = { key: Buffer.from('foo'), createRevision: 2, modRevision: 2, version: 1, value: Buffer.from('bar'), lease: 0n };

test('a call is told with its times, sizes and content, and a put without its value', () => {
  const request = put({ key: 'foo', value: 'bar' });
  const response = putResponse.decode(putResponse.encode({ header }));
  assert.deepEqual(statsOf({ call: callTo('KV/Put', 10), request, response, tookMs: 2.5 }, Date.UTC(2026, 10, 23, 6, 33, 26, 132)), {
    'start time': '2026-11-23T06:33:26.129500Z', 'time spent': '2.5ms', remote: '127.0.0.1:60566', 'response type': '/etcdserverpb.KV/Put',
    'request count': 1, 'request size': 10, 'response count': 0, 'response size': 28, 'request content': 'key:"foo" value_size:3 ',
  });
  const { 'request count': count, 'request content': content } = statsOf({ call: callTo('Auth/Authenticate', 9), request: { name: 'root', password: 'secret' }, response: {}, tookMs: 1 }, 0);
  assert.deepEqual([count, content], [-1, '']);
});

test('a read that took long is told with the number of its answers and their size', () => {
  const response = rangeResponse.decode(rangeResponse.encode({ header, kvs: [kv], count: 1 }));
  assert.deepEqual(slowReadOf({ call: callTo('KV/Range', 5), request: range({ key: 'foo' }), response, tookMs: 0.170476 }, 100), {
    took: '170.476µs', 'expected-duration': '100ms', prefix: 'read-only range ', request: 'key:"foo" ', response: 'range_response_count:1 size:24',
  });
  const encoded = new EncodedRange(header, rangeResponse.encode(response), { kvCount: 1, count: 1 });
  assert.equal(slowReadOf({ call: callTo('KV/Range'), request: range({ key: 'foo' }), response: encoded, tookMs: 1 }, 100)?.['response'], 'range_response_count:1 size:24');
  const request = range({ key: 'f', rangeEnd: 'g', limit: 3, revision: 1, sortOrder: 'DESCEND', keysOnly: true });
  assert.deepEqual(slowReadOf({ call: callTo('KV/Range'), request, response: undefined, tookMs: 1 }, 0.000001, new Error('etcdserver: mvcc: required revision has been compacted')), {
    took: '1ms', 'expected-duration': '1ns', prefix: 'read-only range ', request: 'key:"f" range_end:"g" limit:3 revision:1 sort_order:DESCEND keys_only:true ', response: '', error: 'mvcc: required revision has been compacted',
  });
  assert.equal(slowReadOf({ call: callTo('KV/Put'), request: put({ key: 'a' }), response: {}, tookMs: 1 }, 0), undefined);
});

test('a transaction that only reads is told as such', () => {
  const request = txn({ compare: [{ result: 'GREATER', target: 'MOD', key: 'k' }], success: [{ requestRange: { key: 'k' } }], failure: [{ requestRange: { key: 'j' } }] });
  const response = txnResponse.decode(txnResponse.encode({ header, responses: [{ responseRange: { header: { revision: 2 } } }] }));
  assert.deepEqual(slowReadOf({ call: callTo('KV/Txn'), request, response, tookMs: 1 }, 100), {
    took: '1ms', 'expected-duration': '100ms', prefix: 'read-only txn ',
    request: 'compare:<result:GREATER target:MOD key:"k" mod_revision:0 > success:<request_range:<key:"k" > > failure:<request_range:<key:"j" > >', response: 'responses:<range_response_count:0> size:12',
  });
});

const texts: readonly (readonly [LogCommand, string])[] = [
  [{ type: 'put', request: put({ key: Buffer.from([1, 255, 0xc3, 0xbc]), value: 'ü', lease: 4660n }) }, 'put:<key:"\\001\\377\\303\\274" value_size:2 lease:4660 >'],
  [{ type: 'deleteRange', request: deleteRangeRequest.decode(deleteRangeRequest.encode({ key: 'x', rangeEnd: 'y', prevKv: true })) }, 'delete_range:<key:"x" range_end:"y" prev_kv:true > '],
  [{ type: 'txn', request: txn({
    compare: [{ target: 'MOD', key: 'k' }, { target: 'VALUE', key: 'k', value: 'x' }], success: [{ requestPut: { key: 'k', value: 'v' } }, { requestRange: { key: 'k' } }],
    failure: [{ requestRange: { key: 'k' } }, { requestDeleteRange: { key: 'z' } }],
  }) }, 'txn:<compare:<target:MOD key:"k" mod_revision:0  target:VALUE key:"k" value_size:1 > success:<request_put:<key:"k" value_size:1 > request_range:<key:"k" > > failure:<request_range:<key:"k" >  request_delete_range:<key:"z" > >>'],
  [{ type: 'compact', request: { revision: 3 } }, 'compaction:<revision:3 > '],
  [{ type: 'leaseGrant', request: { ID: 0x694da2071bff8510n, TTL: 100 } }, 'lease_grant:<ttl:100-second id:694da2071bff8510>'],
  [{ type: 'leaseRevoke', request: { ID: -1n } }, 'lease_revoke:<id:ffffffffffffffff>'],
  [{ type: 'leaseCheckpoint', request: { checkpoints: [{ ID: 7n, remainingTTL: 9 }] } }, 'lease_checkpoint:<checkpoints:<ID:7 remaining_TTL:9 > > '],
];

test('commands are told as etcd tells them, without values', () => {
  for (const [command, text] of texts) assert.equal(commandText(command, 12n), `header:<ID:12 > ${text}`);
  assert.equal(commandText({ type: 'authDisable', request: {}, by: { username: 'root', authRevision: 7 } }, 12n), 'header:<ID:12 username:"root" auth_revision:7 > auth_disable:<> ');
  const secret = { name: 'u', password: '', options: undefined, hashedPassword: 'aGFzaA==' };
  assert.equal(commandText({ type: 'authUserAdd', request: secret } as LogCommand, 12n), 'header:<ID:12 > auth_user_add:<name:u>');
});

test('what was refused is told with its reason; a compaction that came too late is none', () => {
  const [[command] = []] = texts;
  const applied = { id: 12n, command: command as LogCommand, result: { refused: 'LeaseNotFound' } as const, tookMs: 0.153761 };
  assert.deepEqual(failedApplyOf(applied), { took: '153.761µs', request: commandText(applied.command, 12n), response: '', error: 'lease not found' });
  assert.deepEqual([isFailure({ refused: 'LeaseNotFound' }), isFailure({ refused: 'Compacted' })], [true, false]);
  const done = { ...applied, result: { response: putResponse.decode(putResponse.encode({ header: { revision: 2 } })) } as never };
  assert.deepEqual(slowApplyOf(done, 100), { took: '153.761µs', 'expected-duration': '100ms', prefix: '', request: commandText(applied.command, 12n), response: 'size:4' });
});

test('durations and sizes are written as in Go', () => {
  assert.deepEqual([0, 0.000001, 0.0015, 12.345678, 1000, 61_500, 3_600_000, -1.5].map(goDuration), ['0s', '1ns', '1.5µs', '12.345678ms', '1s', '1m1.5s', '1h0m0s', '-1.5ms']);
  assert.deepEqual([0, 9, 999, 1000, 33_583, 2 ** 31].map(humanBytes), ['0 B', '9 B', '999 B', '1.0 kB', '34 kB', '2.1 GB']);
});
