import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parsePolicy } from '../../services/apiserver/core/audit/policy.ts';
import { parseRequestInfo } from '../../services/apiserver/core/request-info.ts';
import { UserError } from '../user-error.ts';
import { recordingPolicy, writeOf } from './audit.ts';
import { parseRecording } from './recording.ts';

const HEAD = '{"type":"recording","format":1,"startedAt":"2026-01-01T00:00:00.000Z","kubernetesVersion":"v1.36.2","hosts":[],"secrets":"left out"}';
const END = '{"type":"end","atMs":9000}';

test('a recording is read line by line, and refused with the line that is wrong', () => {
  const write = '{"type":"write","atMs":1,"verb":"create","uri":"/api/v1/namespaces","user":"a","code":201}';
  const { steps, endMs } = parseRecording([HEAD, write, '{"type":"fault","atMs":2,"id":"f001","kind":"pause","args":["etcd"],"options":{}}', '{"type":"heal","atMs":3,"id":"f001"}', '{"type":"lever","atMs":4,"name":"reboot","target":"w1-k8s"}', END, ''].join('\n'), 'x');
  assert.deepEqual([steps.map(({ type }) => type), endMs], [['write', 'fault', 'heal', 'lever'], 9000]);
  const refused = (lines: string[], reason: RegExp): void => assert.throws(() => parseRecording(lines.join('\n'), 'x'), (error: unknown) => error instanceof UserError && reason.test(error.message));
  refused([END], /first line/);
  refused([HEAD, write], /not whole/);
  refused([HEAD.replace('"format":1', '"format":2'), END], /format 2/);
  refused([HEAD, '{', END], /^x:2: not a JSON object/);
  refused([HEAD, write, write.replace('"/api', '"api'), END], /^x:3: uri must be a path/);
  refused([HEAD, '{"type":"lever","atMs":4,"name":"kill","target":"w1-k8s"}', END], /^x:2: name must be one of/);
});

const event = (changes: object): string => JSON.stringify({
  kind: 'Event', verb: 'create', requestURI: '/api/v1/namespaces/default/pods', user: { username: 'kubernetes-admin' }, userAgent: 'kubectl/v1.32', objectRef: { resource: 'pods' },
  responseStatus: { code: 201 }, requestObject: { metadata: { generateName: 'a-' } }, responseObject: { kind: 'Pod', metadata: { name: 'a-x', uid: 'u' } }, requestReceivedTimestamp: '2026-01-01T00:00:02.500000Z', ...changes,
});

test('an event of the audit log becomes a write when the server took it', () => {
  const startedMs = Date.parse('2026-01-01T00:00:00Z');
  assert.deepEqual(writeOf(event({}), startedMs), {
    type: 'write', atMs: 2500, verb: 'create', uri: '/api/v1/namespaces/default/pods', user: 'kubernetes-admin', userAgent: 'kubectl/v1.32', body: { metadata: { generateName: 'a-' } }, code: 201, name: 'a-x', uid: 'u',
  });
  const left = (changes: object) => writeOf(event(changes), startedMs);
  assert.equal(left({ responseStatus: { code: 409 } }), undefined);
  assert.equal(left({ requestURI: '/api/v1/namespaces/default/pods?dryRun=All' }), undefined);
  assert.equal(left({ userAgent: 'kubreak/v1.36.2 (linux/amd64) kubernetes/kubreak' }), undefined, "kubreak's own");
  assert.equal(writeOf('{"kind":"Ev', startedMs), undefined, 'cut off by a kill');
  assert.equal(left({ impersonatedUser: { username: 'jane' } })?.user, 'jane');
});

test('what is recorded: writes of people and programs, not of the cluster itself', () => {
  const policy = parsePolicy(parse(recordingPolicy(false)));
  const level = (user: string, method: string, path: string, groups: string[] = []) => policy.decide({ name: user, groups }, parseRequestInfo(method, path, new URLSearchParams())).level;
  const pods = '/api/v1/namespaces/default/pods';
  assert.equal(level('kubernetes-admin', 'POST', pods), 'RequestResponse');
  assert.equal(level('system:serviceaccount:default:operator', 'PATCH', `${pods}/a`, ['system:serviceaccounts:default']), 'RequestResponse');
  assert.equal(level('kubernetes-admin', 'DELETE', `${pods}/a`), 'Request');
  assert.equal(level('kubernetes-admin', 'GET', pods), 'None');
  assert.equal(level('system:kube-scheduler', 'POST', `${pods}/a/binding`), 'None');
  assert.equal(level('system:serviceaccount:kube-system:deployment-controller', 'POST', pods, ['system:serviceaccounts:kube-system']), 'None');
  assert.equal(level('system:node:w1-k8s', 'PATCH', `${pods}/a/status`, ['system:nodes']), 'None');
  assert.equal(level('kubernetes-admin', 'POST', `${pods}/a/exec`), 'None');
  assert.equal(level('operator', 'PUT', '/apis/coordination.k8s.io/v1/namespaces/default/leases/a'), 'None');
  assert.equal(level('kubernetes-admin', 'POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'), 'None');
  assert.equal(level('kubernetes-admin', 'POST', '/api/v1/namespaces/default/secrets'), 'Metadata');
  assert.equal(parsePolicy(parse(recordingPolicy(true))).decide({ name: 'a', groups: [] }, parseRequestInfo('POST', '/api/v1/namespaces/default/secrets', new URLSearchParams())).level, 'RequestResponse');
});
