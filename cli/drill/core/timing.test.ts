import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Expectation, type Sight, type Window } from './timing.ts';

const sight = (holds: Sight['holds']): Sight => ({ holds, text: 'seen' });

/** Feeds what is seen second by second, and tells when and how it ended. */
function outcome(window: Window, seen: readonly Sight['holds'][]): string {
  const expectation = new Expectation(window, 0);
  for (const [second, holds] of seen.entries()) {
    const verdict = expectation.see(sight(holds), second * 1000);
    if (verdict.is !== 'open') return `${verdict.is} at ${second}: ${verdict.text}`;
  }
  return 'open';
}

test('what comes in time is met, what comes late or never is missed', () => {
  assert.equal(outcome({ withinMs: 2000 }, [false, true]), 'met at 1: seen');
  assert.equal(outcome({ withinMs: 2000 }, [false, false, false, true]), 'missed at 3: it came after 3.0 s, and had 2.0 s: seen');
  assert.equal(outcome({ withinMs: 2000 }, [false, false, false, false]), 'missed at 3: not within 2.0 s; seen last: seen');
});

test('what must not come before its time is missed when it does', () => {
  assert.equal(outcome({ withinMs: 9000, afterMs: 3000 }, [false, true]), 'missed at 1: it came after 1.0 s, and must not come before 3.0 s: seen');
  assert.equal(outcome({ withinMs: 9000, afterMs: 3000 }, [false, false, false, true]), 'met at 3: seen');
});

test('what has to stay so is met when it did', () => {
  assert.equal(outcome({ withinMs: 1000, staysMs: 2000 }, [false, true, true, true]), 'met at 3: seen for 2.0 s');
  assert.equal(outcome({ withinMs: 1000, staysMs: 2000 }, [true, true, false]), 'missed at 2: it stayed so for 2.0 s only, and had to for 2.0 s: seen');
});

test('who does not answer is no witness, neither for nor against', () => {
  assert.equal(outcome({ withinMs: 1000, staysMs: 2000 }, [true, 'unknown', 'unknown', true]), 'met at 3: seen for 3.0 s');
  assert.equal(outcome({ withinMs: 1000, staysMs: 2000 }, [true, 'unknown', 'unknown', 'unknown', 'unknown']), 'missed at 4: nobody could tell whether it stayed so: seen');
  assert.match(outcome({ withinMs: 1000 }, ['unknown', 'unknown', 'unknown']), /^missed at 2: not within/);
});
