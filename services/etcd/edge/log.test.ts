import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'node:test';
import { FlagError, parseFlags } from '#lib/service/flags.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { etcdFlags } from '../command-line/flags.ts';
import { newEtcdLog } from './log.ts';
import { rotatingFile, rotationOf } from './rotating-file.ts';

const logOf = (...flags: string[]): ReturnType<typeof newEtcdLog> => newEtcdLog(parseFlags(etcdFlags, flags));
const refused = (message: RegExp, ...flags: string[]): void => assert.throws(() => logOf(...flags), (error) => error instanceof FlagError && message.test(error.message));

test('lines are those of zap, in all files that are named, from the level on that is asked for', () => {
  const [a, b] = ['a', 'b'].map((name) => join(scratchFolder('log'), name)) as [string, string];
  const log = logOf(`--log-outputs=${a},${b}`, '--log-level=warn');
  log.info('not told');
  log.warn({ err: new Error('no leader'), 'local-member-id': '1a' }, 'failed');
  const { ts, ...line } = JSON.parse(readFileSync(a, 'utf8')) as { ts: string };
  assert.match(ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.deepEqual(line, { level: 'warn', msg: 'failed', error: 'no leader', 'local-member-id': '1a' });
  assert.equal(readFileSync(b, 'utf8'), readFileSync(a, 'utf8'));
});

test('the console format has columns', () => {
  const path = join(scratchFolder('log'), 'log');
  const log = logOf(`--log-outputs=${path}`, '--log-format=console');
  log.info('ready');
  log.error({ peer: 'b' }, 'lost');
  assert.match(readFileSync(path, 'utf8'), /^[^\t]+Z\tinfo\tready\n[^\t]+Z\terror\tlost\t\{"peer":"b"\}\n$/);
});

test('what cannot be followed is refused in the words of etcd', () => {
  refused(/^unrecognized level: "loud"$/, '--log-level=loud');
  refused(/^unknown log format: xml, supported values json, console$/, '--log-format=xml');
  refused(/^multi logoutput for "default" is not supported yet$/, '--log-outputs=default,stdout');
  refused(/^couldn't open sink "\/no\/such\/log"/, '--log-outputs=/no/such/log');
  refused(/^--log-outputs requires a single file path when --log-rotate-config-json is defined$/, '--enable-log-rotation');
  refused(/^improperly formatted log rotation config/, '--enable-log-rotation', '--log-outputs=/tmp/x', '--log-rotation-config-json={');
  refused(/^invalid log rotation config: json: cannot unmarshal string/, '--enable-log-rotation', '--log-outputs=/tmp/x', '--log-rotation-config-json={"maxsize": "1"}');
});

test('a file begins anew when it is large; so many of the former ones stay, packed', () => {
  const folder = scratchFolder('log');
  const path = join(folder, 'etcd.log');
  writeFileSync(path, 'of before\n');
  let nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
  const write = rotatingFile(path, rotationOf('{"maxsize": 1, "maxbackups": 2, "compress": true}'), () => (nowMs += 1000));
  for (let at = 0; at < 4; at += 1) write(`${at}${'x'.repeat(1024 * 1024 - 1)}\n`);
  const names = readdirSync(folder).sort();
  assert.deepEqual(names, ['etcd-2026-01-02T03-04-10.006.log.gz', 'etcd-2026-01-02T03-04-12.006.log.gz', 'etcd.log']);
  assert.deepEqual([...names.slice(0, 2).map((name) => gunzipSync(readFileSync(join(folder, name)))), readFileSync(path)].map((bytes) => bytes.toString('utf8', 0, 1)), ['1', '2', '3']);
});

test('former files go when they are too old', () => {
  const folder = scratchFolder('log');
  const day = 24 * 60 * 60 * 1000;
  let nowMs = Date.UTC(2026, 0, 1);
  const write = rotatingFile(join(folder, 'log'), rotationOf('{"maxsize": 1, "maxage": 3}'), () => nowMs);
  for (let at = 0; at < 6; at += 1, nowMs += day) write('x'.repeat(1024 * 1024));
  assert.deepEqual(readdirSync(folder).sort(), ['log', 'log-2026-01-03T00-00-00.000', 'log-2026-01-04T00-00-00.000', 'log-2026-01-05T00-00-00.000', 'log-2026-01-06T00-00-00.000']);
});
