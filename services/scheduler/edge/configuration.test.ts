import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlags } from '#lib/service/flags.ts';
import { schedulerFlags } from '../flags.ts';
import { ConfigurationError, loadConfiguration, readConfiguration } from './configuration.ts';

const file = { apiVersion: 'kubescheduler.config.k8s.io/v1', kind: 'KubeSchedulerConfiguration', clientConnection: { kubeconfig: '/etc/kubernetes/scheduler.conf' } };

test('without a file the flags and upstream\'s back-offs count', async () => {
  const configuration = await loadConfiguration(parseFlags(schedulerFlags, ['--kubeconfig=/a.conf', '--leader-elect-retry-period=1s']));
  assert.equal(configuration.kubeconfig, '/a.conf');
  assert.deepEqual([configuration.backoffFirstMs, configuration.backoffLongestMs], [1_000, 10_000]);
  assert.deepEqual(configuration.leaderElection, { isOn: true, leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 1_000, name: 'kube-scheduler', namespace: 'kube-system' });
});

test('flags of leader election count before the file, whose kubeconfig counts before the flag', () => {
  const flags = parseFlags(schedulerFlags, ['--kubeconfig=/a.conf', '--leader-elect-renew-deadline=4s']);
  const configuration = readConfiguration({ ...file, podMaxBackoffSeconds: 2, leaderElection: { leaseDuration: '6s', renewDeadline: '5s' }, profiles: [{ schedulerName: 'mine' }] }, flags);
  assert.deepEqual([configuration.kubeconfig, configuration.schedulerName, configuration.backoffLongestMs], ['/etc/kubernetes/scheduler.conf', 'mine', 2_000]);
  assert.deepEqual([configuration.leaderElection.leaseDurationMs, configuration.leaderElection.renewDeadlineMs], [6_000, 4_000]);
});

test('what cannot be followed is refused by name', () => {
  const flags = parseFlags(schedulerFlags, []);
  const refusal = (changes: object, text: RegExp) => assert.throws(() => readConfiguration({ ...file, ...changes }, flags), (error) => error instanceof ConfigurationError && text.test(error.message));
  refusal({ kind: 'Pod' }, /no kind "Pod"/);
  refusal({ profiles: [{}, {}] }, /only one profile/);
  refusal({ profiles: [{ pluginConfig: [] }] }, /profiles\[0\]\.pluginConfig/);
  refusal({ podMaxBackoffSeconds: 0 }, /greater than or equal to PodInitialBackoffSeconds/);
  refusal({ leaderElection: { retryPeriod: 'soon' } }, /leaderElection\.retryPeriod/);
});
