import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { CommandLineError } from './command-line-error.ts';
import { readCommandLine } from './command-line.ts';

const flagsOf = async (argv: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<readonly string[]> => (await readCommandLine(argv, environment)).flags;
const refused = (argv: readonly string[], message: RegExp, exitCode: number, environment: Readonly<Record<string, string>> = {}): Promise<void> =>
  assert.rejects(flagsOf(argv, environment), (error) => error instanceof CommandLineError && message.test(error.message) && error.exitCode === exitCode);

function configFile(text: string): string {
  const path = join(scratchFolder('etcd-config'), 'etcd.yaml');
  writeFileSync(path, text);
  return path;
}

test('flags are read as Go reads them, those of the environment come before', async () => {
  assert.deepEqual(await flagsOf(['--name', 'a', '-data-dir=/x=y', '--pre-vote', '--force-new-cluster=false']), ['--name=a', '--data-dir=/x=y', '--pre-vote=true', '--force-new-cluster=false']);
  assert.deepEqual(await flagsOf(['--name', 'a'], { ETCD_SNAPSHOT_COUNT: '7' }), ['--snapshot-count=7', '--name=a']);
});

test('what cannot be read is refused in the words of Go and etcd', async () => {
  await refused(['--nane=a'], /^flag provided but not defined: -nane$/, 2);
  await refused(['--name'], /^flag needs an argument: -name$/, 2);
  await refused(['--snapshot-count=x'], /^invalid value "x" for flag -snapshot-count: parse error$/, 2);
  await refused(['--pre-vote=x'], /^invalid boolean value "x" for -pre-vote: parse error$/, 2);
  await refused(['--v2-deprecation=not-yet'], /^invalid value "not-yet" for flag -v2-deprecation: invalid value "not-yet"$/, 2);
  await refused(['start'], /^"start" is not a valid flag$/, 1);
  await refused([], /^invalid value "x" for ETCD_SNAPSHOT_COUNT: parse error$/, 1, { ETCD_SNAPSHOT_COUNT: 'x' });
  await refused(['--name=a'], /conflicting environment variable/, 1, { ETCD_NAME: 'b' });
});

test('flags that were renamed go by their new names, with a warning, and not by both', async () => {
  const { flags, notes } = await readCommandLine(['--experimental-corrupt-check-time=1m', '--experimental-memory-mlock', '--experimental-initial-corrupt-check'], {});
  assert.deepEqual(flags, ['--corrupt-check-time=1m', '--memory-mlock=true', '--experimental-initial-corrupt-check=true']);
  assert.deepEqual(notes.map(({ level, message }) => [level, message.split(' ')[0]]), [['warn', '--experimental-corrupt-check-time'], ['warn', '--experimental-memory-mlock']]);
  await refused(['--experimental-corrupt-check-time=1m', '--corrupt-check-time=1m'], /^cannot set --experimental-corrupt-check-time and --corrupt-check-time at the same time, please use --corrupt-check-time only$/, 1);
});

test('a configuration file replaces all flags and the environment', async () => {
  const path = configFile(`
name: m1
snapshot-count: 5000
heartbeat-interval: 100
grpc-keepalive-min-time: 2000000000
listen-client-urls: http://localhost:2379,http://localhost:4001
pre-vote: false
log-outputs: [stderr, /var/log/etcd]
experimental-snapshot-catch-up-entries: 3
cert-file: not-here
no-such-key: 1
client-transport-security:
  cert-file: /server.crt
  client-cert-auth: true
peer-transport-security:
  cert-file: /peer.crt
  allowed-cn: [a, b]
  auto-tls: true
`);
  const expected = [
    '--name=m1', '--snapshot-count=5000', '--heartbeat-interval=100', '--grpc-keepalive-min-time=2000000000ns', '--listen-client-urls=http://localhost:2379,http://localhost:4001', '--pre-vote=false', '--log-outputs=stderr,/var/log/etcd',
    '--snapshot-catchup-entries=3', '--cert-file=/server.crt', '--client-cert-auth=true', '--peer-cert-file=/peer.crt', '--peer-auto-tls=true', '--peer-cert-allowed-cn=a,b',
  ];
  assert.deepEqual(await flagsOf(['--config-file', path, '--name=other'], { ETCD_DATA_DIR: '/a' }), expected);
  assert.deepEqual(await flagsOf([], { ETCD_CONFIG_FILE: path, ETCD_NAME: 'other' }), expected);
});

test('a configuration file that cannot be used is refused', async () => {
  await refused(['--config-file=/no/such/file'], /^open \/no\/such\/file: no such file or directory$/, 1);
  const problem = (text: string, message: RegExp): Promise<void> => refused([`--config-file=${configFile(text)}`], message, 1);
  await problem('a: [', /yaml/);
  await problem('- a', /cannot unmarshal into Go value of type embed.configYAML/);
  await problem('snapshot-count: many', /invalid value "many" for snapshot-count/);
  await problem('grpc-keepalive-min-time: 5s', /cannot unmarshal string into Go struct field configYAML.grpc-keepalive-min-time of type time.Duration/);
  await problem('name: {a: b}', /cannot unmarshal object/);
  await problem('peer-transport-security: x', /^invalid peer-transport-security$/);
  await problem('a: &a [1]\nb: *a', /yaml/);
});
