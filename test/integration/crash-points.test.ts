// Each place where a member of etcd writes, once; more: npm run linearizability -- --crashes N.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '#lib/environment/random.ts';
import { CRASHES, runCrashPoints, runSnapshotCrashes } from '../linearizability/crash-points.ts';

const program = [process.execPath, fileURLToPath(new URL('../../dist/etcd.js', import.meta.url))];
const folder = mkdtempSync(join(tmpdir(), 'kubreak-crash-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test(`a member that is killed at any of ${CRASHES.length} places while it writes holds all that was acknowledged`, { timeout: 600_000 }, async (context) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 100_000);
  const { problems } = await runCrashPoints({ program, dataDir: join(folder, 'data'), random: seededRandom(seed), print: (line) => context.diagnostic(line) }, 1);
  assert.deepEqual(problems, [], `seed ${seed}`);
});

test('a member that is killed while it takes a snapshot from another one catches up when it is started again', { timeout: 300_000 }, async (context) => {
  assert.deepEqual(await runSnapshotCrashes({ program, dataDir: join(folder, 'snapshot'), random: seededRandom(1), print: (line) => context.diagnostic(line) }), []);
});
