import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { context, ROOT_CONTEXT, SpanKind, trace, TraceFlags } from '@opentelemetry/api';
import { PromiseContextManager } from './context-manager.ts';
import { inSpan } from './in-span.ts';
import { otlpAttributes, type TracesData } from './otlp-json.ts';
import { parentBased, ratioSampler, samplerNamed } from './sampler.ts';
import { openSpanFile } from './span-file.ts';
import { tracerProvider, type EndedSpan } from './span.ts';
import { formatTraceparent, parseTraceparent, TraceContextPropagator } from './trace-context.ts';

context.setGlobalContextManager(new PromiseContextManager());

function recorder(isSampled = (): boolean => true) {
  const ended: EndedSpan[] = [];
  return { ended, tracer: tracerProvider({ onEnd: (span) => ended.push(span), isSampled }).getTracer('test') };
}
const header = { get: (carrier: unknown, name: string) => (carrier as Record<string, string>)[name], keys: (carrier: unknown) => Object.keys(carrier as object) };
const setter = { set: (carrier: unknown, name: string, value: string) => { (carrier as Record<string, string>)[name] = value; } };

test('a span started within another is its child, across awaits', async () => {
  const { ended, tracer } = recorder();
  await inSpan(tracer, 'outer', {}, async () => {
    await new Promise((resolve) => setImmediate(resolve));
    await inSpan(tracer, 'inner', {}, () => Promise.resolve());
  });
  const [inner, outer] = ended;
  assert.equal(inner?.parentSpanContext?.spanId, outer?.spanContext.spanId);
  assert.equal(inner?.spanContext.traceId, outer?.spanContext.traceId);
  assert.equal(outer?.parentSpanContext, undefined);
});

test('of work that goes on side by side, each has its own span; what is no part of it has none, neither then nor afterwards', async () => {
  const { tracer } = recorder();
  const active = (): string | undefined => trace.getActiveSpan()?.spanContext().spanId;
  let finish = (): void => undefined;
  const untilLater = new Promise<void>((resolve) => { finish = resolve; });
  const bystander = (async () => {
    await untilLater;
    return active();
  })();
  const steps = async (): Promise<(string | undefined)[]> => {
    const seen = [active()];
    for (let step = 0; step < 3; step += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(active());
    }
    finish();
    return seen;
  };
  const seen = await Promise.all([1, 2].map(() => inSpan(tracer, 'work', { root: true }, async (span) => [span.spanContext().spanId, ...await steps()])));
  for (const [own, ...others] of seen) assert.deepEqual(others, [own, own, own, own]);
  assert.notEqual(seen[0]?.[0], seen[1]?.[0]);
  assert.deepEqual([await bystander, active(), await Promise.resolve().then(active)], [undefined, undefined, undefined]);
});

test('work that finds nothing to do is not told, work that leads to something or fails is', async () => {
  const { ended, tracer } = recorder();
  await inSpan(tracer, 'nothing', { onlyIfFollowed: true }, () => Promise.resolve());
  await inSpan(tracer, 'request', { onlyIfFollowed: true }, () => Promise.resolve(new TraceContextPropagator().inject(context.active(), {}, setter)));
  await assert.rejects(inSpan(tracer, 'failure', { onlyIfFollowed: true }, () => Promise.reject(new Error('no'))), /no/);
  assert.deepEqual(ended.map(({ name, status }) => [name, status.message]), [['request', undefined], ['failure', 'no']]);
});

test('a trace goes on in another process by its traceparent', () => {
  const [one, other] = [recorder(), recorder()];
  const sent: Record<string, string> = {};
  const client = one.tracer.startSpan('request', { kind: SpanKind.CLIENT });
  new TraceContextPropagator().inject(trace.setSpan(ROOT_CONTEXT, client), sent, setter);
  assert.match(sent['traceparent'] ?? '', /^00-[\da-f]{32}-[\da-f]{16}-01$/);
  const server = other.tracer.startSpan('serve', { kind: SpanKind.SERVER }, new TraceContextPropagator().extract(ROOT_CONTEXT, sent, header));
  assert.equal(server.spanContext().traceId, client.spanContext().traceId);
});

test('what comes after the end of a span, such as a timer set in it, is no part of it', () => {
  const { tracer } = recorder();
  const span = tracer.startSpan('work');
  span.end();
  const sent: Record<string, string> = {};
  new TraceContextPropagator().inject(trace.setSpan(ROOT_CONTEXT, span), sent, setter);
  assert.deepEqual(sent, {});
});

test('a traceparent that is none is passed over', () => {
  const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  assert.equal(formatTraceparent(parseTraceparent(good) ?? assert.fail()), good);
  assert.ok(parseTraceparent('cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later'));
  for (const bad of [undefined, '', 'x', good.replace('b7', 'g7'), good.replace('00-', 'ff-'), `${good}-more`, `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`]) {
    assert.equal(parseTraceparent(bad), undefined, bad);
  }
});

test('samplers decide as OTEL_TRACES_SAMPLER names them', () => {
  const parent = (traceFlags: number) => ({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags, isRemote: true });
  const low = `${'0'.repeat(31)}1`;
  const high = 'f'.repeat(32);
  assert.deepEqual([low, high].map((id) => ratioSampler(0.5)(id, undefined)), [true, false]);
  assert.deepEqual([0, 1].map((ratio) => ratioSampler(ratio)(high, undefined)), [false, true]);
  assert.equal(parentBased(ratioSampler(0))(low, parent(TraceFlags.SAMPLED)), true);
  assert.equal(samplerNamed('parentbased_always_on')(low, parent(TraceFlags.NONE)), false);
  assert.equal(samplerNamed('traceidratio', '0')(low, parent(TraceFlags.SAMPLED)), false);
  assert.throws(() => samplerNamed('sometimes'), /sometimes/);
});

test('a file of spans is OTLP JSON, a line each turn, and never larger than twice its limit', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spans-'));
  try {
    const path = join(folder, 'x.jsonl');
    const file = openSpanFile({ path, resource: otlpAttributes({ 'service.name': 'x' }), maxFileBytes: 4_000, onFailure: (error) => assert.fail(error as Error) });
    const { tracer } = { tracer: tracerProvider({ onEnd: file.add, isSampled: () => true }).getTracer('scope') };
    for (let number = 0; number < 50; number += 1) {
      tracer.startSpan('work', { attributes: { number, words: ['a', 'b'], half: 0.5, yes: true }, startTime: 1_700_000_000_123.5 }).end(1_700_000_000_124.25);
      if (number % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
    }
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    assert.ok(readFileSync(path).length <= 4_000 && readFileSync(`${path}.1`).length <= 4_000);
    const [spans] = ((JSON.parse(lines.at(-1) ?? '') as TracesData).resourceSpans[0]?.scopeSpans ?? []).map((scope) => scope.spans);
    assert.equal(spans?.length, 2);
    assert.deepEqual(spans?.[1]?.attributes, [
      { key: 'number', value: { intValue: '49' } }, { key: 'words', value: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } } },
      { key: 'half', value: { doubleValue: 0.5 } }, { key: 'yes', value: { boolValue: true } },
    ]);
    assert.deepEqual([spans?.[1]?.startTimeUnixNano, spans?.[1]?.endTimeUnixNano, spans?.[1]?.kind], ['1700000000123500000', '1700000000124250000', 1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
