import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { context, propagation, trace } from '@opentelemetry/api';
import { attribute } from '#lib/tracing/attributes.ts';
import { PromiseContextManager } from '#lib/tracing/context-manager.ts';
import { tracerProvider, type EndedSpan } from '#lib/tracing/span.ts';
import { TraceContextPropagator } from '#lib/tracing/trace-context.ts';
import { startTestServer, type TestServer } from './testing/test-server.ts';

const ended: EndedSpan[] = [];
let server: TestServer;
before(async () => {
  context.setGlobalContextManager(new PromiseContextManager());
  propagation.setGlobalPropagator(new TraceContextPropagator());
  trace.setGlobalTracerProvider(tracerProvider({ onEnd: (span) => ended.push(span), isSampled: () => true }));
  server = await startTestServer();
});
after(() => server.close());
beforeEach(() => void ended.splice(0));

const NS = '/api/v1/namespaces/default';
const told = (span: EndedSpan | undefined, ...names: string[]): unknown[] => [span?.name, ...names.map((name) => span?.attributes[name])];

/** The span of a request ends when its connection has taken the answer. */
async function spansOf(count: number): Promise<readonly EndedSpan[]> {
  const deadlineMs = performance.now() + 5_000;
  while (ended.length < count && performance.now() < deadlineMs) await new Promise((resolve) => setImmediate(resolve));
  return ended;
}

test('a request that writes is told with who asked, what was written and in which version', async () => {
  const { json } = await server.post(`${NS}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'told' }, data: { a: '1' } });
  const [write, request] = await spansOf(2);
  const { uid, resourceVersion } = json['metadata'] as unknown as { uid: string; resourceVersion: string };
  assert.deepEqual(told(request, attribute.httpMethod, attribute.httpStatus, attribute.resource), ['POST /api/v1/namespaces/{:namespace}/configmaps', 'POST', 201, 'configmaps']);
  assert.deepEqual(told(write, attribute.uid, attribute.versionWritten, attribute.objectName), ['Create etcd3', uid, resourceVersion, 'told']);
  assert.equal(write?.parentSpanContext?.spanId, request?.spanContext.spanId);
});

test('an update tells the version that it rests on, and what changed', async () => {
  const { json: before } = await server.post(`${NS}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'updated' }, data: { a: '1' } });
  await spansOf(2);
  ended.splice(0);
  const { json: after } = await server.put(`${NS}/configmaps/updated`, { ...before, data: { a: '2' } });
  const [write] = await spansOf(2);
  const version = (object: typeof before): unknown => (object['metadata'] as unknown as { resourceVersion: string }).resourceVersion;
  assert.deepEqual(told(write, attribute.versionRead, attribute.versionWritten, attribute.what), ['GuaranteedUpdate etcd3', version(before), version(after), 'data']);
});

test('reads and questions are not told; what is refused is', async () => {
  await server.get(`${NS}/configmaps/none`);
  await server.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } });
  await server.delete(`${NS}/configmaps/none`);
  const [request, ...more] = await spansOf(1);
  assert.deepEqual(told(request, attribute.httpStatus, attribute.objectName), ['DELETE /api/v1/namespaces/{:namespace}/configmaps/{:name}', 404, 'none']);
  assert.equal(more.length, 0);
});

test('a Lease that is renewed is not told', async () => {
  const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
  const { json } = await server.post(path, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'mine' }, spec: { holderIdentity: 'me' } });
  await spansOf(2);
  ended.splice(0);
  assert.equal((await server.put(`${path}/mine`, { ...json, spec: { holderIdentity: 'me', renewTime: '2026-01-01T00:00:00.000000Z' } })).code, 200);
  await server.put(`${path}/other`, { ...json, metadata: { name: 'mine' } });
  const [only, ...more] = await spansOf(1);
  assert.deepEqual([...told(only, attribute.httpStatus), more.length], ['PUT /apis/coordination.k8s.io/v1/namespaces/{:namespace}/leases/{:name}', 400, 0]);
});
