// The layout of a bbolt database file, which is what an etcd snapshot is: pages of one size, two of them with the meta
// data, a tree of leaf and branch pages for each bucket, and a root tree that has the buckets as its values.
// Source: go.etcd.io/bbolt, internal/common (page.go, meta.go, bucket.go). Numbers are little-endian.

export const PAGE_SIZE = 4096;
/** id u64, flags u16, count u16, overflow u32. */
export const PAGE_HEADER = 16;
export const BRANCH_PAGE = 0x01;
export const LEAF_PAGE = 0x02;
export const META_PAGE = 0x04;
export const FREELIST_PAGE = 0x10;

/** Leaf: flags u32, pos u32, key size u32, value size u32. Branch: pos u32, key size u32, page id u64. `pos` counts from the element. */
export const ELEMENT = 16;
/** Flag of a leaf element whose value is a bucket. */
export const BUCKET_ELEMENT = 0x01;
/** root page u64 (0: the page follows inline), sequence u64. */
export const BUCKET_HEADER = 16;

const MAGIC = 0xed0cdaed;
const VERSION = 2;
/** Without its checksum. */
const META_SIZE = 56;

export interface Meta {
  readonly pageSize: number;
  readonly rootPage: number;
  readonly freelistPage: bigint;
  /** Pages there are: the first id that is not used. */
  readonly pageCount: number;
  readonly txid: bigint;
}

export class BboltError extends Error {
  override readonly name = 'BboltError';
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** FNV-1a, 64 bits. */
function checksum(bytes: Uint8Array): bigint {
  let hash = FNV_OFFSET;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  return hash;
}

export function writePageHeader(page: Buffer, { id, flags, count, overflow = 0 }: { id: number; flags: number; count: number; overflow?: number }): void {
  page.writeBigUInt64LE(BigInt(id), 0);
  page.writeUInt16LE(flags, 8);
  page.writeUInt16LE(count, 10);
  page.writeUInt32LE(overflow, 12);
}

/** A whole page. */
export function encodeMeta(id: number, meta: Meta): Buffer {
  const page = Buffer.alloc(meta.pageSize);
  writePageHeader(page, { id, flags: META_PAGE, count: 0 });
  const body = page.subarray(PAGE_HEADER);
  body.writeUInt32LE(MAGIC, 0);
  body.writeUInt32LE(VERSION, 4);
  body.writeUInt32LE(meta.pageSize, 8);
  body.writeBigUInt64LE(BigInt(meta.rootPage), 16);
  body.writeBigUInt64LE(meta.freelistPage, 32);
  body.writeBigUInt64LE(BigInt(meta.pageCount), 40);
  body.writeBigUInt64LE(meta.txid, 48);
  body.writeBigUInt64LE(checksum(body.subarray(0, META_SIZE)), META_SIZE);
  return page;
}

/** `page` need not be all of it. undefined: it is none, or damaged. */
export function decodeMeta(page: Buffer): Meta | undefined {
  const body = page.subarray(PAGE_HEADER);
  if (body.length < META_SIZE + 8 || body.readUInt32LE(0) !== MAGIC || body.readUInt32LE(4) !== VERSION) return undefined;
  if (body.readBigUInt64LE(META_SIZE) !== checksum(body.subarray(0, META_SIZE))) return undefined;
  return {
    pageSize: body.readUInt32LE(8), rootPage: Number(body.readBigUInt64LE(16)), freelistPage: body.readBigUInt64LE(32),
    pageCount: Number(body.readBigUInt64LE(40)), txid: body.readBigUInt64LE(48),
  };
}
