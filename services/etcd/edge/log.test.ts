import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'node:test';
import { FlagError, parseFlags } from '#lib/service/flags.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { etcdFlags } from '../command-line/flags.ts';
import { newEtcdLog, newSampler } from './log.ts';
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
  assert.match((line as { caller?: string }).caller ?? '', /^edge\/log\.test\.ts:\d+$/);
  assert.deepEqual({ ...line, caller: '' }, { level: 'warn', caller: '', msg: 'failed', error: 'no leader', 'local-member-id': '1a' });
  assert.deepEqual(Object.keys(JSON.parse(readFileSync(a, 'utf8')) as object), ['level', 'ts', 'caller', 'msg', 'error', 'local-member-id']);
  assert.equal(readFileSync(b, 'utf8'), readFileSync(a, 'utf8'));
});

test('the console format has columns', () => {
  const path = join(scratchFolder('log'), 'log');
  const log = logOf(`--log-outputs=${path}`, '--log-format=console');
  log.info('ready');
  log.child({ of: 'c' }).warn({ peer: 'b:1', urls: ['x', 'y'] }, 'a "word"');
  log.error({ peer: 'b' }, 'lost');
  assert.match(readFileSync(path, 'utf8'), /^[^\t]+Z\tinfo\tedge\/log\.test\.ts:\d+\tready\n[^\t]+Z\twarn\t[^\t]+\ta "word"\t\{"of": "c", "peer": "b:1", "urls": \["x", "y"\]\}\n[^\t]+Z\terror\t[^\t]+\tlost\t\{"peer": "b"\}\n +at [^]+\n$/);
});

test('an error has a stack trace, and what a child of the log adds comes after the message', () => {
  const path = join(scratchFolder('log'), 'log');
  const log = logOf(`--log-outputs=${path}`);
  log.child({ 'discovery-token': 't' }).error({ err: new TypeError('bad') }, 'failed');
  const line = JSON.parse(readFileSync(path, 'utf8')) as { stacktrace: string };
  assert.deepEqual(Object.keys(line), ['level', 'ts', 'caller', 'msg', 'discovery-token', 'error', 'stacktrace']);
  log.fatal({ err: new Error('over') }, 'ended');
  assert.match(readFileSync(path, 'utf8'), /"level":"fatal","ts":"[^"]+","caller":"edge\/log\.test\.ts:\d+","msg":"ended"/);
  assert.match(line.stacktrace, /^TypeError: bad\n +at .*log\.test\.ts/);
});

test('of one message a hundred lines a second are told, and then each hundredth', () => {
  let nowMs = 5_000;
  const isSampled = newSampler(() => nowMs);
  const told = Array.from({ length: 1000 }, (_, at) => at).filter(() => isSampled(30, 'again'));
  assert.deepEqual(told.slice(98), [98, 99, 199, 299, 399, 499, 599, 699, 799, 899, 999]);
  assert.deepEqual([isSampled(30, 'again'), isSampled(30, 'once'), isSampled(40, 'again')], [false, true, true]);
  nowMs = 6_000;
  assert.equal(isSampled(30, 'again'), true);
});

test('nothing is told where /dev/null is among the outputs; LOG_LEVEL counts where no level is given', () => {
  const folder = scratchFolder('log');
  const path = join(folder, 'log');
  logOf(`--log-outputs=${path},/dev/null`).info('not told');
  assert.equal(existsSync(path), false);
  newEtcdLog(parseFlags(etcdFlags, [`--log-outputs=${path}`]), 'debug').debug('told');
  assert.equal((JSON.parse(readFileSync(path, 'utf8')) as { level: string }).level, 'debug');
});

test('what cannot be followed is refused in the words of etcd', () => {
  refused(/^unrecognized level: "loud"$/, '--log-level=loud');
  refused(/^unknown log format: xml, supported values json, console$/, '--log-format=xml');
  refused(/^multi logoutput for "default" is not supported yet$/, '--log-outputs=default,stdout');
  refused(/^open sink "\/no\/such\/log": open \/no\/such\/log: no such file or directory$/, '--log-outputs=/no/such/log');
  refused(/^--log-outputs requires a single file path when --log-rotate-config-json is defined$/, '--enable-log-rotation');
  refused(/^improperly formatted log rotation config: unexpected end of JSON input$/, '--enable-log-rotation', '--log-outputs=/tmp/x', '--log-rotation-config-json={');
  refused(/^invalid log rotation config: json: cannot unmarshal string into Go struct field logRotationConfig\.Logger\.maxsize of type int$/, '--enable-log-rotation', '--log-outputs=/tmp/x', '--log-rotation-config-json={"maxsize": "1"}');
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
