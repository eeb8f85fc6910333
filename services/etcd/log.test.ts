// What a running member logs, and what it measures of calls.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connectToEtcd } from '#lib/etcd-api/client.ts';
import { runEtcdctl, spawnEtcd, temporaryFolder, type Outcome } from './testing.ts';

const folder = temporaryFolder();
after(() => folder.remove());
let nextFolder = 0;

interface Line { readonly level: string; readonly msg: string; readonly [field: string]: unknown }

async function run(flags: readonly string[], work: (url: string, metricsUrl: string) => Promise<void>, environment: NodeJS.ProcessEnv = {}): Promise<Line[]> {
  const log = join(folder.path, `log-${nextFolder}`);
  const etcd = await spawnEtcd([`--data-dir=${folder.path}/data-${nextFolder++}`, '--log-outputs=stdout', `--log-outputs=${log}`, ...flags], 'http', environment);
  await work(etcd.urls[0], etcd.urls[1]);
  assert.equal(await etcd.end('SIGTERM'), 0);
  return readFileSync(log, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Line);
}

test('a member tells of its start and its end in the words of etcd', async () => {
  const lines = await run([], () => Promise.resolve());
  const messages = lines.map(({ msg }) => msg);
  const expected = [
    'starting an etcd server', 'starting local member', 'starting etcd server', 'serving peer traffic', 'published local member to cluster through raft', 'ready to serve client requests',
    'serving client traffic insecurely; this is strongly discouraged!', 'received signal; shutting down', 'closing etcd server', 'skipped leadership transfer for single voting member cluster', 'closed etcd server',
  ];
  assert.deepEqual(messages.filter((message) => expected.includes(message)), expected);
  assert.ok(messages.some((message) => /^raft\.node: [\da-f]+ elected leader [\da-f]+ at term 2$/.test(message)), messages.join('\n'));
  assert.ok(lines.every(({ caller }) => /^[\w-]+\/[\w.-]+:\d+$/.test(String(caller))), JSON.stringify(lines.find(({ caller }) => !String(caller).includes(':'))));
});

test('it warns of what takes longer than it may, and of nothing else', async () => {
  const work = async (url: string): Promise<void> => {
    const client = connectToEtcd({ endpoints: [url] });
    await client.put({ key: 'foo', value: 'bar' });
    await client.range({ key: 'foo' });
    client.close();
  };
  const told = (lines: readonly Line[]): unknown[] => lines.filter(({ level }) => level === 'warn').map((line) => [line.msg, line['prefix'] ?? line['response type'], String(line['request'] ?? line['request content']).replace(/ID:\d+/, 'ID:1')]);
  assert.deepEqual(told(await run(['--warning-apply-duration=1ns', '--warning-unary-request-duration=1ns'], work)).filter((line) => String(line).includes('foo')), [
    ['apply request took too long', '', 'header:<ID:1 > put:<key:"foo" value_size:3 >'], ['request stats', '/etcdserverpb.KV/Put', 'key:"foo" value_size:3 '],
    ['apply request took too long', 'read-only range ', 'key:"foo" '], ['request stats', '/etcdserverpb.KV/Range', 'key:"foo" '],
  ]);
  assert.deepEqual(told(await run(['--warning-apply-duration=1m', '--warning-unary-request-duration=1m'], work)), []);
});

test('a defragmentation that fails says why, and the member goes on', async () => {
  const lines = await run([], async (url) => {
    const etcdctl = (...words: string[]): Promise<Outcome> => runEtcdctl([`--endpoints=${url}`, ...words]);
    assert.match((await etcdctl('defrag')).errors, /\nFailed to defragment etcd member\[.*\] \(rpc error: code = Unknown desc = no space\)$/);
    assert.equal((await etcdctl('put', 'foo', 'bar')).output, 'OK');
    assert.match((await etcdctl('defrag')).output, /^Finished defragmenting etcd member/);
  }, { GOFAIL_FAILPOINTS: 'defragdbFail=1*return("no space")' });
  assert.deepEqual(lines.filter(({ msg }) => msg.endsWith(' defragment')).map(({ level, msg, error }) => [level, msg, error]), [
    ['info', 'starting defragment', undefined], ['warn', 'failed to defragment', 'no space'], ['info', 'starting defragment', undefined], ['info', 'finished defragment', undefined],
  ]);
});

test('--log-level=debug tells of each call; LOG_LEVEL counts where the flag is not given', async () => {
  const work = async (url: string): Promise<void> => {
    const client = connectToEtcd({ endpoints: [url] });
    await client.range({ key: 'foo' });
    client.close();
  };
  const calls = (lines: readonly Line[]): number => lines.filter(({ level, msg }) => level === 'debug' && msg === 'request stats').length;
  assert.equal(calls(await run(['--log-level=debug'], work)), 1);
  assert.equal(calls(await run([], work, { LOG_LEVEL: 'debug' })), 1);
  assert.equal(calls(await run(['--log-level=info'], work, { LOG_LEVEL: 'debug' })), 0);
});

test('--metrics=extensive tells how long calls took', async () => {
  const metricsOf = (flags: readonly string[]): Promise<string> => new Promise((resolve, reject) => {
    run(flags, async (url, metricsUrl) => {
      const client = connectToEtcd({ endpoints: [url] });
      await client.put({ key: 'a', value: '1' });
      await client.put({ key: 'b', value: '1' });
      await client.deleteRange({ key: 'a' });
      client.close();
      resolve(await (await fetch(`${metricsUrl}/metrics`)).text());
    }).catch(reject);
  });
  const extensive = await metricsOf(['--metrics=extensive']);
  assert.match(extensive, /\ngrpc_server_handling_seconds_count\{grpc_method="Put",grpc_service="etcdserverpb\.KV",grpc_type="unary"\} 2\n/);
  for (const line of [
    'grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 2', 'etcd_debugging_mvcc_keys_total 1',
    'etcd_server_apply_duration_seconds_count{op="Put",success="true",version="v3"} 2', 'etcd_server_apply_duration_seconds_bucket{op="Put",success="true",version="v3",le="+Inf"} 2',
  ]) assert.ok(extensive.includes(`\n${line}\n`), `${line} in ${extensive}`);
  assert.doesNotMatch(await metricsOf([]), /grpc_server_handling_seconds/);
});
