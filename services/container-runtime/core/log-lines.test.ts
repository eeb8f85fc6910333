import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatLogTime, LineCutter, MAX_LINE_BYTES } from './log-lines.ts';

const TIME = '2026-01-02T03:04:05.678901234Z';

test('a line is logged once it is complete, with its time and stream', () => {
  const cutter = new LineCutter('stdout');
  assert.equal(cutter.push(Buffer.from('hel'), TIME).toString(), '');
  assert.equal(cutter.push(Buffer.from('lo\n\nx'), TIME).toString(), `${TIME} stdout F hello\n${TIME} stdout F \n`);
  assert.equal(cutter.flush('F', TIME).toString(), `${TIME} stdout F x\n`);
  assert.equal(cutter.flush('F', TIME).length, 0);
});

test('a line longer than the limit comes in pieces, the last of them full', () => {
  const cutter = new LineCutter('stderr');
  const text = cutter.push(Buffer.from(`${'a'.repeat(MAX_LINE_BYTES + 3)}\n`), TIME).toString();
  assert.equal(text, `${TIME} stderr P ${'a'.repeat(MAX_LINE_BYTES)}\n${TIME} stderr F aaa\n`);
});

test('a character cut by a chunk border arrives whole', () => {
  const cutter = new LineCutter('stdout');
  const bytes = Buffer.from('ü\n');
  cutter.push(bytes.subarray(0, 1), TIME);
  assert.equal(cutter.push(bytes.subarray(1), TIME).toString(), `${TIME} stdout F ü\n`);
});

test('log times have nine digits', () => {
  assert.equal(formatLogTime(Date.UTC(2026, 0, 2, 3, 4, 5, 6)), '2026-01-02T03:04:05.006000000Z');
  assert.equal(formatLogTime(Date.UTC(2026, 0, 2, 3, 4, 5, 6) + 0.5), '2026-01-02T03:04:05.006500000Z');
});
