import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldErrorText } from '#lib/machinery/field-error.ts';
import type { DaemonSet, Deployment, DeploymentSpec, ReplicaSet } from '../types/apps-v1.ts';
import { validateCreate, validateStatusUpdate, validateUpdate } from '../validation.ts';
import { daemonSetKind } from './daemon-set.ts';
import { deploymentKind } from './deployment.ts';
import { replicaSetKind } from './replica-set.ts';

const metadata = () => ({ name: 'web', namespace: 'default', resourceVersion: '1' });
const selector = { matchLabels: { app: 'web' } };
const template = () => ({ metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } });

function deployment(spec: Partial<DeploymentSpec> = {}): Deployment {
  const result: Deployment = { metadata: metadata(), spec: { selector, template: template(), ...spec } };
  deploymentKind.applyDefaults?.(result);
  return result;
}

test('a deployment gets replicas, a rolling update and limits to its patience', () => {
  const { spec } = deployment();
  const { template: pods, ...rest } = spec;
  assert.deepEqual(rest, {
    selector, replicas: 1, strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } }, revisionHistoryLimit: 10, progressDeadlineSeconds: 600,
  });
  assert.equal(pods.spec?.restartPolicy, 'Always');
  assert.equal(pods.spec?.enableServiceLinks, undefined, 'a default of pods, not of templates');
});

for (const [what, spec, expected] of [
  ['all right', {}, []],
  ['no selector', { selector: undefined as never }, ['spec.selector: Required value', 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']],
  ['an empty selector', { selector: {} }, ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']],
  ['labels that the selector does not find', { selector: { matchLabels: { app: 'other' } } }, ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']],
  ['fewer than no replicas', { replicas: -1 }, ['spec.replicas: Invalid value: -1: must be greater than or equal to 0']],
  ['pods that end', { template: { ...template(), spec: { ...template().spec, restartPolicy: 'Never' } } }, ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"']],
  ['no room to roll', { strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: '0%' } } }, ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0']],
  ['more than all unavailable', { strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '110%' } } }, ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "110%": must not be greater than 100%']],
  ['words for a percentage', { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 'some' } } },
    ["spec.strategy.rollingUpdate.maxSurge: Invalid value: \"some\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"]],
  ['a rolling update of what is recreated', { strategy: { type: 'Recreate', rollingUpdate: {} } }, ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]],
  ['an unknown strategy', { strategy: { type: 'Foo' } }, ['spec.strategy: Unsupported value: {"Type":"Foo","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"']],
  ['no patience at all', { progressDeadlineSeconds: 10, minReadySeconds: 10 }, ['spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds']],
] as readonly (readonly [string, Partial<DeploymentSpec>, readonly string[]])[]) {
  test(`a deployment with ${what}`, () => assert.deepEqual(validateCreate(deploymentKind, deployment(spec)).map(fieldErrorText), expected));
}

test('the selector of a deployment does not change', () => {
  const next = deployment({ selector: { matchLabels: { app: 'web', x: 'y' } }, template: { ...template(), metadata: { labels: { app: 'web', x: 'y' } } } });
  assert.deepEqual(validateUpdate(deploymentKind, next, deployment()).map(fieldErrorText), ['spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable']);
});

test('the status of a deployment must add up', () => {
  const next = { ...deployment(), status: { replicas: 1, readyReplicas: 2 } };
  assert.deepEqual(validateStatusUpdate(deploymentKind, next, deployment()).map(fieldErrorText), ['status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas']);
});

test('an annotation makes a new generation of a deployment, a label does not', () => {
  const [previous, labelled, annotated] = [deployment(), deployment(), deployment()];
  labelled.metadata.labels = { a: 'b' };
  annotated.metadata.annotations = { a: 'b' };
  assert.equal(deploymentKind.raisesGeneration?.(labelled, previous), false);
  assert.equal(deploymentKind.raisesGeneration?.(annotated, previous), true);
});

test('a status update of a deployment keeps spec and labels', () => {
  const previous = deployment();
  const next = deployment({ replicas: 9 });
  next.metadata.labels = { a: 'b' };
  deploymentKind.prepareForStatusUpdate?.(next, previous);
  assert.equal(next.spec.replicas, 1);
  assert.equal(next.metadata.labels, undefined);
});

test('kubectl get deployments shows counts, images and selector', () => {
  const object = { ...deployment({ replicas: 3 }), status: { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 2 } };
  assert.deepEqual((deploymentKind.columns ?? []).map(({ value }) => value(object, 0)), ['web', '2/3', 3, 2, '<unknown>', 'c', 'nginx', 'app=web']);
});

test('a ReplicaSet with an empty selector is called a deployment, as upstream does', () => {
  const object: ReplicaSet = { metadata: metadata(), spec: { selector: {}, template: template() } };
  replicaSetKind.applyDefaults?.(object);
  assert.deepEqual(validateCreate(replicaSetKind, object).map(fieldErrorText), ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']);
});

test('the template generation of a DaemonSet grows with its template only', () => {
  const daemonSet = (image: string): DaemonSet => {
    const object: DaemonSet = { metadata: metadata(), spec: { selector, template: { ...template(), spec: { containers: [{ name: 'c', image }] } } } };
    daemonSetKind.applyDefaults?.(object);
    return object;
  };
  const key = 'deprecated.daemonset.template.generation';
  const first = daemonSet('nginx:1');
  daemonSetKind.prepareForCreate?.(first);
  assert.equal(first.metadata.annotations?.[key], '1');
  const same = daemonSet('nginx:1');
  daemonSetKind.prepareForUpdate?.(same, first);
  assert.equal(same.metadata.annotations?.[key], '1');
  const changed = daemonSet('nginx:2');
  daemonSetKind.prepareForUpdate?.(changed, first);
  assert.equal(changed.metadata.annotations?.[key], '2');
  assert.deepEqual(first.spec.updateStrategy, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } });
});
