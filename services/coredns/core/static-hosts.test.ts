import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationFrom } from './configuration.ts';
import { parseHosts, StaticHosts } from './static-hosts.ts';

const hosts = (options: string, file = '', args = ''): StaticHosts => {
  const config = configurationFrom(`.:53 {\n  hosts ${args} {\n    192.168.1.50 registry.lan Registry\n    fd00::5 registry.lan\n${options}\n  }\n}`).servers[0]?.hosts;
  assert.ok(config);
  return new StaticHosts(config, parseHosts(file));
};
const ask = (from: StaticHosts, name: string, type = 'A') => from.lookup({ name, type, class: 'IN' });

test('names of the Corefile and of the file are answered, others only where they may not fall through', () => {
  const both = hosts('    fallthrough', '# comment\n10.0.0.1 a.lan b.lan # and more\nnonsense c.lan\n');
  assert.deepEqual(ask(both, 'Registry.LAN')?.answers, [{ name: 'Registry.LAN', type: 'A', ttl: 3600, data: '192.168.1.50' }]);
  assert.equal(ask(both, 'registry.lan', 'AAAA')?.answers[0]?.data, 'fd00::5');
  assert.deepEqual([ask(both, 'registry', 'MX')?.rcode, ask(both, 'registry', 'MX')?.answers], ['NOERROR', []]);
  assert.equal(ask(both, 'b.lan')?.answers[0]?.data, '10.0.0.1');
  assert.equal(ask(both, 'c.lan'), undefined);
  assert.equal(ask(hosts(''), 'c.lan')?.rcode, 'SERVFAIL');
  assert.equal(ask(hosts('', '', '/etc/hosts lan'), 'example.org'), undefined, 'of no zone of ours');
});

test('addresses lead back to names unless that is switched off', () => {
  assert.deepEqual(ask(hosts('    ttl 60'), '50.1.168.192.in-addr.arpa', 'PTR')?.answers.map(({ data, ttl }) => `${String(data)} ${ttl}`), ['registry.lan 60', 'registry 60']);
  assert.equal(ask(hosts('    no_reverse'), '50.1.168.192.in-addr.arpa', 'PTR'), undefined);
});

test('a property that nobody knows is an error', () => {
  assert.throws(() => hosts('    colour blue'), /unknown property 'colour'/);
});
