// Rules of containers that need a pod around them: devices, resize policies, restarts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rulesOf } from '../testing/rules.ts';
import { podKind } from './pod.ts';

test('devices and resize policies of a container', () => {
  const { created } = rulesOf(podKind);
  const pod = (container: object, spec: object = {}) => ({ spec: { containers: [{ name: 'c', image: 'i', ...container }], volumes: [{ name: 'e' }, { name: 'p', persistentVolumeClaim: { claimName: 'c' } }], ...spec } });
  const at = 'spec.containers[0]';
  assert.deepEqual(created(pod({ volumeDevices: [{ name: 'p', devicePath: '/dev/x' }] })), []);
  assert.deepEqual(created(pod({ volumeDevices: [{ name: 'e', devicePath: '/dev/x' }] })), [`${at}.volumeDevices[0].name: Invalid value: "e": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode`]);
  assert.deepEqual(created(pod({ volumeDevices: [{ name: 'p', devicePath: '/dev/x' }], volumeMounts: [{ name: 'p', mountPath: '/x' }] })), [`${at}.volumeDevices[0].name: Invalid value: "p": must not already exist in volumeMounts`]);
  const resize = (resourceName: string, restartPolicy: string) => ({ resizePolicy: [{ resourceName, restartPolicy }] });
  assert.deepEqual(created(pod(resize('memory', 'RestartContainer'))), []);
  assert.deepEqual(created(pod(resize('disk', 'x'))), [`${at}.resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"`, `${at}.resizePolicy: Unsupported value: "x": supported values: "NotRequired", "RestartContainer"`]);
  assert.deepEqual(created(pod(resize('cpu', 'RestartContainer'), { restartPolicy: 'Never' })), [`${at}.resizePolicy: Invalid value: "RestartContainer": must be 'NotRequired' when pod \`restartPolicy\` is 'Never'`]);
});

test('a container may be started again by rules of its own', () => {
  const { created } = rulesOf(podKind);
  const pod = (container: object) => ({ spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i', ...container }] } });
  const rule = { action: 'Restart', exitCodes: { operator: 'In', values: [42] } };
  assert.deepEqual(created(pod({ restartPolicy: 'Never', restartPolicyRules: [rule] })), []);
  assert.deepEqual(created(pod({ restartPolicyRules: [rule] })), ['spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used']);
  assert.deepEqual(created(pod({ restartPolicy: 'x', restartPolicyRules: [{ action: 'Stop' }] })), [
    'spec.containers[0].restartPolicy: Unsupported value: "x": supported values: "Always", "Never", "OnFailure"', 'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart"',
    'spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified',
  ]);
});
