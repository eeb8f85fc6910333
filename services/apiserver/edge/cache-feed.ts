// Keeps the watch cache in step with storage: lists everything once, then follows one watch; starts over when storage
// can no longer tell what happened in between.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { RevisionCompactedError, type Storage, type StoredItem } from '../core/storage.ts';
import type { WatchCache } from '../core/watch-cache.ts';

const PREFIX = '/registry/';
const PAGE_SIZE = 1000;
/** Pause before the next attempt when storage does not answer. */
const RETRY_MS = 200;
/** How often a waiting read asks storage for progress. Source: cacher's progressRequestPeriod. */
const PROGRESS_PERIOD_MS = 100;

async function listEverything(storage: Storage): Promise<{ items: StoredItem[]; revision: number }> {
  const items: StoredItem[] = [];
  let startKey = PREFIX;
  let revision = 0;
  for (;;) {
    const page = await storage.list(PREFIX, { startKey, limit: PAGE_SIZE, revision });
    items.push(...page.items);
    revision = page.revision;
    const last = page.items.at(-1);
    if (!page.more || !last) return { items, revision };
    startKey = `${last.key}\0`;
  }
}

export interface CacheFeedOptions {
  readonly storage: Storage;
  readonly cache: WatchCache;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function feedCache({ storage, cache, clock, log, signal }: CacheFeedOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      const { items, revision } = await listEverything(storage);
      cache.replace(items, revision);
      log.info({ objects: items.length, revision }, 'watch cache filled');
      let delivered = revision;
      await storage.watch({
        prefix: PREFIX, fromRevision: delivered + 1, signal,
        onEvents: (events, upTo) => {
          cache.apply(events, upTo);
          delivered = Math.max(delivered, upTo);
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RevisionCompactedError) log.warn({ err: error }, 'storage has moved on without us, listing again');
      else log.warn({ err: error }, 'cannot follow storage, trying again');
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }
}

/**
 * Resolves when the cache shows everything that was acknowledged before the call; rejects when `signal` aborts first.
 * Returns the revision that storage was at.
 */
export async function waitUntilFresh({ storage, cache, clock }: Pick<CacheFeedOptions, 'storage' | 'cache' | 'clock'>, signal: AbortSignal): Promise<number> {
  const { revision } = await storage.get(`${PREFIX}health`);
  if (cache.isSynced && cache.revision >= revision) return revision;
  const done = new AbortController();
  const asking = (async () => {
    // the last writes may have been outside /registry/: no event will ever tell
    for (;;) {
      await clock.sleep(PROGRESS_PERIOD_MS, done.signal);
      storage.requestProgress();
    }
  })().catch(() => undefined); // ends by the abort below
  try {
    storage.requestProgress();
    await cache.waitFor(revision, signal);
  } finally {
    done.abort();
    await asking;
  }
  return revision;
}
