import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextStep, secondsOf } from './controller.ts';

test('the time to live grows with the cluster and does not flap at an edge', () => {
  assert.equal(secondsOf(nextStep(0, 100)), 0);
  assert.equal(secondsOf(nextStep(0, 101)), 15);
  assert.equal(secondsOf(nextStep(1, 95)), 15);
  assert.equal(secondsOf(nextStep(1, 89)), 0);
  assert.equal(secondsOf(nextStep(0, 5000)), 300);
});
