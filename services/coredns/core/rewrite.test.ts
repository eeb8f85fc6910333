import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationFrom } from './configuration.ts';
import { failureReply, type Reply } from './message.ts';
import { rewriteName, type Rewritten } from './rewrite.ts';

const rewrite = (name: string, ...lines: string[]): Rewritten | undefined => rewriteName(name, configurationFrom(`.:53 {\n${lines.join('\n')}\n}`).servers[0]?.rewrite ?? []);
const answer = (name: string, type = 'A', data: unknown = '10.0.0.1'): Reply => ({ ...failureReply('NOERROR'), answers: [{ name, type, ttl: 30, data }] });

test('a name is asked for under another, and answered under its own', () => {
  const found = rewrite('Shop.Example', 'rewrite name shop.example web.default.svc.cluster.local');
  assert.equal(found?.name, 'web.default.svc.cluster.local');
  assert.equal(found?.restore(answer('web.default.svc.cluster.local')).answers[0]?.name, 'Shop.Example');
  assert.equal(rewrite('other.example', 'rewrite name shop.example web.default.svc.cluster.local'), undefined);
});

test('prefixes, suffixes, parts and patterns', () => {
  assert.equal(rewrite('old-web.x', 'rewrite name prefix old- new-')?.name, 'new-web.x');
  assert.equal(rewrite('web.corp.example', 'rewrite name suffix .corp.example .svc.cluster.local')?.name, 'web.svc.cluster.local');
  assert.equal(rewrite('a.us-east.b', 'rewrite name substring us-east eu')?.name, 'a.eu.b');
  assert.equal(rewrite('web-shop.example', 'rewrite name regex (.*)-(.*)\\.example {1}.{2}.svc.cluster.local')?.name, 'web.shop.svc.cluster.local');
});

test('answers keep the new name unless a rule says otherwise', () => {
  const plain = rewrite('web.corp', 'rewrite name suffix .corp .svc');
  assert.equal(plain?.restore(answer('web.svc')).answers[0]?.name, 'web.svc');
  const automatic = rewrite('web.corp', 'rewrite name suffix .corp .svc answer auto');
  assert.equal(automatic?.restore(answer('web.svc')).answers[0]?.name, 'web.corp');
  const named = rewrite('web.corp', 'rewrite stop {', '  name regex (.*)\\.corp {1}.svc', '  answer name (.*)\\.svc {1}.corp', '  answer value (.*)\\.svc {1}.corp', '}');
  assert.deepEqual(named?.restore(answer('web.svc', 'CNAME', 'db.svc')).answers[0], { name: 'web.corp', type: 'CNAME', ttl: 30, data: 'db.corp' });
});

test('the first rule ends it unless it goes on', () => {
  const second = 'rewrite name b.x c.x';
  assert.equal(rewrite('a.x', 'rewrite name a.x b.x', second)?.name, 'b.x');
  const both = rewrite('a.x', 'rewrite continue name a.x b.x', second);
  assert.equal(both?.name, 'c.x');
  assert.equal(both?.restore(answer('c.x')).answers[0]?.name, 'a.x');
});

test('what is not offered, or no pattern, is an error of the Corefile', () => {
  assert.throws(() => rewrite('a', 'rewrite type ANY HINFO'), /only name is/);
  assert.throws(() => rewrite('a', 'rewrite name regex (( x'), /invalid regex pattern/);
  assert.throws(() => rewrite('a', 'rewrite name fuzzy a b'), /a name rule supports only/);
});
