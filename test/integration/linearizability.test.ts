// Short runs of what `npm run linearizability` does: real members of etcd, broken while clients ask them, keep what etcd promises.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runIsolated } from '../linearizability/isolate.ts';
import type { RunOptions } from '../linearizability/run.ts';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function run(members: number, forMs: number, seed: number): Promise<{ code: number; lines: string[] }> {
  const options: Omit<RunOptions, 'print'> = {
    seed, members, changes: false, clients: 6, forMs, requestsPerSecond: 100, checkLimitMs: 60_000, program: [process.execPath, path('../../dist/etcd.js')],
    flags: ['--watch-progress-notify-interval=1s', '--snapshot-count=200'], hasFailPoints: true, failPoints: 'walKeepUnsynced=return', faults: [], folder: mkdtempSync(join(tmpdir(), 'kubreak-linearizability-')),
  };
  const lines: string[] = [];
  return runIsolated(path('../linearizability/isolated.ts'), [JSON.stringify(options)], (line) => lines.push(line)).then((code) => ({ code, lines }));
}

for (const { members, forMs, seed } of [{ members: 1, forMs: 12_000, seed: 4 }, { members: 3, forMs: 20_000, seed: 17 }]) {
  test(`${members === 1 ? 'one member that is' : 'three members that are'} killed, paused, cut off and held up by disks keep what etcd promises`, { timeout: 300_000 }, async (context) => {
    const { code, lines } = await run(members, forMs, seed);
    for (const line of lines) context.diagnostic(line);
    assert.equal(code, 0, lines.join('\n'));
  });
}
