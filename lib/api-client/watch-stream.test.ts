import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { StatusError } from '#lib/machinery/status-error.ts';
import { readWatchEvents } from './watch-stream.ts';

async function collect(...chunks: (string | Buffer)[]): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of readWatchEvents(Readable.from(chunks.map((chunk) => Buffer.from(chunk))))) events.push(event);
  return events;
}

test('events are found however the bytes are cut, also within a character', async () => {
  const line = Buffer.from('{"type":"ADDED","object":{"name":"ü"}}\n');
  for (let cut = 1; cut < line.length; cut += 1) {
    assert.deepEqual(await collect(line.subarray(0, cut), line.subarray(cut)), [{ type: 'ADDED', object: { name: 'ü' } }]);
  }
  assert.equal((await collect(Buffer.concat([line, line, line]))).length, 3);
});

test('an event that was cut off at the end is not handed on', async () => {
  assert.deepEqual(await collect('{"type":"ADDED","object":{}}\n{"type":"ADD'), [{ type: 'ADDED', object: {} }]);
});

test('an ERROR event is thrown with its status', async () => {
  await assert.rejects(collect('{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n'),
    (error: unknown) => error instanceof StatusError && error.code === 410);
});

test('an event without end is refused before it fills the memory', async () => {
  const megabyte = 'x'.repeat(1024 * 1024);
  await assert.rejects(collect(...Array.from({ length: 10 }, () => megabyte)), RangeError);
});
