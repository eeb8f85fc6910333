// What people type with curl: the JSON gateway of the real process, locks and elections through it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { spawnEtcd, temporaryFolder, until, type EtcdProcess } from './testing.ts';

const folder = temporaryFolder();
let etcd: EtcdProcess;
before(async () => {
  etcd = await spawnEtcd([`--data-dir=${folder.path}/data`]);
});
after(async () => {
  assert.equal(await etcd.end('SIGTERM'), 0);
  folder.remove();
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const open = (path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
  fetch(new URL(path, etcd.urls[0]), { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...(signal === undefined ? {} : { signal }) });
async function post(path: string, body: unknown): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await open(path, body);
  const json = await response.json() as Record<string, unknown>;
  delete json['header'];
  return { status: response.status, json };
}

/** The lines of a stream as they come; the headers come with the first one. */
function follow(path: string, body: unknown): { readonly lines: string[]; readonly end: () => void } {
  const stopping = new AbortController();
  const lines: string[] = [];
  (async () => {
    const response = await open(path, body, stopping.signal);
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        lines.push(text.slice(0, end));
        text = text.slice(end + 1);
      }
    }
  })().catch(() => undefined); // it ends with the abort
  return { lines, end: () => stopping.abort() };
}

test('put and range take and give JSON; errors have code and message', async () => {
  assert.deepEqual(await post('/v3/kv/put', { key: base64('foo'), value: base64('bar') }), { status: 200, json: {} });
  assert.deepEqual(await post('/v3/kv/range', { key: base64('foo') }),
    { status: 200, json: { kvs: [{ key: base64('foo'), create_revision: '2', mod_revision: '2', version: '1', value: base64('bar') }], count: '1' } });
  assert.deepEqual(await post('/v3/kv/range', ''), { status: 400, json: { code: 3, message: 'etcdserver: key is not provided' } });
  assert.deepEqual(await post('/v3/kv/range', '{"key":'), { status: 400, json: { code: 3, message: 'unexpected EOF' } });
  assert.deepEqual(await post('/v3/kv/range', { key: base64('foo'), revision: '99' }), { status: 400, json: { code: 11, message: 'etcdserver: mvcc: required revision is a future revision' } });
  assert.deepEqual(await post('/v3/kv/lease/revoke', { ID: 5 }), { status: 404, json: { code: 5, message: 'etcdserver: requested lease not found' } });
  assert.deepEqual(await post('/v3/nothing', {}), { status: 404, json: { code: 5, message: 'Not Found' } });
  assert.equal((await fetch(new URL('/v3/kv/range', etcd.urls[0]))).status, 501);
});

test('ids are exact as numbers, and what cannot be read is named with its place', async () => {
  const [id, other] = ['8173696233422460966', '8173696233422460967'];
  for (const ID of [id, `"${other}"`]) await post('/v3/lease/grant', `{"ID":${ID},"TTL":100}`);
  assert.deepEqual((await post('/v3/lease/timetolive', `{"ID":${id}}`)).json['ID'], id);
  assert.deepEqual(new Set(((await post('/v3/lease/leases', {})).json['leases'] as { ID: string }[]).map(({ ID }) => ID)), new Set([id, other]));
  for (const ID of [id, other]) await post('/v3/lease/revoke', `{"ID":${ID}}`);
  const refused = (message: string): unknown => ({ status: 400, json: { code: 3, message } });
  assert.deepEqual(await post('/v3/lease/keepalive', '{"ID":"x"}'), refused('proto: (line 1:7): invalid value for int64 field ID: "x"'));
  assert.deepEqual(await post('/v3/kv/put', '5'), refused('proto: syntax error (line 1:1): unexpected token 5'));
  assert.deepEqual(await post('/v3/kv/put', 'x'), refused('invalid character \'x\' looking for beginning of value'));
  assert.deepEqual(await post('/v3/kv/put', '{"x":'.repeat(1001)), refused('exceeded max depth'));
});

test('answers have the headers that etcd gives them', async () => {
  const answer = async (path: string): Promise<Record<string, unknown>> => JSON.parse((await (await open(path, {})).text()).split('\n')[0] ?? '') as Record<string, unknown>;
  assert.deepEqual(await answer('/v3/maintenance/defragment'), {});
  assert.deepEqual(Object.keys((await answer('/v3/cluster/member/list'))['header'] as object), ['cluster_id', 'member_id', 'raft_term']);
  assert.deepEqual(Object.keys((await answer('/v3/maintenance/snapshot'))['result'] as object).filter((name) => name !== 'remaining_bytes'), ['blob', 'version']);
  assert.ok(Number((await answer('/v3/maintenance/status'))['dbSizeInUse']) > 0);
});

test('every method has its path', async () => {
  const paths = [
    'kv/range', 'kv/put', 'kv/deleterange', 'kv/txn', 'kv/compaction', 'lease/grant', 'lease/revoke', 'kv/lease/revoke', 'lease/timetolive', 'kv/lease/timetolive',
    'lease/leases', 'kv/lease/leases', 'cluster/member/list', 'maintenance/alarm', 'maintenance/status', 'maintenance/defragment', 'maintenance/hash', 'maintenance/hashkv',
    'auth/enable', 'auth/disable', 'auth/status', 'auth/authenticate', 'auth/user/add', 'auth/user/get', 'auth/user/list', 'auth/user/delete', 'auth/user/changepw', 'auth/user/grant',
    'auth/user/revoke', 'auth/role/add', 'auth/role/get', 'auth/role/list', 'auth/role/delete', 'auth/role/grant', 'auth/role/revoke', 'lock/unlock', 'election/leader', 'election/resign',
  ];
  for (const path of paths) assert.notDeepEqual((await post(`/v3/${path}`, {})).json, { code: 5, message: 'Not Found' }, path);
});

test('a watch goes on after its request, one event a line', async () => {
  const watch = follow('/v3/watch', { create_request: { key: base64('w') } });
  await until('the watch is there', () => watch.lines.length === 1);
  await post('/v3/kv/put', { key: base64('w'), value: base64('1') });
  await until('the event is there', () => watch.lines.length === 2);
  const { result } = JSON.parse(watch.lines[1] ?? '') as { result: { events: { kv: { value: string } }[] } };
  assert.equal(result.events[0]?.kv.value, base64('1'));
  watch.end();
});

test('a lease is kept alive by each object of a request', async () => {
  await post('/v3/lease/grant', { ID: 9, TTL: 100 });
  const response = await open('/v3/lease/keepalive', '{"ID":9}\n{"ID":"9"}{"ID":10}');
  const answers = (await response.text()).trim().split('\n').map((line) => (JSON.parse(line) as { result: { ID: string; TTL?: string } }).result).map(({ ID, TTL }) => [ID, TTL]);
  assert.deepEqual(answers, [['9', '100'], ['9', '100'], ['10', undefined]]);
});

test('a lock is held by one at a time, in the order of asking', async () => {
  for (const ID of [21, 22]) await post('/v3/lease/grant', { ID, TTL: 100 });
  const first = await post('/v3/lock/lock', { name: base64('l'), lease: 21 });
  assert.equal(first.json['key'], base64('l/15'));
  let isSecondDone = false;
  const second = post('/v3/lock/lock', { name: base64('l'), lease: 22 }).finally(() => { isSecondDone = true; });
  await until('the second one waits', async () => (await post('/v3/kv/range', { key: base64('l/'), range_end: base64('l0'), count_only: true })).json['count'] === '2');
  assert.equal(isSecondDone, false);
  await post('/v3/lock/unlock', { key: first.json['key'] });
  assert.equal((await second).json['key'], base64('l/16'));
  assert.deepEqual(await post('/v3/lock/lock', { name: base64('l'), lease: 99 }), { status: 500, json: { code: 2, message: 'etcdserver: requested lease not found' } });
});

test('who gives up waiting for a lock stands in nobody\'s way', async () => {
  for (const ID of [31, 32]) await post('/v3/lease/grant', { ID, TTL: 100 });
  const first = await post('/v3/lock/lock', { name: base64('g'), lease: 31 });
  const waiters = async (): Promise<unknown> => (await post('/v3/kv/range', { key: base64('g/'), range_end: base64('g0'), count_only: true })).json['count'];
  const stopping = new AbortController();
  const waiting = open('/v3/lock/lock', { name: base64('g'), lease: 32 }, stopping.signal).catch(() => 'given up');
  await until('the second one waits', async () => (await waiters()) === '2');
  stopping.abort();
  assert.equal(await waiting, 'given up');
  await until('the second one has gone', async () => (await waiters()) === '1');
  await post('/v3/lock/unlock', { key: first.json['key'] });
});

test('an election has one leader, who can be seen to change', async () => {
  for (const ID of [41, 42]) await post('/v3/lease/grant', { ID, TTL: 100 });
  assert.deepEqual(await post('/v3/election/leader', { name: base64('e') }), { status: 500, json: { code: 2, message: 'election: no leader' } });
  const observer = follow('/v3/election/observe', { name: base64('e') });
  const seen = (): string[] => observer.lines.map((line) => Buffer.from((JSON.parse(line) as { result: { kv: { value: string } } }).result.kv.value, 'base64').toString());
  const { json: { leader } } = await post('/v3/election/campaign', { name: base64('e'), lease: 41, value: base64('one') });
  const second = post('/v3/election/campaign', { name: base64('e'), lease: 42, value: base64('two') });
  await until('the first leader is seen', () => seen().length === 1);
  await post('/v3/election/proclaim', { leader, value: base64('uno') });
  await until('the new value is seen', () => seen().length === 2);
  await post('/v3/election/resign', { leader });
  await second;
  await until('the next leader is seen', () => seen().length === 3);
  assert.deepEqual(seen(), ['one', 'uno', 'two']);
  assert.deepEqual(await post('/v3/election/proclaim', { leader, value: base64('x') }), { status: 500, json: { code: 2, message: 'election: not leader' } });
  observer.end();
});
