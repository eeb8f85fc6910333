// Writes a bbolt database file in one go, from buckets whose keys come in order. Pages are written as they fill up, so
// that memory stays the same however large the file gets; the meta pages, which stand first, are written last.
import type { FileHandle } from 'node:fs/promises';
import {
  BboltError, BRANCH_PAGE, BUCKET_ELEMENT, BUCKET_HEADER, ELEMENT, encodeMeta, FREELIST_PAGE, LEAF_PAGE, PAGE_HEADER, PAGE_SIZE, writePageHeader,
} from './format.ts';

/** Bytes of finished pages that wait to be written together. */
const WRITE_BATCH_BYTES = 1024 * 1024;
const FIRST_FREE_PAGE = 2;
/** A page cannot tell of more. */
const MAX_COUNT = 0xfffe;

export type KeyAndValue = readonly [key: Uint8Array, value: Uint8Array];
export interface BucketSource {
  readonly name: string;
  /** In byte order of the keys. */
  readonly items: Iterable<KeyAndValue> | AsyncIterable<KeyAndValue>;
}

/** `buckets` in byte order of their names. Returns the size of the file in bytes. */
export async function writeBbolt(file: FileHandle, buckets: readonly BucketSource[]): Promise<number> {
  const pages = new PageWriter(file);
  const root = new TreeWriter(pages);
  for (const { name, items } of buckets) {
    const tree = new TreeWriter(pages);
    for await (const [key, value] of items) {
      tree.add(key, value);
      if (pages.isFull) await pages.flush();
    }
    root.add(Buffer.from(name), bucketValue(tree.finish()), BUCKET_ELEMENT);
  }
  const rootPage = root.finish() ?? pages.append(LEAF_PAGE, 0, Buffer.alloc(0));
  const freelistPage = pages.append(FREELIST_PAGE, 0, Buffer.alloc(0));
  await pages.flush();
  const meta = { pageSize: PAGE_SIZE, rootPage, freelistPage: BigInt(freelistPage), pageCount: pages.count };
  // As bbolt writes a copy of a database: both are good, the first is newer.
  await writeAll(file, Buffer.concat([encodeMeta(0, { ...meta, txid: 1n }), encodeMeta(1, { ...meta, txid: 0n })]), 0);
  return pages.count * PAGE_SIZE;
}

/** An empty bucket has its page inline. */
function bucketValue(rootPage: number | undefined): Buffer {
  const value = Buffer.alloc(rootPage === undefined ? BUCKET_HEADER + PAGE_HEADER : BUCKET_HEADER);
  if (rootPage !== undefined) value.writeBigUInt64LE(BigInt(rootPage), 0);
  else writePageHeader(value.subarray(BUCKET_HEADER), { id: 0, flags: LEAF_PAGE, count: 0 });
  return value;
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

class PageWriter {
  private readonly file: FileHandle;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private flushedPages = FIRST_FREE_PAGE;
  private nextPage = FIRST_FREE_PAGE;

  constructor(file: FileHandle) {
    this.file = file;
  }

  get count(): number {
    return this.nextPage;
  }

  get isFull(): boolean {
    return this.pendingBytes >= WRITE_BATCH_BYTES;
  }

  /** `body`: what follows the header. Returns the id of the page; what does not fit goes on in the pages after it. */
  append(flags: number, count: number, body: Buffer): number {
    const id = this.nextPage;
    const pageCount = Math.ceil((PAGE_HEADER + body.length) / PAGE_SIZE);
    const page = Buffer.alloc(pageCount * PAGE_SIZE);
    writePageHeader(page, { id, flags, count, overflow: pageCount - 1 });
    body.copy(page, PAGE_HEADER);
    this.pending.push(page);
    this.pendingBytes += page.length;
    this.nextPage += pageCount;
    return id;
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.pending);
    this.pending = [];
    this.pendingBytes = 0;
    await writeAll(this.file, bytes, this.flushedPages * PAGE_SIZE);
    this.flushedPages = this.nextPage;
  }
}

interface Item {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Flags of a leaf element; page of a branch element. */
  readonly extra: number;
}

/** The page of one level that is being filled. */
class Level {
  items: Item[] = [];
  bytes = PAGE_HEADER;
  writtenPages = 0;
}

class TreeWriter {
  private readonly pages: PageWriter;
  /** Leaves first. */
  private readonly levels: Level[] = [new Level()];
  private previousKey: Uint8Array | undefined;

  constructor(pages: PageWriter) {
    this.pages = pages;
  }

  add(key: Uint8Array, value: Uint8Array, flags = 0): void {
    if (this.previousKey !== undefined && Buffer.compare(this.previousKey, key) >= 0) throw new BboltError('keys of a bucket must come in order');
    this.previousKey = key;
    this.addTo(0, { key, value, extra: flags });
  }

  private addTo(at: number, item: Item): void {
    const level = (this.levels[at] ??= new Level());
    const size = ELEMENT + item.key.length + item.value.length;
    if (level.items.length > 0 && (level.bytes + size > PAGE_SIZE || level.items.length >= MAX_COUNT)) this.flush(at);
    level.items.push(item);
    level.bytes += size;
  }

  private flush(at: number): void {
    const level = this.levels[at] as Level;
    const [first] = level.items;
    if (first === undefined) return;
    const page = this.pages.append(at === 0 ? LEAF_PAGE : BRANCH_PAGE, level.items.length, encodeElements(level.items, at === 0));
    level.items = [];
    level.bytes = PAGE_HEADER;
    level.writtenPages += 1;
    this.addTo(at + 1, { key: first.key, value: NO_VALUE, extra: page });
  }

  /** Returns the root page; undefined when nothing was added. */
  finish(): number | undefined {
    for (let at = 0; ; at += 1) {
      const level = this.levels[at] as Level;
      const [only] = level.items;
      if (at === 0 && only === undefined && level.writtenPages === 0) return undefined;
      if (at > 0 && level.writtenPages === 0 && level.items.length === 1) return only?.extra;
      this.flush(at);
    }
  }
}

const NO_VALUE = Buffer.alloc(0);

/** The elements, and behind them the keys and values they point at. */
function encodeElements(items: readonly Item[], isLeaf: boolean): Buffer {
  const size = items.reduce((sum, { key, value }) => sum + ELEMENT + key.length + value.length, 0);
  const body = Buffer.allocUnsafe(size);
  let data = items.length * ELEMENT;
  items.forEach(({ key, value, extra }, index) => {
    const element = index * ELEMENT;
    if (isLeaf) {
      body.writeUInt32LE(extra, element);
      body.writeUInt32LE(data - element, element + 4);
      body.writeUInt32LE(key.length, element + 8);
      body.writeUInt32LE(value.length, element + 12);
    } else {
      body.writeUInt32LE(data - element, element);
      body.writeUInt32LE(key.length, element + 4);
      body.writeBigUInt64LE(BigInt(extra), element + 8);
    }
    body.set(key, data);
    body.set(value, data + key.length);
    data += key.length + value.length;
  });
  return body;
}
