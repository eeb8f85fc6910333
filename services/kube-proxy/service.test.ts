// The whole proxy on two hosts with pods behind them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { eventually } from '#lib/testing/eventually.ts';
import { inOwnNetwork, NetworkLab } from '#lib/testing/network-lab.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { programOf } from '#lib/testing/program.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';

/** Answers with its own name and the address that it sees as the client's. */
const SERVER = `
const answer = (name, address) => name + ' ' + address.replace('::ffff:', '');
require('node:http').createServer((q, r) => r.end(answer(process.argv[1], q.socket.remoteAddress))).listen(8080);
const udp = require('node:dgram').createSocket('udp4');
udp.on('message', (m, from) => udp.send(answer(process.argv[1], from.address), from.port, from.address));
udp.bind(5353, () => console.log('ready'));`;
const UDP_CLIENT = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (m) => { console.log(String(m)); process.exit(0); });
socket.bind(Number(process.argv[3]), () => socket.send('?', 53, process.argv[1]));
setTimeout(() => process.exit(3), Number(process.argv[2]));`;
const W1 = '192.168.1.101';
const W2 = '192.168.1.102';

inOwnNetwork(import.meta.url, () => {
  const lab = new NetworkLab();
  const api = new ObjectServer();
  const folder = scratchFolder('kube-proxy');
  const proxies = new Map<string, ReturnType<NetworkLab['start']>>();

  const startProxy = (node: string): void => {
    proxies.set(node, lab.start(node, [...programOf(new URL('main.ts', import.meta.url)), `--config=${folder}/config.conf`, `--hostname-override=${node}`]));
  };
  const putService = (name: string, clusterIP: string, spec: object = {}): void =>
    api.put(`/api/v1/namespaces/default/services/${name}`, { spec: { clusterIP, ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }, { name: 'dns', port: 53, protocol: 'UDP', targetPort: 5353 }], ...spec } });
  const putEndpoints = (name: string, endpoints: readonly { ip: string; node: string; conditions?: object }[]): void =>
    api.put(`/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/${name}-1`, {
      metadata: { labels: { 'kubernetes.io/service-name': name } }, addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }, { name: 'dns', port: 5353, protocol: 'UDP' }],
      endpoints: endpoints.map(({ ip, node, conditions }) => ({ addresses: [ip], nodeName: node, conditions: { ready: true, serving: true, terminating: false, ...conditions } })),
    });
  const curl = async (from: string, target: string): Promise<string> => {
    const { code, stdout } = await lab.runAsync(from, ['curl', '-s', '--max-time', '2', `http://${target}/`]);
    return code === 0 ? stdout : `curl failed: ${code}`;
  };
  const names = async (from: string, target: string, times = 12): Promise<Set<string>> => {
    const { stdout } = await lab.runAsync(from, ['sh', '-c', `for i in $(seq ${times}); do curl -s --max-time 2 http://${target}/; echo; done`]);
    return new Set(stdout.split('\n').map((line) => line.split(' ')[0] ?? '').filter((name) => name !== ''));
  };
  /** A new connection every time: one that is kept would keep its endpoint. */
  const fromOutside = (host: string, timeoutMs = 2_000): Promise<string> => new Promise((resolve, reject) => {
    get({ host, port: 30080, agent: false, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk))).on('end', () => resolve(text));
    }).on('error', reject);
  });
  const ruleset = (host: string): string => lab.run(host, ['nft', 'list', 'table', 'ip', 'kube-proxy']).stdout;
  const POD_A = '172.16.1.2';
  const POD_B = '172.16.2.2';
  const POD_C = '172.16.2.3';
  const bothPods = [{ ip: POD_A, node: 'w1' }, { ip: POD_B, node: 'w2' }];

  before(async () => {
    const server = await api.start(lab.gateway);
    writeFileSync(`${folder}/kubeconfig`, `current-context: c\nclusters: [{name: c, cluster: {server: "${server}"}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n`);
    writeFileSync(`${folder}/config.conf`, `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 172.16.0.0/16\nclientConnection: {kubeconfig: ${folder}/kubeconfig}\nnftables: {minSyncPeriod: 50ms, syncPeriod: 500ms}\n`);
    for (const [host, address, other, otherBlock] of [['w1', W1, W2, '172.16.2.0/26'], ['w2', W2, W1, '172.16.1.0/26']] as const) {
      lab.addHost(host, address);
      lab.run(host, ['ip', 'route', 'add', otherBlock, 'via', other]);
      api.put(`/api/v1/nodes/${host}`, { status: { addresses: [{ type: 'InternalIP', address }] } });
    }
    for (const [host, pod, address] of [['w1', 'poda', POD_A], ['w2', 'podb', POD_B], ['w2', 'podc', POD_C]] as const) lab.addPod(host, pod, address);
    const servers = ['poda', 'podb'].map((pod) => lab.start(pod, [process.execPath, '-e', SERVER, pod]));
    putService('web', '10.96.0.50', { type: 'NodePort', ports: [{ name: 'http', port: 80, nodePort: 30080, protocol: 'TCP' }, { name: 'dns', port: 53, protocol: 'UDP' }] });
    putEndpoints('web', bothPods);
    putService('empty', '10.96.0.51');
    startProxy('w1');
    startProxy('w2');
    await eventually(() => servers.every(({ output }) => output().includes('ready')));
    await eventually(() => ['w1', 'w2'].every((host) => ruleset(host).includes('30080')), { what: 'the first table', deadlineMs: 8_000 });
  });
  after(async () => {
    if (process.env['SHOW_LOGS']) for (const [, proxy] of proxies) console.log(proxy.output());
    await lab.stop();
    await api.stop();
  });

  test('a pod reaches a cluster IP, balanced over endpoints on both hosts, with its own address', async () => {
    assert.deepEqual(await names('podc', '10.96.0.50', 24), new Set(['poda', 'podb']));
    assert.match(await curl('podc', '10.96.0.50'), new RegExp(`${POD_C}$`));
  });

  test('a process of the host reaches a cluster IP', async () => {
    assert.deepEqual(await names('w1', '10.96.0.50', 24), new Set(['poda', 'podb']));
  });

  test('a pod that is its service\'s endpoint reaches itself through it', async () => {
    putEndpoints('web', [{ ip: POD_A, node: 'w1' }]);
    await eventually(async () => (await names('podc', '10.96.0.50')).size === 1);
    assert.match(await curl('poda', '10.96.0.50'), /^poda /);
    putEndpoints('web', bothPods);
    await eventually(async () => (await names('podc', '10.96.0.50')).size === 2);
  });

  test('a node port answers on every host, from another host, from outside, and from a pod', async () => {
    assert.deepEqual(await names('w1', `${W2}:30080`, 24), new Set(['poda', 'podb']));
    assert.match(await curl('w1', `${W1}:30080`), /^pod/);
    assert.match(await curl('podc', `${W1}:30080`), /^pod/);
    assert.match(await fromOutside(W1), /^pod/);
  });

  test('a node port with policy Local keeps the client\'s address and drops where there is no endpoint', async () => {
    putService('web', '10.96.0.50', { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ name: 'http', port: 80, nodePort: 30080, protocol: 'TCP' }] });
    putEndpoints('web', [{ ip: POD_A, node: 'w1' }]);
    await eventually(() => /: drop/.test(ruleset('w2').split('map no-endpoint-nodeports')[1]?.split('}')[0] ?? ''), { what: 'the drop' });
    await eventually(async () => (await fromOutside(W1)) === `poda ${lab.gateway}`);
    await assert.rejects(fromOutside(W2, 300));
    assert.match(await curl('podc', `${W2}:30080`), /^poda/); // pods are served from anywhere
  });

  test('a service without endpoints refuses at once, from pods and from the host', async () => {
    assert.equal(await curl('podc', '10.96.0.51'), 'curl failed: 7');
    assert.equal(await curl('w1', '10.96.0.51'), 'curl failed: 7');
    assert.equal(await curl('w1', '10.96.0.50:81'), 'curl failed: 7'); // a port that the service has not
  });

  test('with session affinity a client stays with its endpoint, also while others come', async () => {
    putService('sticky', '10.96.0.52', { sessionAffinity: 'ClientIP', externalIPs: ['10.9.9.9'] });
    putEndpoints('sticky', bothPods);
    await eventually(async () => /^pod/.test(await curl('podc', '10.96.0.52')));
    assert.equal((await names('podc', '10.96.0.52', 16)).size, 1);
    assert.match(await curl('w1', '10.9.9.9'), /^pod/);
  });

  test('an endpoint that terminates serves only while there is no ready one', async () => {
    putEndpoints('empty', [{ ip: POD_A, node: 'w1', conditions: { ready: false, terminating: true } }]);
    await eventually(async () => (await names('podc', '10.96.0.51', 4)).has('poda'));
    putEndpoints('empty', [{ ip: POD_A, node: 'w1', conditions: { ready: false, terminating: true } }, { ip: POD_B, node: 'w2' }]);
    await eventually(async () => [...(await names('podc', '10.96.0.51', 8))].join() === 'podb');
  });

  test('a UDP client that asked before there were endpoints is answered afterwards, from the same port', async () => {
    putService('udp', '10.96.0.53');
    const ask = (): Promise<string> => lab.runAsync('podc', [process.execPath, '-e', UDP_CLIENT, '10.96.0.53', '300', '40053']).then(({ stdout }) => stdout.trim());
    assert.equal(await ask(), '');
    putEndpoints('udp', [{ ip: POD_A, node: 'w1' }]);
    assert.equal(await eventually(async () => (await ask()) || undefined, { what: 'an answer by UDP' }), `poda ${POD_C}`);
    putEndpoints('udp', [{ ip: POD_B, node: 'w2' }]);
    await eventually(async () => (await ask()) === `podb ${POD_C}`, { what: 'an answer of the new endpoint' });
  });

  test('a table that somebody flushed comes back', async () => {
    lab.run('w1', ['nft', 'flush', 'ruleset']);
    await eventually(async () => /^pod/.test(await curl('w1', '10.96.0.52')), { what: 'the service after a flush' });
  });

  test('services and chains that go disappear from the kernel', async () => {
    api.remove('/api/v1/namespaces/default/services/sticky');
    api.remove('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/sticky-1');
    await eventually(() => !ruleset('w2').includes('sticky'), { what: 'removal of chains and sets' });
    assert.doesNotMatch(proxies.get('w2')?.output() ?? '', /cannot delete|sync failed/);
  });

  test('health and mode are told', async () => {
    const health = JSON.parse((await lab.runAsync('w2', ['curl', '-s', `http://${W2}:10256/healthz`])).stdout) as { nodeEligible: boolean };
    assert.equal(health.nodeEligible, true);
    assert.equal((await lab.runAsync('w2', ['curl', '-s', 'http://127.0.0.1:10249/proxyMode'])).stdout, 'nftables');
    assert.match((await lab.runAsync('w2', ['curl', '-s', 'http://127.0.0.1:10249/metrics'])).stdout, /kubeproxy_sync_proxy_rules_duration_seconds_count/);
  });

  test('services keep working when the proxy ends, and one that starts again finds the table and its leftovers', async () => {
    const proxy = proxies.get('w1');
    assert.ok(proxy);
    assert.equal(await lab.end(proxy.child), 0);
    assert.match(await curl('w1', '10.96.0.51'), /^podb/);
    api.remove('/api/v1/namespaces/default/services/udp');
    startProxy('w1');
    await eventually(() => !ruleset('w1').includes('default/udp'), { what: 'removal of what went meanwhile', deadlineMs: 8_000 });
    assert.match(await curl('w1', '10.96.0.51'), /^podb/);
  });
});
