// The CNI programs as a container runtime calls them, in a network of their own that stands for a host.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, test } from 'node:test';
import { eventually } from '#lib/testing/eventually.ts';
import { inOwnNetwork, NetworkLab } from '#lib/testing/network-lab.ts';
import { programOf } from '#lib/testing/program.ts';

const BLOCK = '172.16.103.128/26';
const [PROGRAM = '', ...WORDS] = programOf(new URL('cni.ts', import.meta.url));

interface Answer { readonly code: number; readonly result: { readonly ips?: { readonly address: string }[]; readonly interfaces?: { readonly name: string }[]; readonly code?: number; readonly msg?: string } }

inOwnNetwork(import.meta.url, () => {
  const lab = new NetworkLab();
  const dataDir = mkdtempSync(`${tmpdir()}/cni-`);
  after(async () => {
    await lab.stop();
    rmSync(dataDir, { recursive: true });
  });

  const call = (program: string, command: string, pod: string, { id = `id-${pod}`, netns = `/run/netns/${pod}`, ...more }: { id?: string; netns?: string; [key: string]: unknown } = {}): Promise<Answer> => new Promise((resolve) => {
    const env = { ...process.env, CNI_COMMAND: command, CNI_CONTAINERID: id, CNI_NETNS: netns, CNI_IFNAME: program === 'loopback' ? 'lo' : 'eth0', CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod}` };
    const child = execFile(PROGRAM, [...WORDS, program], { env }, (error, stdout) =>
      resolve({ code: error === null ? 0 : 1, result: stdout === '' ? {} : JSON.parse(stdout) as Answer['result'] }));
    child.stdin?.on('error', () => undefined).end(JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: program, ipam: { type: 'calico-ipam', blocks: [BLOCK], dataDir }, ...more }));
  });
  const host = (program: string, ...words: string[]): string => spawnSync(program, words, { encoding: 'utf8' }).stdout;
  const ip = (...words: string[]): string => host('ip', ...words);
  const namespaceFor = (pod: string): unknown => ip('netns', 'add', pod);
  const addressOf = ({ result }: Answer): string => result.ips?.[0]?.address ?? '';
  const ping = (from: string, to: string): number => lab.run(from, ['busybox', 'ping', '-c1', '-W2', to]).code;

  test('pods get addresses one after the other and reach each other and the host', async () => {
    for (const pod of ['a', 'b']) namespaceFor(pod);
    const first = await call('calico', 'ADD', 'a');
    assert.deepEqual([first.code, addressOf(first)], [0, '172.16.103.129/32'], JSON.stringify(first.result));
    assert.equal(addressOf(await call('calico', 'ADD', 'b')), '172.16.103.130/32');
    assert.equal(ping('a', '172.16.103.130'), 0);
    assert.equal(ping('b', lab.gateway), 0);
    assert.match(ip('route', 'show', '172.16.103.129'), /dev cali[0-9a-f]{11} scope link/);
    for (const pod of ['a', 'b']) assert.deepEqual(await call('calico', 'CHECK', pod), { code: 0, result: {} });
  });

  test('lo is up by a program of its own', async () => {
    namespaceFor('lonely');
    assert.equal((await call('loopback', 'ADD', 'lonely')).code, 0);
    assert.equal((await call('loopback', 'CHECK', 'lonely')).code, 0);
    assert.equal(ping('lonely', '127.0.0.1'), 0);
  });

  test('what was taken away is gone, can be taken away again, and its address is not dealt at once', async () => {
    for (let round = 0; round < 2; round += 1) assert.deepEqual(await call('calico', 'DEL', 'a'), { code: 0, result: {} });
    assert.equal(ip('route', 'show', '172.16.103.129'), '');
    assert.equal((await call('calico', 'CHECK', 'a')).result.msg, 'no address is assigned to container id-a');
    assert.equal(addressOf(await call('calico', 'ADD', 'a', { id: 'again' })), '172.16.103.131/32');
  });

  test('the end of an earlier sandbox leaves the interface to the later one', async () => {
    namespaceFor('later');
    assert.equal(addressOf(await call('calico', 'ADD', 'a', { id: 'later', netns: '/run/netns/later' })), '172.16.103.132/32');
    await call('calico', 'DEL', 'a', { id: 'again', netns: '' });
    assert.equal(ping('later', '172.16.103.130'), 0);
  });

  test('many at once get an address each, and none that another runtime has dealt', async () => {
    ip('link', 'add', 'caliother', 'type', 'veth', 'peer', 'name', 'other');
    ip('link', 'set', 'caliother', 'up');
    ip('route', 'add', '172.16.103.134/32', 'dev', 'caliother', 'scope', 'link');
    const addresses = (await Promise.all(['p', 'q', 'r', 's'].map((pod) => call('calico-ipam', 'ADD', pod)))).map(addressOf);
    assert.deepEqual(addresses.sort(), ['133', '135', '136', '137'].map((last) => `172.16.103.${last}/32`));
  });

  test('a pod that cannot be wired leaves nothing', async () => {
    const before = readdirSync(`${dataDir}/net`).length;
    const { code, result } = await call('calico', 'ADD', 'nowhere');
    assert.equal(code, 1);
    assert.match(result.msg ?? '', /nowhere/);
    assert.equal(readdirSync(`${dataDir}/net`).length, before);
    assert.equal((await call('calico', 'ADD', 'nowhere', { ipam: { type: 'host-local' } })).result.code, 7);
  });

  test('a port of the host leads to the pod until that is gone', async () => {
    namespaceFor('server');
    const added = await call('calico', 'ADD', 'server');
    const server = lab.start('server', ['busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', 'served']);
    const mapping = { prevResult: { ...added.result }, runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }] } };
    for (let round = 0; round < 2; round += 1) assert.equal(addressOf(await call('portmap', 'ADD', 'server', mapping)), addressOf(added));
    assert.equal((await call('portmap', 'CHECK', 'server', mapping)).code, 0);
    const rules = (): string => host('nft', 'list', 'chain', 'ip', 'cni-hostport', 'ports');
    assert.equal(rules().match(/dport 8080 dnat/g)?.length, 1);
    await eventually(() => lab.run('b', ['busybox', 'nc', '-w', '2', lab.gateway, '8080']).stdout.includes('served'), { what: 'an answer by the port of the host' });
    assert.equal((await call('portmap', 'DEL', 'server')).code, 0);
    assert.doesNotMatch(rules(), /8080/);
    assert.notEqual((await call('portmap', 'CHECK', 'server', mapping)).code, 0);
    await lab.end(server.child);
  });
});
