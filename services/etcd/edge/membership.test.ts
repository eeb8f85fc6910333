// Waiting for the leader goes by steady time: setting the machine's clock neither cuts it short nor makes it last.
import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { systemClock } from '#lib/environment/clock.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { Member } from './member.ts';
import { Membership } from './membership.ts';

const HOUR_MS = 3_600_000;

/** A member that knows its leader, and waits for it for `requestTimeoutMs`. */
function membershipWith(requestTimeoutMs: number): Membership {
  const member = { leader: 2n, isLeader: false, requestTimeoutMs, cluster: { get: () => ({ peerUrls: ['https://leader:2380'] }) } } as unknown as Member;
  return new Membership({ member, clock: systemClock, strictReconfigCheck: true, heartbeatMs: 10, electionMs: 100 });
}

/** The machine's clock, set by so much. */
function setClock(t: TestContext): (byMs: number) => void {
  const now = Date.now.bind(Date);
  let shiftMs = 0;
  t.mock.method(Date, 'now', () => now() + shiftMs);
  return (byMs) => { shiftMs = byMs; };
}

test('a leader that answers after the clock was put forward is still heard', async (t) => {
  const shift = setClock(t);
  const ask = mock.fn(() => {
    shift(HOUR_MS);
    return Promise.resolve(ask.mock.callCount() > 0);
  });
  await membershipWith(10_000).askLeader(ask);
  assert.equal(ask.mock.callCount(), 2);
});

test('a leader that does not answer is given up in time though the clock was put back', async (t) => {
  const shift = setClock(t);
  const startMs = performance.now();
  await assert.rejects(membershipWith(200).askLeader(() => {
    shift(-HOUR_MS);
    return Promise.resolve(false);
  }), (error: unknown) => error instanceof EtcdError && error.reason === 'Timeout');
  assert.ok(performance.now() - startMs < 5_000);
});
