import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boolean, describeFlags, duration, FlagError, integer, list, map, parseDurationMs, parseFlags, path, port } from './flags.ts';

const definitions = {
  kubeconfig: path({ help: 'File.' }),
  'secure-port': port({ help: 'Port.', default: 10259 }),
  'leader-elect': boolean({ help: 'Elect.', default: true }),
  'lease-duration': duration({ help: 'Lease.', default: '15s' }),
  servers: list({ help: 'Servers.', default: [] }),
  labels: map({ help: 'Labels.', default: {} }),
  v: integer({ help: 'Verbosity.', default: 0, min: 0 }),
};
const parse = (...argv: string[]) => parseFlags(definitions, argv);
const problem = (...argv: string[]) => assert.throws(() => parse(...argv), FlagError);

test('values are given with = or as the next argument, with one dash or two; the last one wins', () => {
  assert.equal(parse('--kubeconfig=/a').kubeconfig, '/a');
  assert.equal(parse('--kubeconfig', '/a', '-kubeconfig=/b').kubeconfig, '/b');
  assert.equal(parse('--kubeconfig=a=b').kubeconfig, 'a=b');
});

test('a boolean needs no value and takes no argument after it', () => {
  assert.equal(parse('--leader-elect').leaderElect, true);
  assert.equal(parse('--leader-elect=false', '--v=3').leaderElect, false);
});

test('durations are in milliseconds under a name that says so', () => {
  assert.equal(parse().leaseDurationMs, 15_000);
  assert.equal(parse('--lease-duration=1m30s').leaseDurationMs, 90_000);
  assert.deepEqual(['0', '100ms', '1.5h', '-2s'].map(parseDurationMs), [0, 100, 5_400_000, -2_000]);
});

test('lists and maps may be repeated', () => {
  assert.deepEqual(parse('--servers=a,b', '--servers=c').servers, ['a', 'b', 'c']);
  assert.deepEqual(parse('--labels=a=1,b=2', '--labels=b=3').labels, { a: '1', b: '3' });
});

test('what is not understood is refused with the flag named', () => {
  problem('--no-such-flag');
  problem('stray');
  problem('--secure-port=70000');
  problem('--v=x');
  problem('--kubeconfig');
  assert.throws(() => parse('--lease-duration=soon'), { message: 'invalid argument "soon" for "--lease-duration" flag: time: invalid duration "soon"' });
  assert.throws(() => parse('--labels=a'), { message: 'invalid argument "a" for "--labels" flag: a must be formatted as key=value' });
});

test('help names every flag with its default', () => {
  const text = describeFlags('kube-x', definitions);
  for (const name of Object.keys(definitions)) assert.ok(text.includes(`--${name}`));
  assert.match(text, /--lease-duration .*\(default 15s\)/);
});
