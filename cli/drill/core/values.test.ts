import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterTimes, isFast } from './cluster-times.ts';
import { durationMs, inSeconds } from './durations.ts';
import { lackingFor } from './requirements.ts';
import { substitute, variablesIn } from './variables.ts';

test('durations are sums of times, and of times of the cluster', () => {
  const times = new Map([['grace', 50_000]]);
  assert.deepEqual(['1m30s', '500ms', '1.5s', '${grace} + 10s', '${grace} - 12s + 1s'].map((text) => durationMs(text, times)), [90_000, 500, 1500, 60_000, 39_000]);
  assert.throws(() => durationMs('${other}', times), /no time of the cluster is called "other"/);
  assert.throws(() => durationMs('10s - ${grace}', times), /between 0 and 1h/);
  assert.deepEqual([400, 12_340, 192_000].map(inSeconds), ['0.4 s', '12.3 s', '3m12s']);
});

test('variables are filled in everywhere, and a doubled sign keeps them for the shell', () => {
  const values = new Map([['who', 'w1-k8s']]);
  assert.deepEqual(substitute({ a: 'to ${who}', b: ['$${who} $who'], c: 3, d: { e: '${who}' } }, values), { a: 'to w1-k8s', b: ['${who} $who'], c: 3, d: { e: 'w1-k8s' } });
  assert.deepEqual(variablesIn('${a} $${b} ${c}'), ['a', 'c']);
  assert.throws(() => substitute('${x}', values), RangeError);
});

test('times come from flags and the kubelet\'s configuration, else from upstream', () => {
  const upstream = clusterTimes({ commands: new Map(), kubelet: {} });
  assert.deepEqual([upstream.get('node-monitor-grace-period'), upstream.get('unreachable-toleration'), isFast(upstream)], [50_000, 300_000, false]);
  const fast = clusterTimes({
    commands: new Map([['kube-controller-manager', ['kube-controller-manager', '--node-monitor-grace-period=8s']], ['kube-apiserver', ['--default-unreachable-toleration-seconds=10']]]),
    kubelet: { nodeLeaseDurationSeconds: 8, crashLoopBackOff: { maxContainerRestartPeriod: '1m10s' } },
  });
  assert.deepEqual(['node-monitor-grace-period', 'unreachable-toleration', 'node-lease-duration', 'max-container-restart-period'].map((name) => fast.get(name)), [8_000, 10_000, 8_000, 70_000]);
  assert.ok(isFast(fast));
});

test('what a cluster lacks for a drill is told', () => {
  const facts = { mode: 'local', masters: 1, workers: 3, isRoot: false, isFast: false, missingPrograms: [] } as const;
  assert.equal(lackingFor({ masters: 1, 'max-masters': 1, workers: 3, mode: 'local', 'fast-failure-detection': false }, facts), undefined);
  assert.equal(lackingFor({ masters: 3, workers: 4 }, facts), '3 masters (there is one: kubreak up --masters 3); 4 workers (there are 3)');
  assert.equal(lackingFor({ mode: 'compose', root: true, 'fast-failure-detection': true }, { ...facts, missingPrograms: ['etcdctl'] }),
    'a cluster in containers (docker compose up, kubreak --compose); a cluster of root; fast failure detection (kubreak up --fast-failure-detection); etcdctl on this machine');
  assert.equal(lackingFor({ 'max-masters': 1 }, { ...facts, masters: 3 }), 'a single master (there are 3)');
});
