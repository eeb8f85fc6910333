import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Write } from '../core/store.ts';
import { putEntry } from '../core/testing.ts';
import type { Database, Progress } from './database.ts';
import { StateWriter } from './state-writer.ts';

const putOf = (modRevision: number): Write => ({ type: 'put-entry', entry: putEntry('k', modRevision, new Uint8Array(9)) });

function newWriter(write: (writes: readonly Write[], progress: Progress) => Promise<void>): { writer: StateWriter; failures: Error[] } {
  const failures: Error[] = [];
  const writer = new StateWriter({
    database: { write } as unknown as Database, written: { appliedIndex: 0, revision: 1 }, onCommit: () => undefined, onWritten: () => undefined, onFatal: (error) => failures.push(error),
  });
  return { writer, failures };
}

test('each batch holds whole groups, in order, with the index of the last one', async () => {
  const batches: { count: number; index: number }[] = [];
  const { writer } = newWriter((writes, { appliedIndex }) => {
    batches.push({ count: writes.length, index: appliedIndex });
    return Promise.resolve();
  });
  let revision = 1;
  for (let index = 1; index <= 7; index += 1) writer.add(Array.from({ length: 600 }, () => putOf((revision += 1))), { appliedIndex: index, revision });
  await writer.flush();
  assert.deepEqual(batches, [{ count: 1800, index: 3 }, { count: 1800, index: 6 }, { count: 600, index: 7 }]);
  assert.deepEqual(writer.written, { appliedIndex: 7, revision: 4201 });
});

test('who wants to see the database before a group is called when all others before it are there', async () => {
  const seen: string[] = [];
  const { writer } = newWriter((_, { appliedIndex }) => {
    seen.push(`written ${appliedIndex}`);
    return Promise.resolve();
  });
  for (const index of [1, 2, 3, 4]) writer.add([putOf(index + 1)], { appliedIndex: index, revision: index + 1 }, index === 3 ? () => seen.push('before 3') : undefined);
  await writer.flush();
  assert.deepEqual(seen, ['written 2', 'before 3', 'written 4']);
});

test('what comes while a batch is written is written after it', async () => {
  let release: () => void = () => undefined;
  const indexes: number[] = [];
  const { writer } = newWriter((_, { appliedIndex }) => {
    indexes.push(appliedIndex);
    return appliedIndex === 1 ? new Promise((resolve) => { release = resolve; }) : Promise.resolve();
  });
  writer.add([putOf(2)], { appliedIndex: 1, revision: 2 });
  const first = writer.flush();
  writer.add([putOf(3)], { appliedIndex: 2, revision: 3 });
  const second = writer.flush();
  release();
  await Promise.all([first, second]);
  assert.deepEqual(indexes, [1, 2]);
});

test('an error of the database is fatal, and nothing is tried again', async () => {
  const { writer, failures } = newWriter(() => Promise.reject(new Error('no space left on device')));
  writer.add([putOf(2)], { appliedIndex: 1, revision: 2 });
  await writer.flush();
  writer.add([putOf(3)], { appliedIndex: 2, revision: 3 });
  await writer.flush();
  assert.deepEqual(failures.map(({ message }) => message), ['failed to write to the database: no space left on device']);
});
