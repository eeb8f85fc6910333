import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { TracesData } from './otlp-json.ts';
import { exporterByVariables, exporterToCollector } from './otlp-export.ts';
import { tracerProvider } from './span.ts';
import type { SpanExporter } from './start-tracing.ts';
import { collectorOptions, tracingConfiguration } from './tracing-configuration.ts';

async function exportOne(exporter: SpanExporter): Promise<void> {
  tracerProvider({ onEnd: (span) => exporter.add(span), isSampled: () => true }).getTracer('scope').startSpan('work', { attributes: { 'kubreak.object.name': 'web-0' } }).end();
  await exporter.stop();
}

test('spans go to a collector over HTTP as the variables of OpenTelemetry say', async () => {
  const requests: { path: string | undefined; token: string | undefined; body: string }[] = [];
  const collector = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
      requests.push({ path: request.url, token: request.headers['x-token'] as string | undefined, body });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  // The exporters read the environment of the process by themselves.
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_EXPORTER_OTLP_HEADERS: 'x-token=secret' };
  Object.assign(process.env, variables);
  try {
    await exportOne(await exporterByVariables(variables, { 'service.name': 'kube-scheduler' }));
    const [{ path, token, body } = assert.fail('nothing came')] = requests;
    assert.deepEqual([path, token], ['/v1/traces', 'secret']);
    const [{ resource, scopeSpans } = assert.fail()] = (JSON.parse(body) as TracesData).resourceSpans;
    assert.deepEqual(resource.attributes, [{ key: 'service.name', value: { stringValue: 'kube-scheduler' } }]);
    assert.equal(scopeSpans[0]?.spans[0]?.name, 'work');
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    collector.close();
  }
});

test('spans go to a collector over gRPC, as upstream\'s components send them', async () => {
  const received: Buffer[] = [];
  const collector = new Server();
  const raw = (bytes: Buffer): Buffer => bytes;
  collector.addService({
    Export: { path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export', requestStream: false, responseStream: false, requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw },
  }, { Export: (call: { request: Buffer }, answer: (error: null, response: Buffer) => void) => {
    received.push(call.request);
    answer(null, Buffer.alloc(0));
  } });
  const port = await new Promise<number>((resolve, reject) => collector.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  try {
    await exportOne(await exporterToCollector(`127.0.0.1:${port}`, { 'service.name': 'etcd' }));
    assert.equal(received.length, 1);
    for (const word of ['etcd', 'work', 'web-0']) assert.ok(received[0]?.includes(word), word);
  } finally {
    collector.forceShutdown();
  }
});

test('a protocol that there is not is refused', async () => {
  await assert.rejects(exporterByVariables({ OTEL_EXPORTER_OTLP_PROTOCOL: 'pigeon' }, {}), /pigeon/);
});

test('a TracingConfiguration is read as upstream reads it', () => {
  assert.deepEqual(tracingConfiguration({ apiVersion: 'apiserver.k8s.io/v1', kind: 'TracingConfiguration', samplingRatePerMillion: 100 }), { endpoint: 'localhost:4317', samplingRatePerMillion: 100 });
  assert.throws(() => tracingConfiguration({ apiVersion: 'v1', kind: 'Pod' }), /TracingConfiguration/);
  assert.throws(() => tracingConfiguration({ apiVersion: 'apiserver.k8s.io/v1', kind: 'TracingConfiguration', rate: 1 }), /"rate"/);
  assert.throws(() => collectorOptions({ samplingRatePerMillion: 1_000_001 }, 'tracing.'), /^Error: tracing\.samplingRatePerMillion: Invalid value: 1000001/);
});
