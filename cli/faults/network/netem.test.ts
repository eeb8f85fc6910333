// The words that tc, nft and ss are told, and how those of people are understood.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { SILENCE } from './dns.ts';
import { breakScript, parseSlowness, relayHelper } from './netem.ts';
import { tableScript } from './nft-tables.ts';
import { handleOf, idOfHandle, netemWords, tcRemoval, tcScript } from './tc.ts';

const slowness = (options: Record<string, string>) => parseSlowness({ args: ['w1-k8s'], options });

test('durations, percentages and rates are understood, with and without their units', () => {
  assert.deepEqual(slowness({ delay: '100ms', jitter: '1s', loss: '5%', duplicate: '1', corrupt: '0.1%', rate: '8Mbit' }),
    { delayMs: 100, jitterMs: 1000, loss: 5, duplicate: 1, corrupt: 0.1, rate: '8mbit' });
});

test('what makes no sense is refused', () => {
  assert.throws(() => slowness({}), /at least one of/);
  assert.throws(() => slowness({ delay: '100' }), /--delay must be a duration/);
  assert.throws(() => slowness({ delay: '-1s' }), /--delay must be a duration/);
  assert.throws(() => slowness({ loss: '101%' }), /--loss must be a percentage/);
  assert.throws(() => slowness({ loss: 'many' }), /--loss must be a percentage/);
  assert.throws(() => slowness({ rate: '8' }), /--rate must be a rate/);
  assert.throws(() => slowness({ jitter: '8ms' }), /--jitter is that of a --delay/);
});

test('netem is told all at once', () => {
  assert.deepEqual(netemWords({ delayMs: 100, jitterMs: 10, loss: 5, duplicate: 1, corrupt: 0.1 }), 'delay 100ms 10ms loss 5% duplicate 1% corrupt 0.1%'.split(' '));
  assert.deepEqual(netemWords({ rate: '8mbit' }), []);
});

const queue = { host: 'w1-k8s', address: '192.168.1.101' };

test('all that a host sends goes through a queue, or what goes to some devices', () => {
  const all = tcScript(queue, '8001', { delayMs: 100, rate: '8mbit' });
  assert.match(all, /root handle 8001: htb default 2\n/);
  assert.match(all, /classid 8001:2 htb rate 8mbit /);
  assert.match(all, /parent 8001:2 handle c001: netem limit 100000 delay 100ms\n/);
  assert.doesNotMatch(all, /filter/);
  const some = tcScript({ ...queue, toMacs: ['02:42:C0:a8:01:66', '02:42:c0:a8:01:67'] }, '8001', { loss: 5 });
  assert.match(some, /root handle 8001: htb default 1\n/);
  assert.match(some, /u32 match u16 0x0242 0xffff at -14 match u32 0xc0a80166 0xffffffff at -12 flowid 8001:2\n/);
  assert.equal(some.match(/tc filter add/g)?.length, 2);
});

test('a queue is called after its fault', () => {
  assert.equal(handleOf('f001'), '8001');
  assert.equal(idOfHandle('8001'), 'f001');
  assert.equal(idOfHandle(handleOf('f1234')), 'f1234');
});

test('tc takes the queue, and there is nothing left when it is removed', (context) => {
  const script = `set -e
ip link set lo up
ip link add eth0 type veth peer name other
ip addr add 192.168.1.101/24 dev eth0
ip link set eth0 up
tc qdisc show dev eth0 >/tmp/before.$$
sh -ec "$1"
tc qdisc show dev eth0 | grep -q 'htb 8001:'
sh -c "$2"
tc qdisc show dev eth0 | diff /tmp/before.$$ -
rm /tmp/before.$$
sh -c "$2"`;
  if (process.getuid?.() !== 0) return context.skip('needs root');
  execFileSync('unshare', ['--net', 'sh', '-c', script, 'sh', tcScript({ ...queue, toMacs: ['02:42:c0:a8:01:66'] }, '8001', { rate: '8mbit' }), tcRemoval('8001')], { stdio: ['ignore', 'ignore', 'pipe'] });
});

test('relays take what comes from the peers for the ports of components, each on a port of its own', () => {
  const { spec } = relayHelper('kubreak-f001', { host: 'm-k8s', address: '192.168.1.10', peers: ['192.168.1.101', '192.168.1.102'] }, { delayMs: 100, jitterMs: 10 });
  assert.deepEqual(spec.services.map((service) => service.kind === 'relay' && service.toPort), [6443, 2379, 2380, 10250]);
  assert.equal(spec.rules[2], 'add rule inet kubreak-f001 arrival ip saddr { 192.168.1.101, 192.168.1.102 } ip daddr 192.168.1.10 tcp dport 6443 dnat ip to 192.168.1.10:$0');
});

test('connections that are there already are broken off where they arrive', () => {
  assert.equal(breakScript({ peers: ['192.168.1.101'] }, '192.168.1.10'),
    "ss -K -tnH state established '( sport = :6443 or sport = :2379 or sport = :2380 or sport = :10250 ) and ( dst 192.168.1.101 )' >/dev/null");
});

test('nft takes the rules of a silent name service', (context) => {
  if (process.getuid?.() !== 0) return context.skip('needs root');
  execFileSync('unshare', ['--net', 'nft', '--check', '-f', '-'], { input: tableScript('kubreak-f001', SILENCE), stdio: ['pipe', 'ignore', 'pipe'] });
});
