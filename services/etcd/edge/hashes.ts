// Hashes of what the database holds, not of what is in memory, so that damage on the disk shows. Read in the background, piece by piece.
// Source: etcd v3.6, server/storage/mvcc/hash.go and kvstore_compaction.go.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { etcdError } from '#lib/etcd-api/errors.ts';
import { keyValue } from '#lib/etcd-api/messages.ts';
import { keyOf } from '../core/key-range.ts';
import { KeptHashes, KeyValueHasher, type KeyValueHash } from '../core/kv-hash.ts';
import type { Store } from '../core/store.ts';
import type { Database, DatabaseView } from './database.ts';

export interface HashesOptions {
  readonly database: Database;
  /** Another one after a snapshot of another member took its place. */
  readonly store: () => Store;
  /** Resolves when the database holds all that is applied. */
  readonly settled: () => Promise<void>;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Compactions that may come while a hash is taken, each of which makes it begin anew. */
const MAX_ATTEMPTS = 10;
/** Records that are hashed between two pauses. Source: etcd, --compaction-batch-limit and --compaction-sleep-interval. */
const RECORDS_AT_ONCE = 1000;
const PAUSE_MS = 10;

export class Hashes {
  private readonly options: HashesOptions;
  private readonly kept = new KeptHashes();
  /** Those of compactions, under way. */
  private readonly running = new Set<Promise<void>>();
  private isStopping = false;

  constructor(options: HashesOptions) {
    this.options = options;
  }

  /** Of compactions after this revision, newest first. */
  ofCompactionsAfter(revision: number): KeyValueHash[] {
    return this.kept.after(revision);
  }

  /** 0: the newest revision. For that of a compaction it is the hash from before it. Rejects with EtcdError. */
  async at(revision: number): Promise<KeyValueHash> {
    const kept = this.kept.at(revision) ?? await this.ofLastCompaction(revision);
    if (kept !== undefined) return kept;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const store = this.options.store();
      if (revision > store.revision) throw etcdError('FutureRevision');
      if (revision > 0 && revision < store.compactRevision) throw etcdError('Compacted');
      const hash = await this.tryAt(store, revision || store.revision);
      if (hash !== undefined) return hash;
    }
    throw new Error(`compactions came faster than the hash of revision ${revision} could be taken`);
  }

  /** The hash from before it may be under way, or not even begun: members answer alike however far each has come. */
  private async ofLastCompaction(revision: number): Promise<KeyValueHash | undefined> {
    if (revision === 0 || revision !== this.options.store().compactRevision) return undefined;
    await this.options.settled();
    await Promise.all(this.running);
    return this.kept.at(revision);
  }

  /** undefined when there was a compaction meanwhile. */
  private async tryAt(store: Store, revision: number): Promise<KeyValueHash | undefined> {
    await this.options.settled();
    const view = this.options.database.view();
    try {
      const { compactRevision } = store;
      if (Math.max(await view.compactRevision(), 0) !== Math.max(compactRevision, 0)) return undefined; // not on disk yet
      return await this.hashOf(view, store, { compactRevision, revision }, () => this.options.store() !== store || store.compactRevision !== compactRevision);
    } finally {
      await view.close();
    }
  }

  /** `pauseMs`: between pieces, for what nobody waits for. */
  private async hashOf(view: DatabaseView, store: Store, scope: { readonly compactRevision: number; readonly revision: number; readonly pauseMs?: number }, isVoid: () => boolean): Promise<KeyValueHash | undefined> {
    const { pauseMs = 0 } = scope;
    let count = 0;
    const hasher = new KeyValueHasher({
      ...scope, anythingHolds: () => store.holdsAnything(scope.revision),
      holds: (revision, subRevision, record) => store.holdsChange(keyOf(keyValue.decode(record).key), { revision, subRevision, at: scope.revision }),
    });
    for await (const [key, value] of view.entries(scope.revision)) {
      if (isVoid()) return undefined;
      hasher.add(key, value);
      count += 1;
      if (pauseMs > 0 && count % RECORDS_AT_ONCE === 0) await this.options.clock.sleep(pauseMs);
    }
    return isVoid() ? undefined : hasher.hash;
  }

  /** The database is about to be rid of what was compacted: it is called before, and the hash is taken of what there was. */
  beforeCompaction(scope: { readonly compactRevision: number; readonly revision: number }): void {
    if (this.isStopping) return;
    const view = this.options.database.view();
    const store = this.options.store();
    const running = this.keepHash(view, store, scope).catch((error: unknown) => {
      this.options.log.error({ revision: scope.revision, 'compact-revision': scope.compactRevision, err: error }, 'failed to hash what was compacted');
    }).finally(() => this.running.delete(running));
    this.running.add(running);
  }

  private async keepHash(view: DatabaseView, store: Store, scope: { readonly compactRevision: number; readonly revision: number }): Promise<void> {
    try {
      const hash = await this.hashOf(view, store, { ...scope, pauseMs: PAUSE_MS }, () => this.isStopping || this.options.store() !== store || store.compactRevision !== scope.revision);
      if (hash === undefined) return;
      this.kept.keep(hash);
      this.options.log.info({ hash: hash.hash, revision: scope.revision, 'compact-revision': scope.compactRevision }, 'storing new hash');
    } finally {
      await view.close();
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.running);
  }
}
