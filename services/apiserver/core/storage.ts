// What the API server asks of its storage; edge/etcd-storage.ts answers it with etcd.

export interface StoredItem {
  readonly key: string;
  readonly value: Uint8Array;
  /** etcd's mod revision: the object's resourceVersion. */
  readonly modRevision: number;
}

export interface ListedItems {
  readonly items: readonly StoredItem[];
  /** Revision the listing shows. */
  readonly revision: number;
  readonly more: boolean;
  /** Keys in the whole range, this page included. */
  readonly count: number;
}

export type WriteResult =
  | { readonly succeeded: true; readonly revision: number }
  /** The key was not as expected; `current` is how it is (absent when there is none). `guardRevision`: the key was, but not the guard. */
  | { readonly succeeded: false; readonly revision: number; readonly current?: StoredItem; readonly guardRevision?: number };

/** A key that changes with all writes of one sort: whoever writes has to know of the last one. */
export interface Guard {
  readonly key: string;
  /** Of the last write that is known; 0: of none. */
  readonly expectedRevision: number;
}

export interface StorageEvent {
  readonly key: string;
  /** Absent when the key was deleted. */
  readonly value?: Uint8Array;
  readonly revision: number;
}

export interface WatchOptions {
  readonly prefix: string;
  /** First revision to deliver. */
  readonly fromRevision: number;
  /** All events up to `revision` have been delivered with this call; may be empty. */
  readonly onEvents: (events: readonly StorageEvent[], revision: number) => void;
  readonly signal: AbortSignal;
}

/** The revision asked for has been compacted away. */
export class RevisionCompactedError extends Error {
  override readonly name = 'RevisionCompactedError';
}

/** The revision asked for has not happened yet. */
export class FutureRevisionError extends Error {
  override readonly name = 'FutureRevisionError';
}

/** Any other refusal; the message is the storage's own (`etcdserver: request timed out`). */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly isTimeout: boolean;
  constructor(message: string, options: { isTimeout: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.isTimeout = options.isTimeout;
  }
}

/** etcd takes 128 operations in a transaction (--max-txn-ops). */
export const MAX_CREATED_AT_ONCE = 100;

export interface Storage {
  get(key: string): Promise<{ readonly item?: StoredItem; readonly revision: number }>;
  /** Keys with `prefix`, from `startKey` on, in key order. `limit` 0: all. */
  list(prefix: string, options?: { startKey?: string; limit?: number; revision?: number; countOnly?: boolean }): Promise<ListedItems>;
  create(key: string, value: Uint8Array, options?: { timeToLiveSeconds?: number; guard?: Guard }): Promise<WriteResult>;
  /** All at one revision, or none when one of the keys is there. At most `MAX_CREATED_AT_ONCE`. */
  createAll(items: readonly { readonly key: string; readonly value: Uint8Array }[]): Promise<WriteResult>;
  update(key: string, value: Uint8Array, options: { expectedRevision: number; timeToLiveSeconds?: number; guard?: Guard }): Promise<WriteResult>;
  delete(key: string, options: { expectedRevision: number }): Promise<WriteResult>;
  /** Settles when the watch has ended: rejects with RevisionCompactedError or StorageError, resolves when `signal` aborts. */
  watch(options: WatchOptions): Promise<void>;
  /** Asks running watches to report how far they are, soon. */
  requestProgress(): void;
}
