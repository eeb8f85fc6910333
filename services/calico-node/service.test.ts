// The whole agent on two hosts of a small network.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { eventually } from '#lib/testing/eventually.ts';
import { inOwnNetwork, NetworkLab } from '#lib/testing/network-lab.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { programOf } from '#lib/testing/program.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';

const AFFINITIES = '/apis/crd.projectcalico.org/v1/blockaffinities';
const W1_BLOCK = '172.16.221.128/26';
const W2_BLOCK = '172.16.103.128/26';

inOwnNetwork(import.meta.url, () => {
  const lab = new NetworkLab();
  const api = new ObjectServer();
  const folder = scratchFolder('calico-node');
  const agents = new Map<string, ReturnType<NetworkLab['start']>>();

  const startAgent = (node: string): void => {
    agents.set(node, lab.start(node, [...programOf(new URL('main.ts', import.meta.url)), `--kubeconfig=${folder}/kubeconfig`], {
      NODENAME: node, CALICO_IPV4POOL_CIDR: '172.16.0.0/16', CNI_NET_DIR: `${folder}/${node}`, CNI_BIN_DIR: `${folder}/${node}-programs`,
    }));
  };
  const putNode = (name: string, address: string): void => api.put(`/api/v1/nodes/${name}`, { kind: 'Node', status: { addresses: [{ type: 'InternalIP', address }, { type: 'Hostname', address: name }] } });
  const routes = (host: string): string => lab.run(host, ['ip', 'route', 'show', 'proto', 'bird']).stdout;
  const cniFile = (node: string): string => `${folder}/${node}/10-calico.conflist`;
  const blocksOf = (node: string): string[] => (JSON.parse(readFileSync(cniFile(node), 'utf8')) as { plugins: { ipam: { blocks: string[] } }[] }).plugins[0]?.ipam.blocks ?? [];

  before(async () => {
    const server = await api.start(lab.gateway);
    writeFileSync(`${folder}/kubeconfig`, `apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: "${server}"}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n`);
    lab.addHost('w1-k8s', '192.168.1.101');
    lab.addHost('w2-k8s', '192.168.1.102');
    putNode('w1-k8s', '192.168.1.101');
    putNode('w2-k8s', '192.168.1.102');
    startAgent('w1-k8s');
    startAgent('w2-k8s');
  });
  after(async () => {
    for (const [, agent] of agents) if (process.env['SHOW_LOGS']) console.log(agent.output());
    await lab.stop();
    await api.stop();
  });

  test('each node claims the block of its name, tells the runtime and routes to the other', async () => {
    await eventually(() => routes('w1-k8s').includes(`${W2_BLOCK} via 192.168.1.102 dev eth0`) && routes('w2-k8s').includes(`${W1_BLOCK} via 192.168.1.101 dev eth0`), { what: 'routes between the hosts' });
    await eventually(() => routes('w1-k8s').includes(`blackhole ${W1_BLOCK}`), { what: 'the blackhole for the block itself' });
    // Each agent writes its file in its own time: the routes above may be there before.
    await eventually(() => ['w1-k8s', 'w2-k8s'].every((node) => existsSync(cniFile(node))), { what: 'the CNI configuration of both nodes' });
    assert.deepEqual(blocksOf('w1-k8s'), [W1_BLOCK]);
    assert.deepEqual(blocksOf('w2-k8s'), [W2_BLOCK]);
    const written = () => agents.get('w1-k8s')?.output().match(/wrote the CNI configuration/g)?.length;
    await eventually(() => written() !== undefined, { what: 'the log line' });
    assert.equal(written(), 1);
    const affinity = api.get(`${AFFINITIES}/w2-k8s-172-16-103-128-26`) as { spec?: unknown } | undefined;
    assert.deepEqual(affinity?.spec, { cidr: W2_BLOCK, deleted: 'false', node: 'w2-k8s', state: 'confirmed', type: 'host' });
  });

  test('the node says its address and that pods have a network', async () => {
    const node = await eventually(() => {
      const known = api.get('/api/v1/nodes/w1-k8s') as { metadata: { annotations?: Record<string, string> }; status?: { conditions?: { reason: string }[] } };
      return known.metadata.annotations ? known : undefined;
    });
    assert.equal(node.metadata.annotations?.['projectcalico.org/IPv4Address'], '192.168.1.101/24');
    assert.equal(node.status?.conditions?.[0]?.reason, 'CalicoIsUp');
  });

  test('pods on different hosts reach each other, and others see the node and not the pod', async () => {
    lab.addPod('w1-k8s', 'poda', '172.16.221.130');
    lab.addPod('w2-k8s', 'podb', '172.16.103.130');
    assert.equal(lab.run('poda', ['busybox', 'ping', '-c1', '-W2', '172.16.103.130']).code, 0);
    // This namespace knows no way back to pods: an answer comes only because the node's address was the source.
    assert.equal(lab.run('poda', ['busybox', 'ping', '-c1', '-W2', lab.gateway]).code, 0);
  });

  test('a NetworkPolicy lets through what it names and nothing else; without it everything goes again', async () => {
    const POLICY = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/web';
    const putPod = (name: string, host: string, address: string, labels: object): void =>
      api.put(`/api/v1/namespaces/default/pods/${name}`, { metadata: { labels }, spec: { nodeName: host, containers: [] }, status: { podIP: address, phase: 'Running' } });
    lab.addPod('w1-k8s', 'podc', '172.16.221.131');
    api.put('/api/v1/namespaces/default', { metadata: { labels: { 'kubernetes.io/metadata.name': 'default' } } });
    putPod('a', 'w1-k8s', '172.16.221.130', { app: 'a' });
    putPod('b', 'w2-k8s', '172.16.103.130', { app: 'b' });
    putPod('c', 'w1-k8s', '172.16.221.131', { app: 'c' });
    const reaches = (from: string): boolean => lab.run(from, ['busybox', 'ping', '-c1', '-W1', '172.16.103.130']).code === 0;
    const policies = (): string => lab.run('w2-k8s', ['nft', 'list', 'table', 'ip', 'calico-policy']).stdout;
    assert.ok(reaches('poda') && reaches('podc'));
    api.put(POLICY, { spec: { podSelector: { matchLabels: { app: 'b' } }, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: { matchLabels: { app: 'a' } } }] }] } });
    await eventually(() => policies().includes('drop'), { what: 'the policy in the kernel' });
    assert.ok(reaches('poda'));
    assert.ok(!reaches('podc'));
    assert.ok(lab.run('w2-k8s', ['busybox', 'ping', '-c1', '-W1', '172.16.103.130']).code === 0, 'the host itself, as for probes');
    putPod('c', 'w1-k8s', '172.16.221.131', { app: 'a' });
    await eventually(() => policies().includes('172.16.221.131'), { what: 'the pod with the new label' });
    assert.ok(reaches('podc'));
    api.remove(POLICY);
    await eventually(() => policies() === '', { what: 'the end of the table' });
    putPod('c', 'w1-k8s', '172.16.221.131', { app: 'c' });
    assert.ok(reaches('podc'));
  });

  test('routes come back after the link went down and up, and after the address moved to another interface', async () => {
    lab.run('w1-k8s', ['ip', 'link', 'set', 'eth0', 'down']);
    await eventually(() => !routes('w1-k8s').includes(W2_BLOCK), { what: 'loss of the route' });
    lab.run('w1-k8s', ['ip', 'link', 'set', 'eth0', 'up']);
    await eventually(() => routes('w1-k8s').includes(`${W2_BLOCK} via 192.168.1.102 dev eth0`), { what: 'the route after link up' });
    lab.run('w1-k8s', ['ip', 'addr', 'flush', 'dev', 'eth0']);
    lab.run('w1-k8s', ['ip', 'link', 'set', 'eth0', 'down']);
    lab.run('w1-k8s', ['ip', 'link', 'set', 'eth0', 'name', 'eth1']);
    lab.run('w1-k8s', ['ip', 'addr', 'add', '192.168.1.101/24', 'dev', 'eth1']);
    lab.run('w1-k8s', ['ip', 'link', 'set', 'eth1', 'up']);
    await eventually(() => routes('w1-k8s').includes(`${W2_BLOCK} via 192.168.1.102 dev eth1`), { what: 'the route over eth1' });
    assert.equal(lab.run('poda', ['busybox', 'ping', '-c1', '-W2', '172.16.103.130']).code, 0);
  });

  test('a route that somebody deleted is put back, with the API server away', async () => {
    api.setDown(true);
    lab.run('w2-k8s', ['ip', 'route', 'del', W1_BLOCK]);
    await eventually(() => routes('w2-k8s').includes(`${W1_BLOCK} via 192.168.1.101`), { what: 'the deleted route' });
    api.setDown(false);
  });

  test('forwarding is switched on at the start only', () => {
    assert.equal(lab.run('w2-k8s', ['cat', '/proc/sys/net/ipv4/ip_forward']).stdout.trim(), '1');
    lab.run('w2-k8s', ['sysctl', '-qw', 'net.ipv4.ip_forward=0']);
    lab.run('w2-k8s', ['ip', 'route', 'del', W1_BLOCK]);
    return eventually(() => routes('w2-k8s').includes(W1_BLOCK)).then(() => {
      assert.equal(lab.run('w2-k8s', ['cat', '/proc/sys/net/ipv4/ip_forward']).stdout.trim(), '0');
      lab.run('w2-k8s', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    });
  });

  test('an agent that was killed takes its block up again, and leaves the kernel alone meanwhile', async () => {
    const agent = agents.get('w1-k8s');
    assert.ok(agent);
    await lab.end(agent.child, 'SIGKILL');
    assert.match(routes('w1-k8s'), /172\.16\.103\.128\/26/);
    startAgent('w1-k8s');
    await eventually(async () => (await lab.runAsync('w1-k8s', ['curl', '-sf', '-o', '/dev/null', 'http://127.0.0.1:9099/readiness'])).code === 0, { what: 'readiness' });
    assert.equal(api.paths().filter((path) => path.startsWith(`${AFFINITIES}/w1-k8s`)).length, 1);
    assert.deepEqual(blocksOf('w1-k8s'), [W1_BLOCK]);
  });

  test('a node whose addresses run out claims another block', async () => {
    const batch = Array.from({ length: 60 }, (_, index) => `route add 172.16.103.${131 + index}/32 dev calipodb scope link`).join('\n');
    lab.run('w2-k8s', ['ip', '-batch', '-'], { input: `${batch}\n` });
    const blocks = await eventually(() => (blocksOf('w2-k8s').length === 2 ? blocksOf('w2-k8s') : undefined), { what: 'a second block' });
    assert.deepEqual(blocks, [W2_BLOCK, '172.16.103.192/26']);
    await eventually(() => routes('w1-k8s').includes('172.16.103.192/26 via 192.168.1.102'));
  });

  test('routes to a node that was deleted go away', async () => {
    api.remove('/api/v1/nodes/w2-k8s');
    await eventually(() => !routes('w1-k8s').includes('192.168.1.102'), { what: 'removal of the routes' });
  });
});
