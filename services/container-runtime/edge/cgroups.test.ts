import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const canWrite = (): boolean => {
  try {
    accessSync('/sys/fs/cgroup', constants.W_OK);
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
};
const PROBES = 200;
const script = `
  const { Cgroups } = await import(${JSON.stringify(fileURLToPath(new URL('./cgroups.ts', import.meta.url)))});
  const log = { warn() {} };
  const seen = new Set();
  for (let count = 0; count < ${PROBES}; count += 1) seen.add(new Cgroups({ parent: '', log }).controllers.join());
  process.stdout.write([...seen].join(' '));`;

test('hosts that boot at once, with processes of the same numbers, find the same control groups', { skip: !canWrite() && 'needs root' }, async () => {
  // Each is process 1 of its own namespace, as on hosts.
  const probe = () => promisify(execFile)('unshare', ['--pid', '--fork', '--mount-proc', process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]);
  const found = await Promise.all([probe(), probe(), probe()]);
  assert.deepEqual([...new Set(found.map(({ stdout }) => stdout))].length, 1, found.map(({ stdout }) => stdout).join('\n'));
  assert.doesNotMatch(found[0]?.stdout ?? '', / /);
});
