// The hash by which members (and people) compare their data: CRC-32C over the changes up to a revision, in their order. Of what is older than
// the compaction only that counts which still holds, as members may have removed the rest or not.
// Source: etcd v3.6, server/storage/mvcc/hash.go.
import { crc32c } from './crc32c.ts';

export interface KeyValueHash {
  readonly hash: number;
  /** Of the compaction before. Below 1: there was none. */
  readonly compactRevision: number;
  /** Up to which changes count. */
  readonly revision: number;
}

export interface HashScope {
  readonly compactRevision: number;
  readonly revision: number;
  /** Whether a change, told by its place and what is stored of it, is what its key holds at `revision`. */
  readonly holds: (revision: number, subRevision: number, record: Buffer) => boolean;
  /** Whether any key holds anything at `revision`; else etcd counts everything. */
  readonly anythingHolds: () => boolean;
}

/** A deletion's key has a letter more. */
const KEY_BYTES = 17;
const SUB_REVISION_AT = 9;

export class KeyValueHasher {
  private readonly scope: HashScope;
  private value = crc32c(Buffer.from('key')); // the name of etcd's bucket
  private hasAnything: boolean | undefined;

  constructor(scope: HashScope) {
    this.scope = scope;
  }

  /** As they stand in etcd's bucket; in order. */
  add(key: Buffer, record: Buffer): void {
    const { compactRevision, revision: limit, holds, anythingHolds } = this.scope;
    const revision = Number(key.readBigUInt64BE(0));
    if (revision > limit) return;
    const isDeletion = key.length > KEY_BYTES;
    if (isDeletion && revision === compactRevision) return; // versions differ in whether they keep it
    if (revision <= compactRevision && !holds(revision, Number(key.readBigUInt64BE(SUB_REVISION_AT)), record) && (this.hasAnything ??= anythingHolds())) return;
    this.value = crc32c(record, crc32c(key, this.value));
  }

  get hash(): KeyValueHash {
    const { compactRevision, revision } = this.scope;
    return { hash: this.value, compactRevision, revision };
  }
}

/** Source: etcd, hashStorageMaxSize. */
const MAX_KEPT = 10;

/** The hashes that compactions left, the newest ones. */
export class KeptHashes {
  private byRevision: KeyValueHash[] = [];

  keep(hash: KeyValueHash): void {
    this.byRevision = [...this.byRevision.filter(({ revision }) => revision !== hash.revision), hash].sort((a, b) => a.revision - b.revision).slice(-MAX_KEPT);
  }

  at(revision: number): KeyValueHash | undefined {
    return this.byRevision.find((hash) => hash.revision === revision);
  }

  /** Newest first. */
  after(revision: number): KeyValueHash[] {
    return this.byRevision.filter((hash) => hash.revision > revision).reverse();
  }
}
