// The log on a real disk: what was saved is there after a crash at any point, and damage is told from a crash.
import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pino from 'pino';
import type { Entry } from '#lib/etcd-api/raft-messages.ts';
import { bytes, int64, message, uint32 } from '#lib/etcd-api/wire.ts';
import { temporaryFolder } from '../testing.ts';
import { crc32c } from '../core/crc32c.ts';
import { systemDisk } from './wal-file.ts';
import { WalCorrupt } from './wal-record.ts';
import { readWal, Wal, type WalContents, type WalOptions } from './wal.ts';

const folder = temporaryFolder();
after(() => folder.remove());
const log = pino({ level: 'silent' });
let count = 0;
const newPath = (): string => join(folder.path, `wal-${count++}`);
const start = { nodeId: 7n, clusterId: 2n ** 63n + 1n, snapshot: { index: 0, term: 0 }, hardState: { term: 1, vote: 0n, commit: 0 }, entries: [] };
const entryOf = (index: number, term = 1, data = `entry ${index}`): Entry => ({ type: 'EntryNormal', term, index, data: Buffer.from(data) });
const create = (path: string, options: Partial<WalOptions> = {}): Promise<Wal> => Wal.create(path, start, { log, ...options });

const read = (path: string): Promise<WalContents> => readWal(path, log);
const indexes = ({ entries }: WalContents): number[] => entries.map(({ index }) => index);
const segmentsIn = (path: string): string[] => readdirSync(path).filter((name) => name.endsWith('.wal')).sort();

test('what was saved is read again, the newest of what has one index, and can be added to', async () => {
  const path = newPath();
  const wal = await create(path);
  await wal.save([entryOf(1), entryOf(2), entryOf(3)], { term: 1, vote: 7n, commit: 1 }, true);
  await wal.save([{ type: 'EntryConfChange', term: 2, index: 2, data: Buffer.alloc(70_000, 1) }], { term: 2, vote: 2n ** 64n - 1n, commit: 1 }, true);
  await wal.save([], { term: 2, vote: 2n ** 64n - 1n, commit: 2 }, false);
  await wal.close();
  const { wal: again, contents } = await Wal.open(path, { log });
  assert.deepEqual(contents, {
    nodeId: 7n, clusterId: 2n ** 63n + 1n, snapshot: { index: 0, term: 0, confState: undefined }, hardState: { term: 2, vote: 2n ** 64n - 1n, commit: 2 },
    entries: [entryOf(1), { type: 'EntryConfChange', term: 2, index: 2, data: Buffer.alloc(70_000, 1) }],
  });
  await again.save([entryOf(3, 2)], undefined, true);
  await again.close();
  assert.deepEqual(indexes(await read(path)), [1, 2, 3]);
});

test('the file is what etcd writes: frames of records whose checksums go on from one another', async () => {
  const path = newPath();
  const wal = await create(path);
  await wal.save([entryOf(1)], { term: 1, vote: 7n, commit: 0 }, true);
  await wal.close();
  assert.deepEqual(segmentsIn(path), ['0000000000000000-0000000000000000.wal']);
  const file = readFileSync(join(path, '0000000000000000-0000000000000000.wal'));
  const record = message({ type: int64(1), crc: uint32(2), data: bytes(3) });
  const types: number[] = [];
  let crc = 0;
  for (let at = 0; at < file.length;) {
    const size = file.readUIntLE(at, 6);
    const padding = (file[at + 7] as number) & 0x7;
    const { type, crc: stored, data } = record.decode(file.subarray(at + 8, at + 8 + size));
    crc = type === 4 ? stored : crc32c(data, crc);
    assert.equal(stored, crc);
    assert.equal((size + padding) % 8, 0);
    types.push(type);
    at += 8 + size + padding;
  }
  assert.deepEqual(types, [4, 1, 5, 3, 4, 2, 3]);
});

test('a crash at any byte leaves a prefix of the records with all that were synced', async () => {
  const path = newPath();
  const wal = await create(path);
  const synced: { readonly size: number; readonly last: number }[] = [{ size: wal.sizeBytes, last: 0 }];
  for (let index = 1; index <= 9; index += 3) {
    await wal.save([entryOf(index), entryOf(index + 1, 1, 'x'.repeat(600)), entryOf(index + 2)], { term: 1, vote: 7n, commit: index }, true);
    synced.push({ size: wal.sizeBytes, last: index + 2 });
  }
  await wal.close();
  const name = segmentsIn(path)[0] as string;
  const whole = readFileSync(join(path, name));
  const crashed = newPath();
  mkdirSync(crashed);
  const check = async (size: number, file: Buffer): Promise<void> => {
    writeFileSync(join(crashed, name), file);
    const found = indexes(await read(crashed));
    assert.deepEqual(found, Array.from({ length: found.length }, (_, at) => at + 1), `cut at ${size}`);
    const promised = synced.findLast((point) => point.size <= size)?.last ?? 0;
    assert.ok(found.length >= promised, `cut at ${size}: ${found.length} entries, ${promised} were synced`);
    if (size % 7 !== 0) return;
    const { wal: again, contents } = await Wal.open(crashed, { log });
    await again.save([entryOf(found.length + 1, 2)], undefined, true);
    assert.deepEqual([indexes(contents), indexes(await read(crashed))], [found, [...found, found.length + 1]], `cut at ${size}: the start after it`);
    await again.close();
  };
  for (let size = synced[0]?.size ?? 0; size <= whole.length; size += 1) await check(size, whole.subarray(0, size));
  // With space set aside, a sector that was not written reads as zeroes.
  for (let size = 512; size < whole.length; size += 512) {
    if (size >= (synced[0]?.size ?? 0)) await check(size, Buffer.concat([whole.subarray(0, size), Buffer.alloc(whole.length - size + 4096)]));
  }
});

test('damage anywhere in what was synced is refused, whichever byte it hits', async () => {
  const path = newPath();
  const wal = await create(path);
  for (let index = 1; index <= 4; index += 1) await wal.save([entryOf(index, 1, 'y'.repeat(index * 50))], { term: 1, vote: 7n, commit: index - 1 }, true);
  await wal.close();
  const name = segmentsIn(path)[0] as string;
  const whole = readFileSync(join(path, name));
  const damaged = newPath();
  mkdirSync(damaged);
  for (const setAside of [0, 4096]) {
    for (let at = 0; at < whole.length; at += 1) {
      for (const bit of at % 8 === 0 ? [0x01, 0x80] : [1 << at % 8]) {
        const file = Buffer.concat([whole, Buffer.alloc(setAside)]);
        file[at] = (file[at] as number) ^ bit;
        writeFileSync(join(damaged, name), file);
        const found = await read(damaged).then(indexes, (error: unknown) => error);
        if (Array.isArray(found)) assert.deepEqual(found, [1, 2, 3, 4], `bit ${bit} of byte ${at} went unnoticed`); // padding, or a bit without meaning
        else assert.ok(found instanceof WalCorrupt, `byte ${at}: ${String(found)}`);
      }
    }
  }
  const blank = Buffer.from(whole);
  blank.fill(0, 128, 640); // a sector of a middle record
  writeFileSync(join(damaged, name), blank);
  await assert.rejects(read(damaged), /crc mismatch in file '0000000000000000-0000000000000000.wal' at position: \d+/);
});

test('segments are cut when full, go on from one another, and are removed when a snapshot covers them', async () => {
  const path = newPath();
  const wal = await create(path, { segmentBytes: 2000 });
  for (let index = 1; index <= 30; index += 1) await wal.save([entryOf(index, 1, 'z'.repeat(200))], { term: 1, vote: 7n, commit: index }, true);
  assert.ok(segmentsIn(path).length > 3);
  assert.deepEqual(indexes(await read(copyOf(path))), Array.from({ length: 30 }, (_, at) => at + 1));
  await wal.saveSnapshot({ index: 25, term: 1, confState: { voters: [7n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false } });
  await wal.release(25);
  assert.ok(segmentsIn(path).length <= 2, String(segmentsIn(path)));
  await wal.save([entryOf(31)], undefined, true);
  await wal.close();
  const contents = await read(path);
  assert.deepEqual(indexes(contents), [26, 27, 28, 29, 30, 31]);
  assert.deepEqual([contents.snapshot.index, contents.snapshot.confState?.voters, contents.hardState.commit], [25, [7n], 30]);
  rmSync(join(path, segmentsIn(path)[0] as string));
  await assert.rejects(read(path));
});

test('so many segments stay though a snapshot covers them, and a start reads only those that it needs', async () => {
  const path = newPath();
  const wal = await create(path, { segmentBytes: 1000, maxWals: 3 });
  for (let index = 1; index <= 60; index += 1) await wal.save([entryOf(index)], { term: 1, vote: 7n, commit: index }, true);
  await wal.saveSnapshot({ index: 58, term: 1, confState: undefined });
  const all = segmentsIn(path);
  assert.ok(all.length > 4);
  await wal.release(58);
  const left = all.slice(-3);
  assert.deepEqual(segmentsIn(path), left);
  await wal.close();
  const whole = await read(path);
  assert.deepEqual([whole.snapshot.index, indexes(whole)], [58, [59, 60]]);

  const isCovered = left.slice(0, -1).filter((_, at) => Number.parseInt((left[at + 1] as string).slice(17, 33), 16) <= 59);
  assert.ok(isCovered.length > 0);
  for (const name of isCovered) writeFileSync(join(path, name), 'damaged');
  assert.deepEqual(await read(path), whole);
  writeFileSync(join(path, left.at(-1) as string), 'damaged');
  await assert.rejects(read(path), WalCorrupt);
});

test('a crash around a cut leaves all that was synced: with room set aside behind an older segment, and a file prepared for the next', async () => {
  const path = newPath();
  const wal = await create(path, { segmentBytes: 2000 });
  for (let index = 1; index <= 30; index += 1) {
    await wal.save([entryOf(index, 1, 'z'.repeat(200))], { term: 1, vote: 7n, commit: index }, true);
    const crashed = copyOf(path);
    for (const name of segmentsIn(crashed)) appendFileSync(join(crashed, name), Buffer.alloc(300_000));
    writeFileSync(join(crashed, '0.tmp'), Buffer.alloc(300_000));
    writeFileSync(join(crashed, '1.tmp'), readFileSync(join(crashed, segmentsIn(crashed).at(-1) as string)));
    const { wal: again, contents } = await Wal.open(crashed, { log, segmentBytes: 2000 });
    assert.equal(contents.entries.length, index);
    for (let more = 1; more <= 12; more += 1) await again.save([entryOf(index + more, 2, 'z'.repeat(200))], undefined, true);
    await again.close();
    assert.equal((await read(crashed)).entries.length, index + 12);
    assert.ok(readdirSync(crashed).every((name) => name.endsWith('.wal')), 'nothing else is left behind');
  }
  await wal.close();
});

test('a snapshot from elsewhere counts once it is committed, and what was there before until then', async () => {
  const path = newPath();
  const wal = await create(path);
  await wal.save([entryOf(1), entryOf(2)], { term: 1, vote: 7n, commit: 2 }, true);
  await wal.saveSnapshot({ index: 50, term: 3, confState: undefined });
  assert.deepEqual(indexes(await read(copyOf(path))), [1, 2]);
  await wal.save([entryOf(51, 3)], { term: 3, vote: 0n, commit: 50 }, true);
  const contents = await read(copyOf(path));
  assert.deepEqual([indexes(contents), contents.snapshot.index], [[51], 50]);
  await wal.close();
});

test('an error of the disk is told, for this and for every later write', async () => {
  const path = newPath();
  let isFailing = false;
  const wal = await create(path, { disk: { append: () => (isFailing ? Promise.reject(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })) : Promise.resolve()) } });
  await wal.save([entryOf(1)], undefined, true);
  isFailing = true;
  await assert.rejects(wal.save([entryOf(2)], undefined, true), /EIO/);
  isFailing = false;
  await assert.rejects(wal.save([entryOf(3)], undefined, true), /EIO/);
});

test('when no space can be set aside that is told once for a file, and records go on without', async () => {
  const path = newPath();
  const told: string[] = [];
  const wal = await create(path, {
    log: pino({ base: null, level: 'warn' }, { write: (line: string) => told.push((JSON.parse(line) as { msg: string }).msg) }),
    disk: { append: (fd, bytes, position) => (bytes.every((byte) => byte === 0) ? Promise.reject(new Error('ENOSPC: no space left on device, write')) : systemDisk.append(fd, bytes, position)) },
  });
  for (let index = 1; index <= 50; index += 1) await wal.save([entryOf(index)], { term: 1, vote: 7n, commit: index }, true);
  await wal.close();
  assert.deepEqual(told, ['failed to set space aside in the WAL']);
  assert.equal((await read(path)).entries.length, 50);
});

test('a new log takes little space', async () => {
  const path = newPath();
  await (await create(path)).close();
  assert.ok(statSync(join(path, segmentsIn(path)[0] as string)).size < 4096);
});

function copyOf(path: string): string {
  const copy = newPath();
  cpSync(path, copy, { recursive: true });
  return copy;
}
