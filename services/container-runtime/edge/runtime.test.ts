// The runtime over its real socket, on a host of namespaces (testing/playground.ts). Needs root.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { canRun, eventually, Playground } from './testing/playground.ts';

describe('the runtime', { skip: !canRun && 'needs root and nginx', timeout: 120_000 }, () => {
  const host = new Playground();
  before(() => host.boot());
  after(() => host.destroy());

  test('the network is not ready until its configuration is there', async () => {
    const { status } = await host.connection.runtime.status({ verbose: true });
    const network = status?.conditions.find(({ type }) => type === 'NetworkReady');
    assert.equal(network?.status, false);
    assert.equal(network?.reason, 'NetworkPluginNotReady');
    assert.equal(network?.message, 'Network plugin returns error: cni plugin not initialized');
    await assert.rejects(host.runSandbox('early'), /cni plugin not initialized/);
    host.writeNetworkConfig();
    const later = await host.connection.runtime.status({});
    assert.ok(later.status?.conditions.every((condition) => condition.status));
  });

  test('an nginx pod answers at its own address with the version of its tag', async () => {
    const { id, ip } = await host.runSandbox('web');
    assert.equal(ip, '10.250.3.65');
    const container = await host.runContainer(id, 'nginx:1.16.0');
    const answer = await eventually('nginx to answer', () => host.run('curl', '-si', '--max-time', '2', `http://${ip}/`).catch(() => undefined));
    assert.match(answer, /<h1>Welcome to nginx!<\/h1>/);
    assert.match(answer, /^Server: nginx\/1\.16\.0\r$/m);
    await eventually('the access log', () => / stdout F .*"GET \/ HTTP\/1\.1" 200/.test(host.log('web')));
    const { output } = await host.exec(container, 'sh', '-c', 'cat /proc/1/comm; hostname; ls /home /root /srv /mnt; ls /work 2>&1');
    assert.equal(output.split('\n')[0], 'nginx');
    assert.equal(output.split('\n')[1], 'web');
    assert.match(output, /cannot access '\/work'/);
  });
});
