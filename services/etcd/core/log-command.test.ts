import assert from 'node:assert/strict';
import { test } from 'node:test';
import { internalRaftRequest } from '#lib/etcd-api/internal-raft-request.ts';
import { decodeCommand, encodeCommand, type LogCommand } from './log-command.ts';
import { compactTo, put, txn } from './testing.ts';

test('a command comes out of the log as it went in, with who asked', () => {
  const commands: LogCommand[] = [
    put({ key: 'k', value: 'v'.repeat(3000), lease: 7n }), { ...put({ key: 'k' }), by: { username: 'alice', authRevision: 3 } },
    txn({ compare: [{ key: 'a', target: 'MOD', modRevision: 3 }], success: [{ requestPut: { key: 'a', value: 'b' } }] }),
    { type: 'leaseRevoke', request: { ID: -5n } }, { type: 'leaseCheckpoint', request: { checkpoints: [{ ID: 1n, remainingTTL: 30 }] } },
    { type: 'alarm', request: { action: 'ACTIVATE', memberID: 2n ** 63n, alarm: 'NOSPACE' } }, { type: 'clusterVersionSet', request: { ver: '3.6.0' } },
  ];
  for (const command of commands) assert.deepEqual(decodeCommand(encodeCommand(command, 2n ** 60n)), { id: 2n ** 60n, command });
});

test('the fields are those of etcd, and what is of no known kind is told', () => {
  assert.equal(encodeCommand(compactTo(5), 1n).toString('hex'), '3a020805a206020801'); // 7: compaction {1: 5}, 100: header {1: 1}
  assert.deepEqual(decodeCommand(internalRaftRequest.encode({ header: { ID: 9n } })), { id: 9n, command: undefined });
});
