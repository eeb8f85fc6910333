import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionHealth } from './connection-health.ts';

test('connections are asked after 30 s and given 15 s, or what the variables of upstream\'s library say', () => {
  assert.deepEqual(connectionHealth({}), { readIdleMs: 30_000, pingMs: 15_000 });
  assert.deepEqual(connectionHealth({ HTTP2_READ_IDLE_TIMEOUT_SECONDS: '5', HTTP2_PING_TIMEOUT_SECONDS: '3' }), { readIdleMs: 5_000, pingMs: 3_000 });
  assert.deepEqual(connectionHealth({ HTTP2_READ_IDLE_TIMEOUT_SECONDS: '0', HTTP2_PING_TIMEOUT_SECONDS: 'soon' }), { readIdleMs: 0, pingMs: 15_000 });
});
