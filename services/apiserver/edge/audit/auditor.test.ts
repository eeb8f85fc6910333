import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pino from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import { AuditLog } from './audit-log.ts';
import { Auditor } from './auditor.ts';
import { parsePolicy, PolicyError } from '../../core/audit/policy.ts';
import { startTestServer, type Json, type TestServer } from '../testing/test-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubreak-audit-'));
const path = join(folder, 'audit.log');
const log = pino({ level: 'silent' });
const options = { path, maxSizeMegabytes: 100, maxBackups: 0, maxAgeDays: 0 };
const policy = parsePolicy({
  apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'],
  rules: [
    { level: 'None', users: ['quiet'] },
    { level: 'Metadata', resources: [{ group: '', resources: ['secrets'] }] },
    { level: 'RequestResponse', verbs: ['create', 'delete'], resources: [{ group: '', resources: ['configmaps'] }] },
    { level: 'Request', verbs: ['patch', 'update'] },
  ],
});
let server: TestServer;
before(async () => {
  server = await startTestServer({ auditor: new Auditor(policy, new AuditLog(options, systemClock, log), systemClock) });
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

let seen = 0;
/** What came since the last call. Written when the connection of the answer is done with, shortly after it. */
async function events(count: number): Promise<Json[]> {
  const deadlineMs = performance.now() + 5_000;
  for (;;) {
    const all = readFileSync(path, 'utf8').trim().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Json);
    if (all.length >= seen + count || performance.now() > deadlineMs) {
      const fresh = all.slice(seen);
      seen = all.length;
      return fresh;
    }
    await systemClock.sleep(10);
  }
}

test('an event says who did what to which object, with which body, and how it ended', async () => {
  await server.request('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'told' }, data: { a: '1' } }, { 'user-agent': 'curl/8' });
  const [event] = await events(1);
  assert.deepEqual([event?.['level'], event?.['stage'], event?.['verb'], event?.['requestURI'], event?.['userAgent'], event?.['user']?.['username']],
    ['RequestResponse', 'ResponseComplete', 'create', '/api/v1/namespaces/default/configmaps', 'curl/8', 'admin']);
  assert.deepEqual(event?.['objectRef'] as unknown, { resource: 'configmaps', namespace: 'default', name: 'told', apiVersion: 'v1' });
  assert.deepEqual([event?.['responseStatus']?.['code'], event?.['requestObject']?.['data']?.['a'], typeof event?.['responseObject']?.['metadata']?.['uid']], [201, '1', 'string']);
});

test('a patch is written as it came, with its type; a refusal with its reason', async () => {
  await server.patch('/api/v1/namespaces/default/configmaps/told', 'merge', { data: { b: '2' } });
  await server.patch('/api/v1/namespaces/default/configmaps/nowhere', 'json', [{ op: 'remove', path: '/data' }]);
  const [done, refused] = await events(2);
  assert.deepEqual([JSON.stringify(done?.['requestObject']), done?.['annotations']?.['emulator/patch-content-type']], ['{"data":{"b":"2"}}', 'application/merge-patch+json']);
  assert.deepEqual([refused?.['responseStatus']?.['code'], refused?.['responseStatus']?.['reason']], [404, 'NotFound']);
});

test('what the policy leaves out is not there', async () => {
  await server.request('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'quiet' } }, { 'x-test-user': 'quiet' });
  await server.get('/api/v1/namespaces/default/configmaps');
  await server.post('/api/v1/namespaces/default/secrets', { metadata: { name: 'hidden' }, stringData: { password: 'not to be written down' } });
  const [event, ...more] = await events(1);
  assert.deepEqual([event?.['level'], event?.['objectRef']?.['name'], event?.['requestObject'], more.length], ['Metadata', 'hidden', undefined, 0]);
  assert.ok(!readFileSync(path, 'utf8').includes('not to be written down'));
});

test('policies are refused with the place', () => {
  const refused = (rules: unknown, reason: RegExp): void => assert.throws(() => parsePolicy({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }), (error: unknown) => error instanceof PolicyError && reason.test(error.message));
  refused([], /0 rules/);
  refused([{ level: 'All' }], /rules\[0\]\.level: Unsupported value: "All"/);
  refused([{ level: 'None', verb: ['get'] }], /unknown field "rules\[0\]\.verb"/);
  refused([{ level: 'None', nonResourceURLs: ['/x'], namespaces: ['a'] }], /both regular resources and non-resource URLs/);
});

test('a log that has grown large is put aside, and the oldest go', () => {
  const small = join(folder, 'small', 'audit.log');
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  const file = new AuditLog({ path: small, maxSizeMegabytes: 1, maxBackups: 2, maxAgeDays: 0 }, { nowMs: () => (nowMs += 1_000), sleep: () => Promise.resolve() }, log);
  for (let count = 0; count < 9; count += 1) file.write(`${String(count).repeat(500_000)}\n`);
  file.close();
  const names = readdirSync(join(folder, 'small')).sort();
  assert.deepEqual([names.length, names.includes('audit.log')], [3, true]);
  assert.ok(readFileSync(small, 'utf8').startsWith('8'));
});
