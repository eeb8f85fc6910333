import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { BboltError, PAGE_SIZE } from './format.ts';
import { BboltReader } from './reader.ts';
import { writeBbolt, type KeyAndValue } from './writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'bbolt-test-'));
after(() => rmSync(folder, { recursive: true }));

let count = 0;
const newFile = (): Promise<FileHandle> => open(join(folder, String(count++)), 'wx+');
async function itemsOf(reader: BboltReader, bucket: string): Promise<[string, string][]> {
  const items: [string, string][] = [];
  for await (const [key, value] of reader.items(bucket)) items.push([Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')]);
  return items;
}

/** Sorted; some values take several pages. */
function randomItems(seed: number, size: number): KeyAndValue[] {
  const random = seededRandom(seed);
  return Array.from({ length: size }, (_, at): KeyAndValue => {
    const key = Buffer.alloc(4 + integerBelow(random, 30), at);
    key.writeUInt32BE(at);
    return [key, Buffer.alloc(integerBelow(random, 20) === 0 ? integerBelow(random, 3 * PAGE_SIZE) : integerBelow(random, 200), at)];
  });
}

for (const size of [0, 1, 2, 50, 20_000]) {
  test(`a bucket of ${size} is read as it was written`, async () => {
    const file = await newFile();
    const items = randomItems(size, size);
    const bytes = await writeBbolt(file, [{ name: 'a', items: [[Buffer.from('k'), Buffer.from('v')]] }, { name: 'big', items }, { name: 'empty', items: [] }]);
    assert.equal((await file.stat()).size, bytes);
    const reader = await BboltReader.open(file);
    assert.deepEqual(reader.bucketNames, ['a', 'big', 'empty']);
    assert.deepEqual(await itemsOf(reader, 'big'), items.map(([key, value]) => [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')]));
    assert.deepEqual([await itemsOf(reader, 'empty'), await itemsOf(reader, 'none'), await itemsOf(reader, 'a')], [[], [], [['6b', '76']]]);
    await file.close();
  });
}

test('keys out of order are a defect of the caller', async () => {
  const file = await newFile();
  const item = (key: string): KeyAndValue => [Buffer.from(key), Buffer.alloc(0)];
  await assert.rejects(writeBbolt(file, [{ name: 'a', items: [item('b'), item('a')] }]), BboltError);
  await file.close();
});

test('one damaged meta page is made up for by the other; two are reported, and so is every damaged page header', async () => {
  const file = await newFile();
  await writeBbolt(file, [{ name: 'a', items: randomItems(1, 500) }]);
  await file.write(Buffer.from([1]), 0, 1, 30);
  assert.equal((await itemsOf(await BboltReader.open(file), 'a')).length, 500);
  const { size } = await file.stat();
  for (let page = 2; page < size / PAGE_SIZE - 1; page += 1) {
    const header = Buffer.alloc(16);
    await file.read(header, 0, 16, page * PAGE_SIZE);
    if (header.readBigUInt64LE() !== BigInt(page)) continue; // the inside of a value
    await file.write(Buffer.alloc(16, 0xff), 0, 16, page * PAGE_SIZE);
    await assert.rejects(async () => itemsOf(await BboltReader.open(file), 'a'), BboltError, `page ${page}`);
    await file.write(header, 0, 16, page * PAGE_SIZE);
  }
  await file.write(Buffer.from([1]), 0, 1, PAGE_SIZE + 30);
  await assert.rejects(BboltReader.open(file), /not a bbolt database/);
  await file.truncate(100);
  await assert.rejects(BboltReader.open(file), BboltError);
  await file.close();
});
