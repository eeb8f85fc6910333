// Jobs and CronJobs: defaults, checks, columns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rulesOf } from '../testing/rules.ts';
import type { CronJob, Job } from '../types/batch-v1.ts';
import { cronJobKind } from './cron-job.ts';
import { intervals } from './job-labels.ts';
import { jobKind } from './job.ts';

const jobs = rulesOf(jobKind);
const cronJobs = rulesOf(cronJobKind);
const template = { spec: { containers: [{ name: 'c', image: 'busybox' }], restartPolicy: 'Never' } };
const job = (spec: object) => ({ spec: { template, ...spec } });
const cronJob = (spec: object) => ({ spec: { schedule: '* * * * *', jobTemplate: { spec: { template } }, ...spec } });

test('a job finds its pods by labels that the server makes', () => {
  const { spec } = jobs.stored(job({})) as Job;
  assert.deepEqual(spec.selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u' } });
  assert.deepEqual(spec.template.metadata?.labels, { 'batch.kubernetes.io/controller-uid': 'u', 'batch.kubernetes.io/job-name': 'web', 'controller-uid': 'u', 'job-name': 'web' });
  assert.deepEqual([spec.parallelism, spec.completions, spec.backoffLimit, spec.completionMode, spec.suspend, spec.manualSelector, spec.podReplacementPolicy], [1, 1, 6, 'NonIndexed', false, false, 'TerminatingOrFailed']);
});
test('a job that says how many pods run at once has no number of completions', () => assert.equal((jobs.stored(job({ parallelism: 3 })) as Job).spec.completions, undefined));
test('with a back-off limit for each index there is none for the whole', () => {
  assert.equal((jobs.stored(job({ completions: 2, completionMode: 'Indexed', backoffLimitPerIndex: 1 })) as Job).spec.backoffLimit, 2_147_483_647);
});

const failRule = { action: 'FailJob', onExitCodes: { operator: 'In', values: [1] } };
for (const [name, body, expected] of [
  ['a job without errors', job({}), []],
  ['a pod that would run for ever', { spec: { template: { spec: { containers: [{ name: 'c', image: 'i' }] } } } }, ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']],
  ['an unknown restart policy', { spec: { template: { spec: { containers: [{ name: 'c', image: 'i' }], restartPolicy: 'Sometimes' } } } }, [
    'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"', 'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never"',
  ]],
  ['negative numbers', job({ parallelism: -1, backoffLimit: -2 }), ['spec.parallelism: Invalid value: -1: must be greater than or equal to 0', 'spec.backoffLimit: Invalid value: -2: must be greater than or equal to 0']],
  ['indexes without a number of them', job({ completionMode: 'Indexed', parallelism: 1 }), ['spec.completions: Required value: when completion mode is Indexed']],
  ['an unknown completion mode', job({ completionMode: 'x' }), ['spec.completionMode: Unsupported value: "x": supported values: "NonIndexed", "Indexed"']],
  ['a selector of the user', job({ selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, ...template } }), [
    'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u"}}: `selector` not auto-generated',
  ]],
  ['a failure policy with pods that restart', job({ template: { spec: { ...template.spec, restartPolicy: 'OnFailure' } }, podFailurePolicy: { rules: [failRule] } }), [
    'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
  ]],
  ['a rule that cannot be', job({ podFailurePolicy: { rules: [{ action: 'x', onExitCodes: { operator: 'In', values: [2, 0, 2], containerName: 'z' } }] } }), [
    'spec.podFailurePolicy.rules[0].action: Unsupported value: "x": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
    'spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "z": must be one of the container or initContainer names in the pod template',
    'spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator',
    'spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 2',
    'spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,0,2]: must be ordered',
  ]],
  ['a success policy without indexes', job({ successPolicy: { rules: [{ succeededCount: 1 }] } }), ['spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode']],
  ['a success policy beyond the completions', job({ completionMode: 'Indexed', completions: 3, successPolicy: { rules: [{ succeededCount: 4, succeededIndexes: '0-5' }] } }), [
    'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0-5": error parsing succeededIndexes: too large index: "5"',
    'spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of specified completions)',
  ]],
  ['a name too long for pods by index', { metadata: { name: 'a'.repeat(62) }, ...job({ completionMode: 'Indexed', completions: 1 }) }, [
    `metadata.name: Invalid value: "${'a'.repeat(62)}": will not able to create pod with invalid DNS label: ${'a'.repeat(62)}-0`,
  ]],
] as const) {
  test(name, () => assert.deepEqual(jobs.created(body), expected));
}

test('what of a job may not change', () => {
  const previous = jobs.stored(job({ parallelism: 1, completions: 2 })) as Job;
  const next = structuredClone(previous);
  next.spec.completions = 3;
  next.spec.parallelism = 5;
  assert.deepEqual(jobs.updated(next, previous), ['spec.completions: Invalid value: 3: field is immutable']);
  const indexed = jobs.stored(job({ completionMode: 'Indexed', parallelism: 2, completions: 2 })) as Job;
  const scaled = structuredClone(indexed);
  scaled.spec.completions = 3;
  assert.deepEqual(jobs.updated(scaled, indexed), ['spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism']);
  scaled.spec.parallelism = 3;
  assert.deepEqual(jobs.updated(scaled, indexed), []);
});
test('where the pods of a suspended job go may change before its first start', () => {
  const previous = jobs.stored(job({ suspend: true })) as Job;
  const next = structuredClone(previous);
  next.spec.suspend = false;
  next.spec.template.spec = { ...next.spec.template.spec, containers: next.spec.template.spec?.containers ?? [], nodeSelector: { a: 'b' } };
  assert.deepEqual(jobs.updated(next, previous), []);
  const running = structuredClone(previous);
  running.spec.suspend = false;
  assert.match(jobs.updated(next, running).join(), /^spec\.template: Invalid value: .*: field is immutable$/);
});

for (const [name, body, expected] of [
  ['a CronJob without errors', cronJob({ timeZone: 'Asia/Seoul' }), []],
  ['a schedule that is none', cronJob({ schedule: 'x' }), ['spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]']],
  ['no schedule', cronJob({ schedule: '' }), ['spec.schedule: Required value']],
  ['an unknown concurrency policy', cronJob({ concurrencyPolicy: 'x' }), ['spec.concurrencyPolicy: Unsupported value: "x": supported values: "Allow", "Forbid", "Replace"']],
  ['an unknown time zone', cronJob({ timeZone: 'Mars/Base' }), ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base']],
  ['a local time zone', cronJob({ timeZone: 'Local' }), ['spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones']],
  ['a time zone in the schedule', cronJob({ schedule: 'TZ=UTC 0 0 * * *' }), ['spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead']],
  ['a name that leaves no room for the time', { metadata: { name: 'a'.repeat(53) }, ...cronJob({}) }, [`metadata.name: Invalid value: "${'a'.repeat(53)}": must be no more than 52 characters`]],
  ['a job template with a selector', cronJob({ jobTemplate: { spec: { template, selector: {} } } }), ['spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated']],
] as const) {
  test(name, () => assert.deepEqual(cronJobs.created(body), expected));
}

test('sets of indexes', () => {
  assert.deepEqual([intervals('0,2-4', 5), intervals('', 5)], [4, 0]);
  assert.deepEqual([intervals('1-2-3', 5), intervals('a', 5), intervals('3,1', 5)], [
    'the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by \'-\'',
    'cannot convert string to integer for index: "a"', 'non-increasing order, previous: 3, current: 1',
  ]);
});

test('the columns of a job and a CronJob', () => {
  const nowMs = Date.parse('2026-01-01T00:10:00Z');
  const done = { ...jobs.stored(job({})), status: { succeeded: 1, startTime: '2026-01-01T00:00:00Z', completionTime: '2026-01-01T00:00:30Z', conditions: [{ type: 'Complete', status: 'True' }] } } as Job;
  done.metadata.creationTimestamp = '2026-01-01T00:00:00Z';
  assert.deepEqual((jobKind.columns ?? []).map(({ value }) => value(done, nowMs)), ['web', 'Complete', '1/1', '30s', '10m', 'c', 'busybox', 'batch.kubernetes.io/controller-uid=u']);
  const cron = { ...cronJobs.stored(cronJob({})), status: { active: [{}], lastScheduleTime: '2026-01-01T00:09:00Z' } } as CronJob;
  cron.metadata.creationTimestamp = '2026-01-01T00:00:00Z';
  assert.deepEqual((cronJobKind.columns ?? []).map(({ value }) => value(cron, nowMs)), ['web', '* * * * *', '<none>', 'False', 1, '60s', '10m', 'c', 'busybox', '<none>']);
});
