// Whatever a peer sends, the core answers, ignores it or refuses it; it neither throws anything else nor hangs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom, type Random } from '#lib/environment/random.ts';
import { confChange, MESSAGE_TYPES, type Entry, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { LogLost, MessageRefused, ProposalDropped } from './raft.ts';
import { message, OrderlyCluster } from './testing/orderly-cluster.ts';

const MESSAGES = 300;
const NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7, 100, Number.MAX_SAFE_INTEGER, -1, 2 ** 60];
const CHANGE = confChange.encode({ id: 7n, type: 'ConfChangeAddNode', nodeId: 2n });

function randomMessage(random: Random, term: number): RaftMessage {
  const below = (limit: number): number => integerBelow(random, limit);
  const number = (): number => (below(4) === 0 ? NUMBERS[below(NUMBERS.length)] ?? 0 : below(6));
  const id = (): bigint => BigInt(below(5));
  const index = number();
  const entries = Array.from({ length: below(4) }, (_, at): Entry => ({
    type: (['EntryNormal', 'EntryNormal', 'EntryConfChange', 'EntryConfChangeV2', 'UNRECOGNIZED'] as const)[below(5)] ?? 'EntryNormal',
    term: below(3) === 0 ? number() : term, index: below(5) === 0 ? number() : index + 1 + at, data: below(2) === 0 ? CHANGE : Buffer.alloc(below(9), below(256)),
  }));
  const metadata = { index: number(), term: number(), confState: { voters: [id(), 1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false } };
  return message(MESSAGE_TYPES[below(MESSAGE_TYPES.length)] ?? 'MsgApp', {
    to: 1n, from: id(), term: below(3) === 0 ? number() : term, logTerm: number(), index, entries, commit: number(), reject: below(2) === 0, rejectHint: number(),
    context: Buffer.alloc(below(2) * 8, below(3)), snapshot: below(3) === 0 ? { data: Buffer.alloc(0), metadata: below(3) === 0 ? undefined : metadata } : undefined,
  });
}

test('nonsense from peers is refused or ignored', () => {
  const refusals = new Map<string, number>();
  for (let seed = 1; seed <= 150; seed += 1) {
    const random = seededRandom(seed);
    const cluster = new OrderlyCluster([1n, 2n, 3n], { random });
    const member = cluster.member(1n);
    if (seed % 2 === 0) cluster.elect(1n);
    try {
      for (let at = 0; at < MESSAGES; at += 1) {
        try {
          member.raft.step(randomMessage(random, member.raft.term));
        } catch (error) {
          if (!(error instanceof MessageRefused) && !(error instanceof ProposalDropped)) throw error;
          refusals.set(error.name, (refusals.get(error.name) ?? 0) + 1);
        }
        if (at % 3 === 0 && member.raft.hasReady()) member.work();
        if (at % 10 === 0) member.raft.tick();
      }
    } catch (error) {
      if (!(error instanceof LogLost)) throw new Error(`seed ${seed}: ${String(error)}`, { cause: error }); // the process would end: a commit index of entries that are not there
      refusals.set(error.name, (refusals.get(error.name) ?? 0) + 1);
    }
  }
  assert.deepEqual([...refusals.keys()].toSorted(), ['LogLost', 'MessageRefused', 'ProposalDropped']);
});
