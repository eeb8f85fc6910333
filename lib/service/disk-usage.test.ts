import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DiskMeter, diskUsage } from './disk-usage.ts';

test('a folder is counted with everything in it, each file once, without following links', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'kubreak-usage-'));
  context.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'sub/file'), Buffer.alloc(256 * 1024, 1));
  const before = await diskUsage(folder);
  assert.ok(before.bytes >= 256 * 1024 && before.bytes < 512 * 1024);
  assert.equal(before.inodes, 3);
  linkSync(join(folder, 'sub/file'), join(folder, 'again'));
  symlinkSync('/', join(folder, 'root'));
  assert.equal((await diskUsage(folder)).inodes, 4);
  assert.deepEqual(await diskUsage(join(folder, 'none')), { bytes: 0, inodes: 0 });
});

test('a measurement is kept for its time', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'kubreak-usage-'));
  context.after(() => rmSync(folder, { recursive: true }));
  let nowMs = 0;
  const meter = new DiskMeter(() => nowMs);
  assert.equal((await meter.of(folder, 10_000)).inodes, 1);
  writeFileSync(join(folder, 'file'), '');
  assert.equal((await meter.of(folder, 10_000)).inodes, 1);
  nowMs = 10_000;
  assert.equal((await meter.of(folder, 10_000)).inodes, 2);
});
