import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job } from '#lib/kinds/types/batch-v1.ts';
import { leftMs } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const job = (ttlSecondsAfterFinished: number | undefined, type: string, status = 'True'): Job => ({
  metadata: { name: 'j' }, spec: { template: {}, ttlSecondsAfterFinished }, status: { conditions: [{ type, status, lastTransitionTime: '2026-01-01T11:59:00Z' }] },
});

test('a Job that is finished stays for its time to live', () => {
  assert.equal(leftMs(job(90, 'Complete'), NOW), 30_000);
  assert.equal(leftMs(job(0, 'Failed'), NOW), -60_000);
  assert.equal(leftMs(job(undefined, 'Complete'), NOW), undefined);
  assert.equal(leftMs(job(10, 'Suspended'), NOW), undefined);
  assert.equal(leftMs(job(10, 'Complete', 'False'), NOW), undefined);
});
