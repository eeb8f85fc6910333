// The nft rules of partitions and the parsing around them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { COMPONENTS, hostsWith } from '../../cluster-layout.ts';
import { connectionsOf, cutRules, linksBetween, type Place } from './component-cuts.ts';
import { deafTo, deafToAll, macOf } from './host-cuts.ts';
import { tableScript } from './nft-tables.ts';
import { groupCount, sidesOf } from './partition.ts';
import { usesBalancer } from './places.ts';

const place = (name: string, host: string, address: string, isOwnNetwork = false): Place => {
  const component = COMPONENTS.find((each) => each.name === name);
  assert.ok(component);
  return { component, host, address, ...(isOwnNetwork && { isOwnNetwork }) };
};
const apiserver = place('apiserver', 'm-k8s', '192.168.1.10');
const scheduler = place('scheduler', 'm-k8s', '192.168.1.10');
const etcd = place('etcd', 'm-k8s', '192.168.1.10');
const kubelet = place('kubelet', 'w1-k8s', '192.168.1.101');
const coredns = place('coredns', 'w1-k8s', '172.16.221.129', true);

/** What nft itself makes of the rules, without doing anything; undefined where it cannot be asked. */
function nftProblem(script: string): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    execFileSync('unshare', ['--net', 'nft', '--check', '-f', '-'], { input: script, stdio: ['pipe', 'ignore', 'pipe'] });
    return undefined;
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    return code === 'ENOENT' ? undefined : String(stderr);
  }
}

test('a host that is cut off takes no packet from the other, by its device and by its address', () => {
  const rules = deafTo([{ address: '192.168.1.101', mac: '02:42:c0:a8:01:65' }, { address: '192.168.1.102' }]);
  assert.deepEqual(rules.match(/^ +(?:ether|ip) .*$/gm)?.map((line) => line.trim()),
    ['ether saddr 02:42:c0:a8:01:65 counter drop', 'ether saddr != 02:42:c0:a8:01:65 ip saddr 192.168.1.101 counter drop', 'ip saddr 192.168.1.102 counter drop']);
  assert.match(rules, /hook prerouting priority -300/);
  assert.equal(nftProblem(tableScript('kubreak-f001', rules)), undefined);
  assert.equal(nftProblem(tableScript('kubreak-f001', deafToAll())), undefined);
  assert.match(deafTo([{ address: '192.168.1.101' }], 12.5), /numgen random mod 10000 < 1250 counter drop/);
  assert.equal(nftProblem(tableScript('kubreak-f001', deafToAll(12.5))), undefined);
});

test('the device of a host is the one with its address, whatever it is called', () => {
  const entries = [{ ifname: 'lo', address: '00:00:00:00:00:00' }, { ifname: 'eth0', address: 'aa:00:00:00:00:00', addr_info: [] }, { ifname: 'net1', address: 'bb:00:00:00:00:00', addr_info: [{ local: '192.168.1.101' }] }];
  assert.equal(macOf(entries, '192.168.1.101'), 'bb:00:00:00:00:00');
  assert.equal(macOf(entries, '192.168.1.102'), 'aa:00:00:00:00:00');
  assert.equal(macOf([], '192.168.1.102'), undefined);
});

test('between scheduler and API server only the scheduler connects', () => {
  assert.deepEqual(linksBetween([scheduler], [apiserver], false), [{ client: scheduler, servers: [apiserver], losesRequests: true, losesAnswers: true }]);
});

test('a kubelet asks the API server and is asked by it: one way, requests of one are lost and answers to the other', () => {
  assert.deepEqual(linksBetween([kubelet], [apiserver], true), [
    { client: kubelet, servers: [apiserver], losesRequests: true, losesAnswers: false },
    { client: apiserver, servers: [kubelet], losesRequests: false, losesAnswers: true },
  ]);
});

test('who does not connect has no link: a kubelet elsewhere does not probe the scheduler', () => {
  assert.deepEqual(linksBetween([kubelet], [scheduler], false), []);
  assert.deepEqual(linksBetween([scheduler], [etcd], false), []);
  assert.deepEqual(linksBetween([etcd], [etcd], false), []);
});

test('on one host the API server is also reached by the loopback address, and a process is told by its group', () => {
  const rules = cutRules(linksBetween([scheduler], [apiserver], false).map((link) => ({ link, what: 'counter drop' })));
  assert.match(rules, /meta skgid 61004 ip daddr \{ 192\.168\.1\.10, 127\.0\.0\.1 \} tcp dport \{ 6443 \} update @connections0/);
  assert.match(rules, /ip saddr \. tcp sport \. ip daddr \. tcp dport @connections0 counter drop/);
  assert.match(rules, /ip daddr \. tcp dport \. ip saddr \. tcp sport @connections0 counter drop/);
  assert.equal(nftProblem(tableScript('kubreak-f001', rules)), undefined);
});

test('one way, what the other side says still arrives', () => {
  const rules = cutRules(linksBetween([scheduler], [apiserver], true).map((link) => ({ link, what: 'counter drop' })));
  assert.match(rules, /ip saddr \. tcp sport \. ip daddr \. tcp dport @connections0 counter drop/);
  assert.doesNotMatch(rules, /ip daddr \. tcp dport \. ip saddr \. tcp sport @connections0/);
});

test('a pod with a network of its own is told by its address', () => {
  const rules = cutRules(linksBetween([coredns], [apiserver], false).map((link) => ({ link, what: 'counter drop' })));
  assert.match(rules, /ip saddr 172\.16\.221\.129 ip daddr \{ 192\.168\.1\.10 \} tcp dport \{ 6443 \} counter drop/);
  assert.doesNotMatch(rules, /skgid/);
  assert.equal(nftProblem(tableScript('kubreak-f001', rules)), undefined);
});

test('connections that are there already are cut from their first answer on', () => {
  const [link] = linksBetween([scheduler], [apiserver], false);
  assert.ok(link);
  const connections = connectionsOf(link, `0      0      192.168.1.10:58394  192.168.1.10:6443  users:(("kube-scheduler",pid=53,fd=21))
0      0      192.168.1.10:58396  192.168.1.10:6443  users:(("kube-controller",pid=54,fd=21))
0      0      192.168.1.10:58398  192.168.1.10:2379  users:(("kube-scheduler",pid=53,fd=22))
0      0      192.168.1.10:6443   192.168.1.10:58394
`);
  assert.deepEqual(connections, [{ from: '192.168.1.10:58394', to: '192.168.1.10:6443' }]);
  const rules = cutRules([{ link: { ...link, connections }, what: 'counter drop' }]);
  assert.match(rules, /elements = \{ 192\.168\.1\.10 \. 58394 \. 192\.168\.1\.10 \. 6443 \}/);
  assert.equal(nftProblem(tableScript('kubreak-f001', rules)), undefined);
});

test('with several masters, kubelets of workers ask by way of their balancer', () => {
  const hosts = hostsWith(1, 3);
  assert.equal(usesBalancer(kubelet, hosts), true);
  assert.equal(usesBalancer(kubelet, hostsWith(1)), false);
  assert.equal(usesBalancer(place('kubelet', 'm-k8s', '192.168.1.10'), hosts), false);
  assert.equal(usesBalancer(place('kube-proxy', 'm-k8s', '192.168.1.10'), hosts), true);
  assert.equal(usesBalancer(scheduler, hosts), false);
});

test('a partition is between hosts or between components', () => {
  const cluster = { hosts: hostsWith(2) };
  assert.deepEqual(sidesOf(cluster, 'w1-k8s,w2-k8s', 'm-k8s'), { are: 'hosts', left: ['w1-k8s', 'w2-k8s'], right: ['m-k8s'] });
  assert.deepEqual(sidesOf(cluster, 'scheduler', 'apiserver'), { are: 'components', left: ['scheduler'], right: ['apiserver'] });
  assert.throws(() => sidesOf(cluster, 'w1-k8s', 'apiserver'), /both sides have to be hosts, or both components/);
  assert.throws(() => sidesOf(cluster, 'w1-k8s,m-k8s', 'm-k8s'), /m-k8s is on both sides/);
});

test('a user namespace with one group has not those of the components', () => {
  assert.equal(groupCount('         0       1000          1\n'), 1);
  assert.equal(groupCount('         0       1000          1\n         1     100000      65536\n'), 65_537);
});
