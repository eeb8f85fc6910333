import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Probe } from '#lib/kinds/types/core-v1.ts';
import { afterProbe, initialProbeState, portNumber, shouldProbe, type ProbeSituation } from './probe-state.ts';
import { container } from './testing.ts';

const situation = (more: Partial<ProbeSituation> = {}): ProbeSituation => ({ type: 'readiness', probe: {}, isRunning: true, runningSeconds: 60, isStarted: true, isTerminating: false, ...more });

test('before any run a container counts as alive, not ready, and not known to have started', () => {
  assert.deepEqual((['liveness', 'readiness', 'startup'] as const).map((type) => initialProbeState(type, 'c').verdict), ['success', 'failure', 'unknown']);
});

test('a verdict needs as many results in a row as the threshold says', () => {
  const probe: Probe = { failureThreshold: 3, successThreshold: 2 };
  let state = initialProbeState('readiness', 'c');
  const verdicts = (['success', 'success', 'failure', 'failure', 'success', 'failure', 'failure', 'failure'] as const).map((result) => (state = afterProbe(state, result, 'readiness', probe)).verdict);
  assert.deepEqual(verdicts, ['failure', 'success', 'success', 'success', 'success', 'success', 'success', 'failure']);
});

test('a container found dead is not probed again', () => {
  const state = afterProbe(initialProbeState('liveness', 'c'), 'failure', 'liveness', { failureThreshold: 1 });
  assert.deepEqual([state.verdict, state.onHold], ['failure', true]);
  assert.equal(shouldProbe(state, situation({ type: 'liveness' })), false);
});

test('probes wait for their initial delay, in whole seconds', () => {
  const probe: Probe = { initialDelaySeconds: 10 };
  assert.equal(shouldProbe(initialProbeState('readiness', 'c'), situation({ probe, runningSeconds: 9 })), false);
  assert.equal(shouldProbe(initialProbeState('readiness', 'c'), situation({ probe, runningSeconds: 10 })), true);
});

test('until the startup probe has passed only it runs, and afterwards only the others', () => {
  const runs = (type: ProbeSituation['type'], isStarted: boolean): boolean => shouldProbe(initialProbeState(type, 'c'), situation({ type, isStarted }));
  assert.deepEqual([runs('startup', false), runs('liveness', false), runs('readiness', false)], [true, false, false]);
  assert.deepEqual([runs('startup', true), runs('liveness', true), runs('readiness', true)], [false, true, true]);
});

test('of a pod that is being ended only readiness is probed', () => {
  assert.equal(shouldProbe(initialProbeState('liveness', 'c'), situation({ type: 'liveness', isTerminating: true })), false);
  assert.equal(shouldProbe(initialProbeState('readiness', 'c'), situation({ isTerminating: true })), true);
});

test('a port may be given by the name of a container port', () => {
  const one = container('a', { ports: [{ name: 'http', containerPort: 8080 }] });
  assert.deepEqual([portNumber('http', one), portNumber(80, one), portNumber('81', one), portNumber('nope', one)], [8080, 80, 81, undefined]);
});
