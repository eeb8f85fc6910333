import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job, JobStatus } from '#lib/kinds/types/batch-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { NO_FAILURES, nextRecord, remainingMs } from './backoff.ts';
import { formatIndexes, parseIndexes } from './indexes.ts';
import { finished, planJob, settled, type JobPlan } from './plan.ts';
import { TRACKING_FINALIZER } from './pod-outcome.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const STARTED = '2026-01-01T11:50:00Z';
const jobOf = (spec: Partial<NonNullable<Job['spec']>>, status: JobStatus = { startTime: STARTED }): Job => ({
  metadata: { name: 'pi', namespace: 'default', uid: 'job' }, spec: { template: { spec: { containers: [], restartPolicy: 'Never' } }, ...spec }, status,
});
interface Shape { index?: number; exitCode?: number; deleting?: boolean; released?: boolean; failures?: number; ended?: string; ready?: boolean }
const pod = (name: string, phase: string, { index, exitCode, deleting = false, released = false, failures, ended = '2026-01-01T11:55:00Z', ready = false }: Shape = {}): Pod => ({
  metadata: {
    name, namespace: 'default', uid: name, finalizers: released ? [] : [TRACKING_FINALIZER],
    annotations: { ...(index === undefined ? {} : { 'batch.kubernetes.io/job-completion-index': String(index) }), ...(failures === undefined ? {} : { 'batch.kubernetes.io/job-index-failure-count': String(failures) }) },
    ...(deleting ? { deletionTimestamp: '2026-01-01T11:59:00Z' } : {}),
  },
  spec: { containers: [] },
  status: {
    phase, conditions: ready ? [{ type: 'Ready', status: 'True' }] : [],
    ...(phase === 'Failed' || phase === 'Succeeded' ? { containerStatuses: [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated: { exitCode: exitCode ?? (phase === 'Failed' ? 1 : 0), finishedAt: ended } } }] } : {}),
  },
});
const plan = (job: Job, pods: Pod[] = []) => planJob(job, pods, NO_FAILURES, NOW);
const names = (pods: readonly Readonly<Pod>[]) => pods.map(({ metadata }) => metadata.name);
const indexes = ({ create }: JobPlan) => create.map(({ index }) => index);

test('as many pods as parallelism and completions together allow', () => {
  assert.equal(plan(jobOf({ parallelism: 3, completions: 5 })).create.length, 3);
  assert.equal(plan(jobOf({ parallelism: 3, completions: 5 }), [pod('a', 'Succeeded'), pod('b', 'Succeeded'), pod('c', 'Succeeded')]).create.length, 2);
  assert.equal(plan(jobOf({ parallelism: 3 }), [pod('a', 'Succeeded'), pod('b', 'Running')]).create.length, 0, 'a work queue ends with its first success');
  assert.deepEqual(names(plan(jobOf({ parallelism: 1, completions: 5 }), [pod('a', 'Running', { ready: true }), pod('b', 'Running')]).delete), ['b']);
});

test('the first pass sets the start, ended pods are written down before they are counted', () => {
  const first = plan(jobOf({ completions: 1, parallelism: 1 }, {}));
  assert.deepEqual([first.status.startTime, first.status.active], ['2026-01-01T12:00:00Z', 1]);
  const job = jobOf({ completions: 1, parallelism: 1 }, { startTime: STARTED, active: 1 });
  const ended = plan(job, [pod('a', 'Succeeded')]);
  assert.deepEqual(ended.status.uncountedTerminatedPods, { succeeded: ['a'] });
  assert.equal(ended.status.succeeded, undefined);
  assert.deepEqual(names(ended.release), ['a']);
  const counted = finished(settled(ended.status, [pod('a', 'Succeeded')], false, ended.release), NOW);
  assert.deepEqual([counted.succeeded, counted.completionTime, counted.conditions?.map(({ type, reason }) => [type, reason])], [1, '2026-01-01T12:00:00Z', [['SuccessCriteriaMet', 'CompletionsReached'], ['Complete', 'CompletionsReached']]]);
});

test('a crash between writing down and releasing counts a pod once', () => {
  const job = jobOf({ completions: 2, parallelism: 1 }, { startTime: STARTED, uncountedTerminatedPods: { succeeded: ['a'] } });
  const again = plan(job, [pod('a', 'Succeeded')]);
  assert.deepEqual(again.status.uncountedTerminatedPods, { succeeded: ['a'] });
  const after = plan(job, [pod('a', 'Succeeded', { released: true })]);
  assert.deepEqual([after.status.succeeded, after.status.uncountedTerminatedPods], [1, {}]);
});

test('failed pods are replaced after a wait that doubles', () => {
  assert.deepEqual([0, 1, 2, 3, 10].map((count) => remainingMs(count, NOW, NOW)), [0, 10_000, 20_000, 40_000, 600_000]);
  const job = jobOf({ completions: 1, parallelism: 1 });
  const fresh = plan(job, [pod('a', 'Failed', { ended: '2026-01-01T11:59:55Z' })]);
  assert.deepEqual([fresh.create.length, fresh.waitMs], [0, 5_000]);
  assert.equal(plan(job, [pod('a', 'Failed')]).create.length, 1);
  const record = nextRecord({ failuresAfterLastSuccess: 4, lastFailureMs: 1 }, [pod('s', 'Succeeded', { ended: '2026-01-01T11:56:00Z' })], [pod('f', 'Failed', { ended: '2026-01-01T11:57:00Z' }), pod('e', 'Failed')]);
  assert.equal(record.failuresAfterLastSuccess, 1);
});

test('past the back-off limit the Job fails, but only when its last pod has ended', () => {
  const job = jobOf({ completions: 1, parallelism: 2, backoffLimit: 1 }, { startTime: STARTED, failed: 1 });
  const { verdict, status, delete: gone } = plan(job, [pod('a', 'Failed'), pod('b', 'Running')]);
  assert.deepEqual(verdict, { type: 'FailureTarget', reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' });
  assert.deepEqual([names(gone), status.terminating], [['b'], 1]);
  assert.equal(finished({ ...status, uncountedTerminatedPods: {} }, NOW).conditions?.some(({ type }) => type === 'Failed'), false);
  const over = finished({ ...status, uncountedTerminatedPods: {}, terminating: 0 }, NOW);
  assert.deepEqual(over.conditions?.map(({ type, reason }) => [type, reason]), [['FailureTarget', 'BackoffLimitExceeded'], ['Failed', 'BackoffLimitExceeded']]);
});

test('with restartPolicy OnFailure restarts count', () => {
  const job = jobOf({ completions: 1, parallelism: 1, backoffLimit: 2, template: { spec: { containers: [], restartPolicy: 'OnFailure' } } });
  const restarting = pod('a', 'Running');
  restarting.status = { ...restarting.status, containerStatuses: [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 2 }] };
  assert.equal(plan(job, [restarting]).verdict?.reason, 'BackoffLimitExceeded');
});

test('a deadline ends it', () => {
  assert.equal(plan(jobOf({ completions: 1, activeDeadlineSeconds: 600 })).verdict?.reason, 'DeadlineExceeded');
  assert.equal(plan(jobOf({ completions: 1, activeDeadlineSeconds: 660 })).waitMs, 60_000);
});

test('suspending deletes the pods and stops the clock, resuming starts it anew', () => {
  const suspended = plan(jobOf({ completions: 1, parallelism: 1, suspend: true }), [pod('a', 'Running')]);
  assert.deepEqual([names(suspended.delete), suspended.suspension, suspended.status.startTime], [['a'], 'Suspended', undefined]);
  assert.deepEqual(suspended.status.conditions?.map(({ type, reason, message }) => [type, reason, message]), [['Suspended', 'JobSuspended', 'Job suspended']]);
  const resumed = plan(jobOf({ completions: 1, parallelism: 1, suspend: false }, suspended.status));
  assert.deepEqual([resumed.suspension, resumed.status.startTime, resumed.create.length, resumed.status.conditions?.[0]?.status], ['Resumed', '2026-01-01T12:00:00Z', 1, 'False']);
});

test('an indexed Job takes the lowest free indexes and lists those that are done', () => {
  const job = jobOf({ completionMode: 'Indexed', completions: 6, parallelism: 3 }, { startTime: STARTED, completedIndexes: '0' });
  const { status, ...rest } = plan(job, [pod('a', 'Running', { index: 2 }), pod('b', 'Succeeded', { index: 1 })]);
  assert.deepEqual(indexes({ status, ...rest }), [3, 4]);
  assert.deepEqual([status.completedIndexes, status.succeeded], ['0,1', 2]);
  assert.equal(formatIndexes(new Set([0, 2, 3, 4, 7, 8])), '0,2-4,7,8');
  assert.deepEqual([...parseIndexes('0,2-4,9', 5)], [0, 2, 3, 4]);
});

test('of two pods of one index one goes', () => {
  const job = jobOf({ completionMode: 'Indexed', completions: 2, parallelism: 2 });
  assert.deepEqual(names(plan(job, [pod('a', 'Running', { index: 0, ready: true }), pod('b', 'Running', { index: 0 })]).delete), ['b']);
});

test('a limit per index fails that index and lets the others go on', () => {
  const job = jobOf({ completionMode: 'Indexed', completions: 2, parallelism: 2, backoffLimitPerIndex: 1 });
  const first = plan(job, [pod('a', 'Failed', { index: 0, failures: 0 }), pod('b', 'Running', { index: 1, failures: 0 })]);
  assert.deepEqual(first.create, [{ index: 0, annotations: { 'batch.kubernetes.io/job-index-failure-count': '1' } }]);
  assert.deepEqual(names(first.release), [], 'the count must not be lost before the next pod carries it');
  const second = plan(job, [pod('a', 'Failed', { index: 0, failures: 1 }), pod('b', 'Running', { index: 1, failures: 0 })]);
  assert.deepEqual([second.create, second.status.failedIndexes, names(second.release)], [[], '0', ['a']]);
  const last = plan(job, [pod('a', 'Failed', { index: 0, failures: 1 }), pod('b', 'Succeeded', { index: 1, failures: 0 })]);
  assert.equal(last.verdict?.reason, 'FailedIndexes');
  const strict = jobOf({ completionMode: 'Indexed', completions: 5, parallelism: 2, backoffLimitPerIndex: 0, maxFailedIndexes: 0 });
  assert.equal(plan(strict, [pod('a', 'Failed', { index: 0, failures: 0 })]).verdict?.reason, 'MaxFailedIndexesExceeded');
});

test('a pod failure policy ends the Job, or forgives', () => {
  const rules = [
    { action: 'FailJob', onExitCodes: { containerName: 'c', operator: 'In', values: [42] } },
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
  ];
  const job = jobOf({ completions: 1, parallelism: 1, backoffLimit: 0, podFailurePolicy: { rules } });
  assert.deepEqual(plan(job, [pod('a', 'Failed', { exitCode: 42 })]).verdict, { type: 'FailureTarget', reason: 'PodFailurePolicy', message: 'Container c for pod default/a failed with exit code 42 matching FailJob rule at index 0' });
  const evicted = pod('a', 'Failed', { exitCode: 137 });
  evicted.status?.conditions?.push({ type: 'DisruptionTarget', status: 'True' });
  const forgiven = plan(job, [evicted]);
  assert.deepEqual([forgiven.verdict, names(forgiven.release), forgiven.status.uncountedTerminatedPods], [undefined, ['a'], {}]);
  assert.equal(plan(job, [pod('a', 'Running', { deleting: true })]).create.length, 0, 'it waits for the exit code');
});

test('without such a policy a pod that is being deleted is replaced at once, unless the Job asks otherwise', () => {
  assert.equal(plan(jobOf({ completions: 1, parallelism: 1 }), [pod('a', 'Running', { deleting: true })]).create.length, 1);
  const patient = plan(jobOf({ completions: 1, parallelism: 1, podReplacementPolicy: 'Failed' }), [pod('a', 'Running', { deleting: true })]);
  assert.deepEqual([patient.create.length, patient.waitMs], [0, undefined]);
});

test('a success policy is met by its first rule', () => {
  const job = jobOf({ completionMode: 'Indexed', completions: 4, parallelism: 4, successPolicy: { rules: [{ succeededIndexes: '0-1' }, { succeededCount: 1, succeededIndexes: '2,3' }] } });
  const { verdict, delete: gone } = plan(job, [pod('a', 'Running', { index: 0 }), pod('b', 'Succeeded', { index: 3 })]);
  assert.deepEqual([verdict?.reason, verdict?.message, names(gone)], ['SuccessPolicy', 'Matched rules at index 1', ['a']]);
});
