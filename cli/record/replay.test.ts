// What is recorded from the audit log of one API server, done to another: two real ones in this process, with storage in memory.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import pino from 'pino';
import { parse } from 'yaml';
import { connectToApiserver } from '#lib/api-client/client.ts';
import type { TransportRequest, TransportResponse } from '#lib/api-client/transport.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { parsePolicy } from '../../services/apiserver/core/audit/policy.ts';
import { AuditLog } from '../../services/apiserver/edge/audit/audit-log.ts';
import { Auditor } from '../../services/apiserver/edge/audit/auditor.ts';
import { startTestServer, type TestServer } from '../../services/apiserver/edge/testing/test-server.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { recordingPolicy, writeOf } from './audit.ts';
import type { RecordedWrite, Recording } from './recording.ts';
import { Player } from './replay.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubreak-replay-'));
const path = join(folder, 'audit.log');
let recorded: TestServer;
let other: TestServer;
before(async () => {
  const log = new AuditLog({ path, maxSizeMegabytes: 0, maxBackups: 0, maxAgeDays: 0 }, systemClock, pino({ level: 'silent' }));
  recorded = await startTestServer({ auditor: new Auditor(parsePolicy(parse(recordingPolicy(false))), log, systemClock) });
  other = await startTestServer();
});
after(async () => {
  await Promise.all([recorded.close(), other.close()]);
  rmSync(folder, { recursive: true });
});

/** A client of a server in this process. */
function clientOf(server: TestServer, program: string) {
  const transport = {
    bytesRead: 0,
    drop: () => undefined,
    async send({ method, path: url, headers, body }: TransportRequest): Promise<TransportResponse> {
      const answer = await server.app.inject({ method: method as 'GET', url, headers: { ...headers }, ...(body === undefined ? {} : { payload: body }) });
      return { statusCode: answer.statusCode, headers: { 'content-type': String(answer.headers['content-type']) }, body: Readable.from([answer.rawPayload]) };
    },
    close: async () => undefined,
  };
  return connectToApiserver({ server: 'https://192.0.2.1:6443' }, program, transport);
}

const NS = '/api/v1/namespaces/default';
const agent = { 'user-agent': 'kubectl/v1.32.0 (linux/amd64)' };

async function recording(): Promise<Recording> {
  const steps = readFileSync(path, 'utf8').trim().split('\n').map((line) => writeOf(line, 0)).filter((step) => step !== undefined).map((step): RecordedWrite => ({ ...step, atMs: 0 }));
  return { head: { type: 'recording', format: 1, startedAt: '', kubernetesVersion: '', hosts: [], secrets: 'left out' }, steps, endMs: 0 };
}
async function replayed(skipUsers: readonly string[] = []) {
  const lines: string[] = [];
  const player = new Player(undefined as unknown as ClusterAccess, (userAgent = '') => clientOf(other, userAgent.split('/')[0] ?? ''), { speed: Infinity, skipUsers, onStep: (line) => lines.push(line), signal: new AbortController().signal });
  return { report: await player.play(await recording(), systemClock), lines };
}

test('creations, replacements, patches of each kind and deletions come out the same on another server', async () => {
  await recorded.request('POST', `${NS}/configmaps`, { metadata: { name: 'owner' } }, agent);
  const { metadata } = (await recorded.get(`${NS}/configmaps/owner`)).json;
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: metadata?.['uid'] };
  const { json: made } = await recorded.request('POST', `${NS}/configmaps?fieldManager=kubectl-create`, { metadata: { generateName: 'made-', ownerReferences: [owner] } }, agent);
  const name = String(made['metadata']?.['name']);
  const { json: current } = await recorded.get(`${NS}/configmaps/${name}`);
  await recorded.request('PUT', `${NS}/configmaps/${name}`, { ...current, data: { put: '1' } }, agent);
  const patch = (type: string, body: unknown, query = '') => recorded.request('PATCH', `${NS}/configmaps/${name}${query}`, typeof body === 'string' ? body : JSON.stringify(body), { ...agent, 'content-type': `application/${type}` });
  await patch('merge-patch+json', { data: { merged: '1' } });
  await patch('json-patch+json', [{ op: 'add', path: '/data/json', value: '1' }]);
  const { json: before } = await recorded.get(`${NS}/configmaps/${name}`);
  await patch('json-patch+json', [{ op: 'add', path: '/data/sure', value: '1' }, { op: 'replace', path: '/metadata/resourceVersion', value: before['metadata']?.['resourceVersion'] }]);
  await patch('strategic-merge-patch+json', { metadata: { labels: { strategic: '1' } } });
  await patch('apply-patch+yaml', 'apiVersion: v1\nkind: ConfigMap\ndata: {applied: "1"}\n', '?fieldManager=me');
  await recorded.request('POST', `${NS}/configmaps`, { metadata: { name: 'short-lived' } }, agent);
  const { json: short } = await recorded.get(`${NS}/configmaps/short-lived`);
  await recorded.delete(`${NS}/configmaps/short-lived`, { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid: short['metadata']?.['uid'] } }, agent);
  await recorded.request('POST', `${NS}/configmaps`, { metadata: { name: 'owner' } }, agent); // refused: not part of it
  await recorded.request('POST', `${NS}/secrets`, { metadata: { name: 'hidden' }, stringData: { a: 'x' } }, agent);

  const { report, lines } = await replayed();
  assert.deepEqual(report.differences, []);
  assert.deepEqual([report.writes, report.skipped], [10, 1], lines.join('\n'));
  const { json: here } = await other.get(`${NS}/configmaps/${name}`);
  assert.deepEqual(here['data'] as unknown, { put: '1', merged: '1', json: '1', sure: '1', applied: '1' });
  assert.equal(here['metadata']?.['labels']?.['strategic'], '1');
  const { json: ownerHere } = await other.get(`${NS}/configmaps/owner`);
  assert.equal(here['metadata']?.['ownerReferences']?.[0 as unknown as string]?.['uid'], ownerHere['metadata']?.['uid'], 'identities are those of the new cluster');
  assert.notEqual(ownerHere['metadata']?.['uid'], owner.uid);
  assert.equal((await other.get(`${NS}/configmaps/short-lived`)).code, 404);
  assert.deepEqual((here['metadata']?.['managedFields'] as unknown as { manager: string }[]).map(({ manager }) => manager).sort(), ['kubectl', 'kubectl-create', 'me']);
});

test('what comes out otherwise is told, and what others do by themselves is left out', async () => {
  const again = await replayed();
  assert.match(again.report.differences.join('\n'), /create .*configmaps owner: 409 instead of 201: configmaps "owner" already exists/);
  const { report } = await replayed(['adm*']);
  assert.deepEqual([report.writes, report.differences.length], [0, 0]);
});
