import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { hostsWith, MASTER, mastersOf } from '../cluster-layout.ts';
import { controlPlaneManifests } from './control-plane.ts';
import { FAST_TIMINGS } from './fast-failure-detection.ts';
import { kubeletConfiguration } from './kubelet-config.ts';

const masters = mastersOf(hostsWith(3));

test('upstream\'s timings are the default: no flag, field or probe says otherwise', () => {
  const text = [...controlPlaneManifests(MASTER, { masters }).values()].join('\n') + kubeletConfiguration({ isControlPlane: true, cgroupRoot: '/' });
  for (const { setting } of FAST_TIMINGS) if (/^--|^node|^eviction/.test(setting)) assert.ok(!text.includes(setting.replace('featureGates.', '')), setting);
  assert.match(text, /livenessProbe:\n[^]*?failureThreshold: 8\n\s+periodSeconds: 10\n/);
});

test('with fast failure detection the manager calls a node lost after four renewals that did not come', () => {
  const manifests = controlPlaneManifests(MASTER, { masters, isFast: true });
  const kubelet = parse(kubeletConfiguration({ isControlPlane: false, cgroupRoot: '/', isFast: true })) as { nodeLeaseDurationSeconds: number; nodeStatusReportFrequency: string };
  const graceSeconds = Number(/--node-monitor-grace-period=(\d+)s$/m.exec(manifests.get('kube-controller-manager.yaml') ?? '')?.[1]);
  assert.ok(graceSeconds >= 4 * (kubelet.nodeLeaseDurationSeconds / 4));
  assert.equal(kubelet.nodeStatusReportFrequency, '5m0s');
  assert.match(manifests.get('kube-apiserver.yaml') ?? '', /--default-unreachable-toleration-seconds=10$/m);
});

test('docs/failure-lab.md has the table of the timings as they are', () => {
  const table = ['| of | setting | upstream | fast | decides |', '| --- | --- | --- | --- | --- |', ...FAST_TIMINGS.map(({ of, setting, upstream, fast, decides }) => `| ${of} | \`${setting}\` | ${upstream} | ${fast} | ${decides} |`)].join('\n');
  assert.ok(readFileSync('docs/failure-lab.md', 'utf8').includes(table), `docs/failure-lab.md lacks this:\n${table}`);
});
