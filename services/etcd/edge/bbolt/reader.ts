// Reads a bbolt database file, bucket by bucket, a page at a time. What is damaged is reported, never guessed.
import type { FileHandle } from 'node:fs/promises';
import { BboltError, BRANCH_PAGE, BUCKET_ELEMENT, BUCKET_HEADER, decodeMeta, ELEMENT, LEAF_PAGE, PAGE_HEADER, type Meta } from './format.ts';
import type { KeyAndValue } from './writer.ts';

const MIN_PAGE = 1024;
const MAX_PAGE = 64 * 1024;
/** No tree of 2^63 keys is deeper. */
const MAX_DEPTH = 64;
/** A value in etcd is at most some megabytes; more is damage. */
const MAX_PAGE_RUN_BYTES = 1024 ** 3;

export class BboltReader {
  private readonly file: FileHandle;
  private readonly meta: Meta;
  private readonly roots = new Map<string, number | Buffer>();

  private constructor(file: FileHandle, meta: Meta) {
    this.file = file;
    this.meta = meta;
  }

  /** Throws BboltError when it is no such file, or a damaged one. */
  static async open(file: FileHandle): Promise<BboltReader> {
    const reader = new BboltReader(file, await readMeta(file));
    const { size } = await file.stat();
    if (size < reader.meta.pageCount * reader.meta.pageSize) throw new BboltError(`file of ${size} bytes is too short for ${reader.meta.pageCount} pages`);
    for await (const { key, value, flags } of reader.walk(reader.meta.rootPage)) {
      if ((flags & BUCKET_ELEMENT) === 0) throw new BboltError('the root holds something else than buckets');
      if (value.length < BUCKET_HEADER) throw new BboltError(`bucket ${key.toString()} is damaged`);
      const root = Number(value.readBigUInt64LE(0));
      reader.roots.set(key.toString(), root === 0 ? Buffer.from(value.subarray(BUCKET_HEADER)) : root);
    }
    return reader;
  }

  get sizeBytes(): number {
    return this.meta.pageCount * this.meta.pageSize;
  }

  get bucketNames(): readonly string[] {
    return [...this.roots.keys()];
  }

  /** In order of the keys; nothing when there is no such bucket. */
  async *items(bucket: string): AsyncGenerator<KeyAndValue, void> {
    const root = this.roots.get(bucket);
    if (root === undefined) return;
    for await (const { key, value } of typeof root === 'number' ? this.walk(root) : leafElements(root)) yield [key, value];
  }

  async get(bucket: string, key: string): Promise<Uint8Array | undefined> {
    for await (const [itemKey, value] of this.items(bucket)) if (Buffer.from(itemKey).toString('latin1') === key) return value;
    return undefined;
  }

  private async *walk(pageId: number, depth = 0): AsyncGenerator<Element, void> {
    if (depth > MAX_DEPTH) throw new BboltError('the tree of pages has no end');
    const page = await this.readPage(pageId);
    const flags = page.readUInt16LE(8);
    if ((flags & LEAF_PAGE) !== 0) return yield* leafElements(page);
    if ((flags & BRANCH_PAGE) === 0) throw new BboltError(`page ${pageId} is neither a leaf nor a branch`);
    const count = page.readUInt16LE(10);
    if (PAGE_HEADER + count * ELEMENT > page.length) throw new BboltError(`page ${pageId} is damaged`);
    for (let index = 0; index < count; index += 1) yield* this.walk(Number(page.readBigUInt64LE(PAGE_HEADER + index * ELEMENT + 8)), depth + 1);
  }

  private async readPage(id: number): Promise<Buffer> {
    const { pageSize, pageCount } = this.meta;
    if (!Number.isSafeInteger(id) || id < 2 || id >= pageCount) throw new BboltError(`there is no page ${id}`);
    const first = await read(this.file, id * pageSize, pageSize);
    if (Number(first.readBigUInt64LE(0)) !== id) throw new BboltError(`page ${id} is damaged`);
    const overflow = first.readUInt32LE(12);
    if (overflow === 0) return first;
    const bytes = (overflow + 1) * pageSize;
    if (id + overflow >= pageCount || bytes > MAX_PAGE_RUN_BYTES) throw new BboltError(`page ${id} is damaged`);
    return read(this.file, id * pageSize, bytes);
  }
}

interface Element { readonly key: Buffer; readonly value: Buffer; readonly flags: number }

function* leafElements(page: Buffer): Generator<Element, void> {
  const count = page.length >= PAGE_HEADER ? page.readUInt16LE(10) : -1;
  if (count < 0 || PAGE_HEADER + count * ELEMENT > page.length) throw new BboltError('a leaf page is damaged');
  for (let index = 0; index < count; index += 1) {
    const at = PAGE_HEADER + index * ELEMENT;
    const keyStart = at + page.readUInt32LE(at + 4);
    const valueStart = keyStart + page.readUInt32LE(at + 8);
    const end = valueStart + page.readUInt32LE(at + 12);
    if (end > page.length) throw new BboltError('a leaf page is damaged');
    yield { flags: page.readUInt32LE(at), key: page.subarray(keyStart, valueStart), value: page.subarray(valueStart, end) };
  }
}

/** The newer one of those that are whole. */
async function readMeta(file: FileHandle): Promise<Meta> {
  const first = decodeMeta(await read(file, 0, 128));
  const candidates = [first];
  for (let pageSize = first?.pageSize ?? MIN_PAGE; pageSize <= (first?.pageSize ?? MAX_PAGE); pageSize *= 2) candidates.push(decodeMeta(await read(file, pageSize, 128)));
  const metas = candidates.filter((meta) => meta !== undefined && meta.pageSize >= MIN_PAGE && meta.pageSize <= MAX_PAGE) as Meta[];
  const [newest] = metas.sort((a, b) => (a.txid > b.txid ? -1 : 1));
  if (newest === undefined) throw new BboltError('not a bbolt database, or its meta pages are damaged');
  return newest;
}

async function read(file: FileHandle, position: number, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const { bytesRead } = await file.read(bytes, done, size - done, position + done);
    if (bytesRead === 0) throw new BboltError('unexpected end of file');
    done += bytesRead;
  }
  return bytes;
}
