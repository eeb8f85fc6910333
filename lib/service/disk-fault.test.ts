import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { beforeSync, beforeWrite, DISK_FAULT_FILE, diskFaultIn, diskFaultText, parseDiskFault, type DiskFault } from './disk-fault.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubreak-disk-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const make = (fault: DiskFault): void => writeFileSync(join(folder, DISK_FAULT_FILE), diskFaultText(fault));

test('a fault is read as it was written, anything else is none', () => {
  for (const fault of [{ kind: 'full' }, { kind: 'slow', delayMs: 250 }, { kind: 'fail-fsync' }] as const) assert.deepEqual(parseDiskFault(diskFaultText(fault)), fault);
  for (const text of ['', 'slow', 'slow soon', 'broken']) assert.equal(parseDiskFault(text), undefined);
});

test('a full disk takes no writes, a slow one takes its time to sync, one that fails says EIO', async () => {
  assert.equal(diskFaultIn(folder), undefined);
  beforeWrite(folder);
  await beforeSync(folder);
  make({ kind: 'full' });
  assert.throws(() => beforeWrite(folder, 'mkdir'), { code: 'ENOSPC', message: 'ENOSPC: no space left on device, mkdir' });
  await beforeSync(folder);
  make({ kind: 'slow', delayMs: 30 });
  beforeWrite(folder);
  const startedMs = performance.now();
  await beforeSync(folder);
  assert.ok(performance.now() - startedMs >= 25);
  make({ kind: 'fail-fsync' });
  await assert.rejects(beforeSync(folder), { code: 'EIO' });
});
