import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { controlPlaneManifests } from '../manifests/control-plane.ts';
import { changedManifest } from './static-pod.ts';

const master = { name: 'm-k8s', address: '192.168.1.10' };
const original = controlPlaneManifests(master, { masters: [master] }).get('kube-apiserver.yaml') ?? '';
const change = { flags: { 'audit-log-path': '/var/log/a/audit.log', 'secure-port': '6444' }, mounts: [{ name: 'log', path: '/var/log/a', type: 'DirectoryOrCreate', writable: true }] } as const;

test('flags are set once and mounts added; the rest stays', () => {
  const pod = parse(changedManifest(original, change)) as Pod;
  const [container] = pod.spec?.containers ?? [];
  assert.ok(container?.command?.includes('--audit-log-path=/var/log/a/audit.log'));
  assert.deepEqual(container?.command?.filter((word) => word.startsWith('--secure-port')), ['--secure-port=6444']);
  assert.deepEqual(container?.volumeMounts?.at(-1), { name: 'log', mountPath: '/var/log/a' });
  assert.deepEqual(pod.spec?.volumes?.at(-1), { name: 'log', hostPath: { path: '/var/log/a', type: 'DirectoryOrCreate' } });
  assert.equal(container?.command?.[0], 'kube-apiserver');
});

test('a change that is made already changes nothing, so nothing is started anew', () => {
  const changed = changedManifest(original, change);
  assert.equal(changedManifest(changed, change), changed);
});

test('it can be taken back', () => {
  const back = changedManifest(changedManifest(original, change), { flags: { 'audit-log-path': undefined, 'secure-port': '6443' }, unmount: ['log'] });
  const sorted = (text: string): unknown => ((pod: Pod) => [[...(pod.spec?.containers[0]?.command ?? [])].sort(), pod.spec?.volumes, pod.spec?.containers[0]?.volumeMounts])(parse(text) as Pod);
  assert.deepEqual(sorted(back), sorted(original));
});
