import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHostsToml } from './hosts-toml.ts';

test('mirrors come in their order, the server last', () => {
  const hosts = parseHostsToml(`
server = "https://registry-1.docker.io"   # the real one

[host."https://mirror.local:5000"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/ca.crt"
  [host."https://mirror.local:5000".header]
    x-who = ["me", "you"]

[host."http://10.0.0.1:5001/v2/hub"]
  capabilities = [
    "push",
  ]
  skip_verify = true
  override_path = true
  client = [["/a.crt", "/a.key"]]
`, 'https://unused');
  assert.deepEqual(hosts.map(({ url }) => url), ['https://mirror.local:5000', 'http://10.0.0.1:5001/v2/hub', 'https://registry-1.docker.io']);
  assert.deepEqual(hosts[0], { url: 'https://mirror.local:5000', canPull: true, ca: ['/etc/ca.crt'], skipVerify: false, overridePath: false, client: [], headers: { 'x-who': 'me, you' } });
  assert.deepEqual([hosts[1]?.canPull, hosts[1]?.skipVerify, hosts[1]?.overridePath, hosts[1]?.client], [false, true, true, [{ certificate: '/a.crt', key: '/a.key' }]]);
});

test('without a server it is the default one, and what is not understood is told with its line', () => {
  assert.deepEqual(parseHostsToml('', 'https://registry').map(({ url }) => url), ['https://registry']);
  assert.throws(() => parseHostsToml('\nserver: x', ''), /line 2 is not understood/);
});
