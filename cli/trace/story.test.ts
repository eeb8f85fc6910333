import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attribute } from '#lib/tracing/attributes.ts';
import { subjectNamed } from './kind-names.ts';
import { tellStory, type Step, type Story } from './story.ts';
import { parseSpanLine, type SpanValue, type TraceSpan } from './trace-span.ts';
import { timeText, waterfall, wrap } from './waterfall.ts';

/** Makes spans that a cluster would have kept; times are milliseconds since the first. */
class Recorder {
  readonly spans: TraceSpan[] = [];
  #next = 0;
  #version = 100;

  span(host: string, service: string, name: string, [startMs, endMs]: readonly [number, number], { parent, kind = 'internal', links = [], error, ...attributes }: { parent?: TraceSpan; kind?: TraceSpan['kind']; links?: TraceSpan['links']; error?: string } & Record<string, SpanValue | TraceSpan | undefined> = {}): TraceSpan {
    this.#next += 1;
    const span: TraceSpan = {
      host, service, name, kind, spanId: `s${this.#next}`, traceId: parent?.traceId ?? `t${this.#next}`, parentSpanId: parent?.spanId, startMs, endMs,
      attributes: attributes as Record<string, SpanValue>, links, error,
    };
    this.spans.push(span);
    return span;
  }

  /** A request of `parent`'s work, or of the user, that writes one object; returns its version. */
  write(resource: string, uid: string, atMs: number, { parent, user = 'kubernetes-admin', what = '', owners = [], about = [] }: { parent?: TraceSpan; user?: string; what?: string; owners?: string[]; about?: string[] } = {}): number {
    this.#version += 1;
    const names = { [attribute.namespace]: 'default', [attribute.objectName]: uid, [attribute.resource]: resource };
    const request = this.span('m-k8s', 'kube-apiserver', `POST ${resource}`, [atMs, atMs + 6], {
      ...(parent ? { parent } : {}), kind: 'server', ...names, [attribute.httpMethod]: 'POST', [attribute.httpStatus]: 201, [attribute.userName]: user, [attribute.userAgent]: 'kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0', [attribute.clientAddress]: '192.168.1.1',
    });
    const write = this.span('m-k8s', 'kube-apiserver', 'Create etcd3', [atMs + 1, atMs + 5], {
      parent: request, ...names, [attribute.uid]: uid, [attribute.versionWritten]: String(this.#version), [attribute.what]: what, [attribute.owners]: owners, [attribute.about]: about,
    });
    this.span('m-k8s', 'etcd', 'etcdserverpb.KV/Txn', [atMs + 2, atMs + 4], { parent: write, kind: 'server', [attribute.versionWritten]: String(this.#version) });
    return this.#version;
  }

  work(host: string, service: string, name: string, resource: string, uid: string, version: number, times: readonly [number, number], more: Record<string, SpanValue> = {}): TraceSpan {
    return this.span(host, service, name, times, { [attribute.resource]: resource, [attribute.namespace]: 'default', [attribute.objectName]: uid, [attribute.uid]: uid, [attribute.versionRead]: String(version), ...more });
  }
}

const DEPLOYMENT = 'apps/deployments';
const REPLICA_SET = 'apps/replicasets';

/** kubectl makes a Deployment; its pod runs in the end. */
function birth(): Recorder {
  const recorder = new Recorder();
  const deployment = recorder.write(DEPLOYMENT, 'web', 0, { what: 'replicas=1' });
  const rollout = recorder.work('m-k8s', 'kube-controller-manager', 'reconcile', DEPLOYMENT, 'web', deployment, [10, 30], { [attribute.controller]: 'deployment-controller' });
  const replicaSet = recorder.write(REPLICA_SET, 'web-1', 12, { parent: rollout, owners: ['web'] });
  const scaling = recorder.work('m-k8s', 'kube-controller-manager', 'reconcile', REPLICA_SET, 'web-1', replicaSet, [22, 40], { [attribute.controller]: 'replicaset-controller' });
  const pod = recorder.write('pods', 'web-1-a', 24, { parent: scaling, owners: ['web-1'] });
  const other = recorder.write('pods', 'web-1-b', 31, { parent: scaling, owners: ['web-1'] });
  assert.ok(other > pod);
  const attempt = recorder.work('m-k8s', 'kube-scheduler', 'Scheduling', 'pods', 'web-1-a', pod, [34, 44], { [attribute.nodeName]: 'w1-k8s', [attribute.what]: 'w1-k8s: score 9' });
  const bound = recorder.write('pods', 'web-1-a', 36, { parent: attempt, what: 'nodeName=w1-k8s' });
  const sync = recorder.work('w1-k8s', 'kubelet', 'syncPod', 'pods', 'web-1-a', bound, [45, 90]);
  for (const [call, atMs] of [['RunPodSandbox', 50], ['CreateContainer', 60], ['StartContainer', 70]] as const) {
    const client = recorder.span('w1-k8s', 'kubelet', `runtime.v1.RuntimeService/${call}`, [atMs, atMs + 8], { parent: sync, kind: 'client' });
    recorder.span('w1-k8s', 'containerd', `runtime.v1.RuntimeService/${call}`, [atMs + 1, atMs + 7], { parent: client, kind: 'server', [attribute.uid]: 'web-1-a', [attribute.containerName]: call === 'RunPodSandbox' ? '' : 'nginx' });
  }
  const report = recorder.work('w1-k8s', 'kubelet', 'syncPodStatus', 'pods', 'web-1-a', bound, [91, 99]);
  recorder.write('pods', 'web-1-a', 92, { parent: report, what: 'phase Pending→Running' });
  return recorder;
}

const pod = { resource: 'pods', namespace: 'default', name: 'web-1-a' };
function told(recorder: Recorder, subject = pod): Story {
  return tellStory(recorder.spans, subject, { hostOf: (address) => (address === '192.168.1.1' ? 'machine' : undefined) }) ?? assert.fail('nothing is told');
}
const brief = ({ step, host, component, resourceVersionWritten }: Step): string => [step ?? '-', host, component, resourceVersionWritten].filter((word) => word !== undefined).join(' ');

test('a pod is followed through the seven steps, from whoever asked for the Deployment', () => {
  const story = told(birth());
  assert.deepEqual(story.steps.map(brief), [
    '1 machine kubectl', '- m-k8s kube-apiserver', '2 m-k8s etcd 101',
    '3 m-k8s kube-controller-manager', '- m-k8s kube-apiserver', '- m-k8s etcd 102',
    '3 m-k8s kube-controller-manager', '- m-k8s kube-apiserver', '- m-k8s etcd 103',
    '4 m-k8s kube-scheduler', '- m-k8s kube-apiserver', '- m-k8s etcd 105',
    '5 w1-k8s kubelet', '6 w1-k8s containerd', '6 w1-k8s containerd', '6 w1-k8s containerd',
    '7 w1-k8s kubelet', '- m-k8s kube-apiserver', '- m-k8s etcd 106',
  ]);
  assert.deepEqual(story.objects.map(({ relation, name }) => `${relation} ${name}`), ['subject web-1-a', 'cause web-1', 'cause web']);
});

test('a hop across a watch takes from the write to who acts on it', () => {
  const { steps } = told(birth());
  const heads = steps.filter(({ depth }) => depth === 0).map(({ component, resourceVersionRead, delayMs }) => [component, resourceVersionRead, delayMs]);
  assert.deepEqual(heads, [
    ['kubectl', undefined, undefined], ['kube-controller-manager', '101', 6], ['kube-controller-manager', '102', 6], ['kube-scheduler', '103', 6],
    ['kubelet', '105', 5], ['kubelet', '105', 51],
  ]);
});

test('of a Deployment all that came of it is told', () => {
  const story = told(birth(), { resource: DEPLOYMENT, namespace: 'default', name: 'web' });
  assert.deepEqual(story.objects.map(({ relation, name }) => `${relation} ${name}`), ['subject web', 'descendant web-1', 'descendant web-1-a', 'descendant web-1-b']);
});

test('a controller that sees its own writes is not their cause: what it follows was asked for by others', () => {
  const recorder = birth();
  const scaled = recorder.write(DEPLOYMENT, 'web', 1_000, { what: 'replicas 1→0' });
  const rollout = recorder.work('m-k8s', 'kube-controller-manager', 'reconcile', DEPLOYMENT, 'web', scaled, [1_010, 1_030], { [attribute.controller]: 'deployment-controller' });
  recorder.write(REPLICA_SET, 'web-1', 1_012, { parent: rollout, owners: ['web'], what: 'replicas 1→0' });
  const scaling = (version: number, at: number): TraceSpan => recorder.work('m-k8s', 'kube-controller-manager', 'reconcile', REPLICA_SET, 'web-1', version, [at, at + 10], { [attribute.controller]: 'replicaset-controller' });
  const own = recorder.write(REPLICA_SET, 'web-1', 1_021, { parent: scaling(108, 1_020), owners: ['web'], what: 'replicas=0' });
  recorder.write('pods', 'web-1-a', 1_042, { parent: scaling(own, 1_040), what: 'to be deleted, grace 30 s' });
  const last = told(recorder).steps.filter(({ depth }) => depth === 0).slice(-3);
  assert.deepEqual(last.map(({ component, what, resourceVersionRead }) => [component, what, resourceVersionRead]), [
    ['kubectl', 'as kubernetes-admin', undefined],
    ['kube-controller-manager', 'deployment-controller: deployments/web', '107'],
    ['kube-controller-manager', 'replicaset-controller: replicasets/web-1', '108'],
  ]);
});

test('across a fault it is told who noticed, and what befell the components of its hosts, of others not', () => {
  const recorder = birth();
  const note = (host: string, service: string, name: string, atMs: number, error?: string): TraceSpan => recorder.span(host, service, name, [atMs, atMs], error === undefined ? {} : { error });
  note('w1-k8s', 'kubelet', 'cannot renew node lease', 5_000, 'connection refused');
  note('w3-k8s', 'kubelet', 'cannot renew node lease', 5_001, 'connection refused');
  const monitor = recorder.span('m-k8s', 'kube-controller-manager', 'run', [50_000, 50_020], { [attribute.controller]: 'node-lifecycle-controller' });
  recorder.write('nodes', 'w1-k8s', 50_001, { parent: monitor, what: 'Ready True→Unknown (NodeStatusUnknown)' });
  recorder.write('nodes', 'w2-k8s', 50_010, { parent: monitor, what: 'Ready True→Unknown (NodeStatusUnknown)' });
  recorder.write('nodes', 'w1-k8s', 55_000, { user: 'system:node:w1-k8s', what: 'status' });
  note('w1-k8s', 'kubelet', 'start', 60_000);
  const after = told(recorder).steps.filter(({ atMs }) => atMs > 1_000);
  assert.deepEqual(after.map(({ host, component, what, error }) => [host, component, error === undefined ? what : `${what}: ${error}`]), [
    ['w1-k8s', 'kubelet', 'cannot renew node lease: connection refused'],
    ['m-k8s', 'kube-controller-manager', 'node-lifecycle-controller'],
    ['m-k8s', 'kube-apiserver', 'POST nodes/w1-k8s: Ready True→Unknown (NodeStatusUnknown)'],
    ['m-k8s', 'etcd', 'Txn, written'],
    ['w1-k8s', 'kubelet', 'start'],
  ]);
});

test('once an object is gone, what happens later is no part of its story', () => {
  const recorder = birth();
  recorder.write('pods', 'web-1-a', 2_000, { user: 'system:node:w1-k8s', what: 'removed' });
  recorder.span('w1-k8s', 'kubelet', 'start', [3_000, 3_000]);
  assert.equal(told(recorder).steps.at(-1)?.component, 'etcd');
});

test('of several objects of one name the last is told', () => {
  const recorder = new Recorder();
  recorder.write('pods', 'first', 0);
  recorder.write('pods', 'second', 10);
  const spans = recorder.spans.map((span) => ({ ...span, attributes: { ...span.attributes, [attribute.objectName]: 'web-0' } }));
  const story = tellStory(spans, { resource: 'pods', namespace: 'default', name: 'web-0' });
  assert.deepEqual([story?.subject.uid, story?.earlier, story?.steps.length], ['second', 1, 3]);
  assert.equal(tellStory(spans, { resource: 'pods', namespace: 'other', name: 'web-0' }), undefined);
});

test('a change of the endpoints is told with the first sync of each kube-proxy that had seen it', () => {
  const recorder = birth();
  const slice = recorder.write('discovery.k8s.io/endpointslices', 'web-x', 200, { user: 'system:serviceaccount:kube-system:endpointslice-controller', about: ['web-1-a'], what: '+172.16.1.1 ready' });
  for (const [host, read, atMs] of [['w1-k8s', slice - 1, 210], ['w1-k8s', slice, 300], ['w1-k8s', slice + 1, 320], ['w2-k8s', slice + 1, 330]] as const) {
    recorder.span(host, 'kube-proxy', 'syncProxyRules', [atMs, atMs + 5], { [attribute.objectsRead]: [`web-x@${read}`] });
  }
  assert.deepEqual(told(recorder).steps.filter(({ component }) => component === 'kube-proxy').map(({ host, atMs, delayMs }) => [host, atMs, delayMs]), [['w1-k8s', 300, 96], ['w2-k8s', 330, 126]]);
});

test('a request that was refused is told', () => {
  const recorder = birth();
  recorder.span('m-k8s', 'kube-apiserver', 'POST eviction', [500, 501], {
    kind: 'server', [attribute.resource]: 'pods/eviction', [attribute.namespace]: 'default', [attribute.objectName]: 'web-1-a', [attribute.httpMethod]: 'POST', [attribute.httpStatus]: 429, [attribute.userName]: 'kubernetes-admin', [attribute.userAgent]: 'kubectl/v1.33',
  });
  assert.deepEqual(told(recorder).steps.slice(-2).map(({ what }) => what), ['as kubernetes-admin', 'POST pods/web-1-a/eviction refused: 429']);
});

test('the timeline fits a hundred columns, whatever it has to tell', () => {
  const recorder = birth();
  recorder.write('pods', 'web-1-a', 60_000, { what: `${'x'.repeat(150)} and ${'some more words '.repeat(10)}` });
  const text = waterfall(told(recorder), { columns: 100, color: false });
  assert.deepEqual(text.split('\n').filter((line) => line.length > 100), []);
  assert.match(text, /^\(1\) {4}0\.0 ms machine kubectl +as kubernetes-admin$/m);
  assert.match(text, /··· nothing for 59\.90 s/);
  assert.equal(text.includes('\u001B'), false);
});

test('texts are wrapped between words, and within a word that is too long', () => {
  assert.deepEqual(wrap('one two three', 7), ['one two', 'three']);
  assert.deepEqual(wrap('a bcdefghijk l', 4), ['a', 'bcde', 'fghi', 'jk l']);
  assert.deepEqual([timeText(0.123), timeText(9_999.9), timeText(12_345), timeText(200_000)], ['0.1 ms', '9999.9 ms', '12.35 s', '3m20s']);
});

test('kinds are named as kubectl names them', () => {
  const kinds = [
    { group: '', plural: 'pods', singular: 'pod', shortNames: ['po'], namespaced: true }, { group: '', plural: 'nodes', singular: 'node', shortNames: ['no'], namespaced: false },
    { group: 'apps', plural: 'deployments', singular: 'deployment', shortNames: ['deploy'], namespaced: true },
  ];
  assert.deepEqual(subjectNamed('pod/x', 'a', kinds), { resource: 'pods', namespace: 'a', name: 'x' });
  assert.deepEqual(subjectNamed('no/x', 'a', kinds), { resource: 'nodes', namespace: undefined, name: 'x' });
  assert.deepEqual(subjectNamed('deployments.apps/x', 'a', kinds), { resource: 'apps/deployments', namespace: 'a', name: 'x' });
  assert.deepEqual(subjectNamed('crontabs.example.com/x', 'a', kinds), { resource: 'example.com/crontabs', namespace: 'a', name: 'x' });
  for (const bad of ['pod', 'pod/', '/x', 'pod/x/y', 'thing/x']) assert.throws(() => subjectNamed(bad, 'a', kinds), /KIND\/NAME|no kind/, bad);
});

test('a line that a killed process did not finish is passed over', () => {
  assert.equal(parseSpanLine('{"resourceSpans":[{"resource":{"attr', 'w1-k8s'), undefined);
});
