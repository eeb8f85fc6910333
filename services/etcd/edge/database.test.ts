import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import type { Write } from '../core/store.ts';
import { putEntry } from '../core/testing.ts';
import { Database } from './database.ts';

const putOf = (key: string, modRevision: number, bytes = 10): Extract<Write, { type: 'put-entry' }> => ({ type: 'put-entry', entry: putEntry(key, modRevision, new Uint8Array(bytes)) });

async function entriesOf(database: Database): Promise<string[]> {
  const view = database.view();
  const keys: string[] = [];
  for await (const [key] of view.entries()) keys.push(String(key.readBigUInt64BE()));
  await view.close();
  return keys;
}

test('changes beyond the progress count for nobody, and are gone at the next start', async () => {
  const folder = scratchFolder('database');
  const database = await Database.open(folder);
  await database.write([putOf('a', 2), putOf('b', 3)], { appliedIndex: 4, term: 1, revision: 3 });
  await database.write([putOf('half', 4), putOf('of a batch', 5)]); // as a crash leaves it
  assert.deepEqual(await entriesOf(database), ['2', '3']);
  await database.close();

  const again = await Database.open(folder);
  const { entries, revision } = await again.load(1000);
  assert.deepEqual([[...entries].map(({ key }) => key), revision], [['a', 'b'], 3]);
  await again.write([putOf('c', 4)], { appliedIndex: 5, term: 1, revision: 4 });
  await again.write([putOf('d', 6)], { appliedIndex: 6, term: 1, revision: 6 });
  assert.deepEqual(await entriesOf(again), ['2', '3', '4', '6']);
  await again.close();
});

test('a large batch is there as a whole, with what follows its changes', async () => {
  const database = await Database.open(scratchFolder('database'));
  await database.write([putOf('a', 2)], { appliedIndex: 4, term: 1, revision: 2 });
  await database.load(0);
  const large = Array.from({ length: 10 }, (_, at) => putOf(`k${at}`, at + 3, 1024 * 1024));
  const lease: Write = { type: 'put-lease', lease: { id: 7n, grantedTtl: 60, remainingTtl: 0 } as Extract<Write, { type: 'put-lease' }>['lease'] };
  const [{ entry }] = large as [ReturnType<typeof putOf>];
  await database.write([...large.slice(0, 5), lease, ...large.slice(5), { type: 'delete-entry', entry }], { appliedIndex: 5, term: 1, revision: 12 });
  const { entries, leases, appliedIndex } = await database.load(0);
  assert.deepEqual([[...entries].map(({ modRevision }) => modRevision), [...leases].length, appliedIndex], [[2, 4, 5, 6, 7, 8, 9, 10, 11, 12], 1, 5]);
  await database.close();
});
