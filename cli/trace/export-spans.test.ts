import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { exportSpans } from './export-spans.ts';
import { parseSpanLine, type TraceSpan } from './trace-span.ts';

const span: TraceSpan = {
  host: 'w1-k8s', service: 'kubelet', name: 'syncPod', kind: 'internal', traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), parentSpanId: undefined,
  startMs: 1_700_000_000_000.25, endMs: 1_700_000_000_001, attributes: { word: 'x', number: 7, list: ['a', 'b'] }, links: [{ traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) }], error: 'no',
};

test('spans arrive at a collector as they were read', async () => {
  const bodies: string[] = [];
  const headers: (string | undefined)[] = [];
  const collector = createServer((request, response) => {
    let body = '';
    headers.push(request.headers['authorization'], request.url);
    request.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
      bodies.push(body);
      response.end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  try {
    const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    assert.equal(await exportSpans([span, { ...span, host: 'w2-k8s' }], { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x' }), `${endpoint}/v1/traces`);
    assert.deepEqual(headers, ['Bearer x', '/v1/traces']);
    assert.deepEqual(parseSpanLine(bodies[0] ?? '', 'w1-k8s'), [span, span]);
  } finally {
    collector.close();
  }
  await assert.rejects(exportSpans([span], { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }), /cannot reach the collector at http:\/\/127\.0\.0\.1:9\/v1\/traces/);
});
