import assert from 'node:assert/strict';
import { test } from 'node:test';
import { raftMessage, type Entry, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { appendEncoder, decodeAppends, decodeMessages, messageEncoder, StreamDecoder, StreamError } from './codec.ts';

const messageOf = (fields: Parameters<typeof raftMessage.encode>[0]): RaftMessage => raftMessage.decode(raftMessage.encode(fields));
const entryOf = (index: number, term: number): Entry => ({ type: 'EntryNormal', term, index, data: Buffer.from(`entry ${index}`) });
const append = (index: number, logTerm: number, entries: Entry[], term = 3): RaftMessage =>
  messageOf({ type: 'MsgApp', from: 1n, to: 2n, term, logTerm, index, entries, commit: index });

/** What is decoded, whatever the pieces in which the bytes arrive. */
function decode(bytes: Buffer, pieceBytes: number, decoder: (emit: (message: RaftMessage) => void) => StreamDecoder): RaftMessage[] {
  const seen: RaftMessage[] = [];
  const stream = decoder((message) => seen.push(message));
  for (let at = 0; at < bytes.length; at += pieceBytes) stream.push(bytes.subarray(at, at + pieceBytes));
  return seen;
}

test('a message stream carries any message, in whatever pieces it arrives', () => {
  const messages = [messageOf({ type: 'MsgVote', from: 1n, to: 2n ** 64n - 1n, term: 7, logTerm: 2, index: 9 }), append(3, 2, [entryOf(4, 3)])];
  const encoder = messageEncoder();
  const bytes = Buffer.concat([...encoder.encode(messages[0] as RaftMessage), encoder.heartbeat(), ...encoder.encode(messages[1] as RaftMessage)]);
  for (const size of [1, 7, bytes.length]) assert.deepEqual(decode(bytes, size, (emit) => new StreamDecoder(decodeMessages(emit))), messages);
});

test('an append stream leaves out what follows from the append before', () => {
  const messages = [append(5, 3, [entryOf(6, 3), entryOf(7, 3)]), append(7, 3, [entryOf(8, 3)]), append(8, 3, []), append(2, 1, [entryOf(3, 1)]), append(3, 3, [], 4)];
  const encoder = appendEncoder();
  const parts = messages.map((message) => Buffer.concat(encoder.encode(message)));
  assert.deepEqual(parts.map((part) => part[0]), [2, 1, 1, 2, 2]);
  const bytes = Buffer.concat([encoder.heartbeat(), ...parts]);
  for (const size of [1, 13, bytes.length]) assert.deepEqual(decode(bytes, size, (emit) => new StreamDecoder(decodeAppends({ local: 2n, remote: 1n }, emit))), messages);
});

test('members that are sent the same entries are sent the same bytes, and each of them what it was sent', () => {
  const entries = [1, 2, 3, 4, 5].map((index) => entryOf(index, 3));
  const sent = [[0, 0, 1], [1, 0, 1], [0, 1, 3], [1, 1, 2], [1, 2, 3], [0, 3, 5], [1, 3, 5]] as const;
  const encoders = [appendEncoder(), appendEncoder()];
  const got: Buffer[][] = [[], []];
  const expected: RaftMessage[][] = [[], []];
  for (const [to, from, end] of sent) {
    const message = append(from, 3, entries.slice(from, end));
    got[to]?.push(...(encoders[to]?.encode(message) ?? []));
    expected[to]?.push(message);
  }
  for (const to of [0, 1]) assert.deepEqual(decode(Buffer.concat(got[to] ?? []), 100, (emit) => new StreamDecoder(decodeAppends({ local: 2n, remote: 1n }, emit))), expected[to]);
});

test('a length beyond the limit and an unknown kind are refused', () => {
  assert.throws(() => decode(Buffer.alloc(8, 0xff), 8, (emit) => new StreamDecoder(decodeMessages(emit))), StreamError);
  assert.throws(() => decode(Buffer.from([9]), 1, (emit) => new StreamDecoder(decodeAppends({ local: 2n, remote: 1n }, emit))), /failed to parse type 9 in msgappv2 stream/);
});
