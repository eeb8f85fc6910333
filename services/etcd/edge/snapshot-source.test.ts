import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyValue } from '#lib/etcd-api/messages.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { writeBbolt } from './bbolt/writer.ts';
import { readSnapshotFile } from './snapshot-source.ts';

type Item = readonly [key: Uint8Array, value: Uint8Array];

function revisionBytes(main: number, isDeletion = false): Buffer {
  const bytes = Buffer.alloc(isDeletion ? 18 : 17, '_');
  bytes.writeBigUInt64BE(BigInt(main));
  bytes.writeBigUInt64BE(0n, 9);
  if (isDeletion) bytes.write('t', 17);
  return bytes;
}

const put = (key: string, modRevision: number): Item => [revisionBytes(modRevision), keyValue.encode({ key: Buffer.from(key), value: Buffer.from('v'), createRevision: modRevision, modRevision, version: 1, lease: 0n })];
const deletion = (key: string, revision: number): Item => [revisionBytes(revision, true), keyValue.encode({ key: Buffer.from(key), value: Buffer.alloc(0), createRevision: 0, modRevision: 0, version: 0, lease: 0n })];
const compaction = (name: string, revision: number): Item => [Buffer.from(name), revisionBytes(revision)];

async function read(keys: readonly Item[], meta: readonly Item[]): Promise<{ keys: string[]; compactRevision: number }> {
  const file = await open(join(scratchFolder('snapshot-source'), 'db'), 'w+');
  try {
    await writeBbolt(file, [{ name: 'key', items: [...keys] }, { name: 'meta', items: [...meta] }]);
    const source = await readSnapshotFile(file);
    const left: string[] = [];
    for await (const [key, value] of source.entries()) left.push(`${keyValue.decode(value).key.toString()}@${key.readBigUInt64BE()}`);
    return { keys: left, compactRevision: await source.compactRevision() };
  } finally {
    await file.close();
  }
}

const HISTORY = [put('a', 2), put('b', 3), put('a', 4), deletion('b', 5), put('c', 6), put('a', 7)];

test('all of the history is there after a compaction that had ended', async () => {
  assert.deepEqual(await read(HISTORY, [compaction('finishedCompactRev', 1), compaction('scheduledCompactRev', 1)]), { keys: ['a@2', 'b@3', 'a@4', 'b@5', 'c@6', 'a@7'], compactRevision: 1 });
});

test('a compaction that was under way is finished', async () => {
  assert.deepEqual(await read(HISTORY, [compaction('finishedCompactRev', 1), compaction('scheduledCompactRev', 6)]), { keys: ['a@4', 'c@6', 'a@7'], compactRevision: 6 });
});

test('the entry that etcdutl puts at the end to have the revision go on higher is no key', async () => {
  assert.deepEqual(await read([...HISTORY, [revisionBytes(10_007), Buffer.alloc(0)]], [compaction('scheduledCompactRev', 10_007)]), { keys: ['c@6', 'a@7'], compactRevision: 10_007 });
});
