// Lists: which revision to show, from memory or from storage, whole or in pages.
// Source: apiserver pkg/storage/cacher/{delegator,cacher}.go, pkg/storage/etcd3/store.go (GetList).
import { systemClock } from '#lib/environment/clock.ts';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { forbidden, notSupported } from '#lib/machinery/field-error.ts';
import { badRequest, failure, invalidObject, tooLargeResourceVersion } from '#lib/machinery/status-error.ts';
import { withDeadline } from '#lib/service/abort.ts';
import { decodeContinue, encodeContinue } from '../core/continue-token.ts';
import { keyPrefix } from '../core/codec.ts';
import type { Selection } from '../core/selection.ts';
import { RevisionCompactedError, type Storage } from '../core/storage.ts';
import type { CacheEntry, WatchCache } from '../core/watch-cache.ts';
import type { ListMetadata } from './answer.ts';
import { parseResourceVersion } from './watch.ts';

/** How long a list waits for a resourceVersion that has not arrived yet. Source: watch_cache.go, blockTimeout. */
const BLOCK_TIMEOUT_MS = 3_000;
const MAX_PAGE = 10_000;

export interface ListQuery {
  readonly resourceVersion: string | null;
  readonly resourceVersionMatch: string | null;
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string;
  /** On demand: what it asks for is too old. */
  readonly isExpired?: boolean;
  /** On demand: this server has got no further. */
  readonly staleRevision?: number;
}

export interface ListServices {
  readonly storage: Storage;
  readonly cache: WatchCache;
  readonly waitUntilFresh: (signal: AbortSignal) => Promise<number>;
}

export interface ListResult {
  readonly entries: readonly CacheEntry[];
  readonly metadata: ListMetadata;
}

export async function listObjects(kind: AnyKind, selection: Selection, query: ListQuery, services: ListServices, signal: AbortSignal): Promise<ListResult> {
  const { cache } = services;
  const revision = parseResourceVersion(query.resourceVersion);
  const match = query.resourceVersionMatch ?? '';
  checkMatch(match, query);
  if (query.continue !== '') {
    if (revision !== undefined && revision !== 0) throw badRequest('specifying resource version is not allowed when using continue');
    return pageFromStorage(kind, selection, query, services);
  }
  const wantsExact = match === 'Exact' || (match === '' && query.limit > 0 && revision !== undefined && revision > 0);
  if (wantsExact) return pageFromStorage(kind, selection, query, services, revision);
  if (query.staleRevision !== undefined && revision !== undefined) {
    const stale = await listAsOf(query.staleRevision, revision, () => pageFromStorage(kind, selection, { ...query, limit: 0 }, services, query.staleRevision), signal);
    if (stale) return stale;
  }

  if (revision === undefined) await services.waitUntilFresh(signal);
  else if (revision > 0) await waitForRevision(cache, revision, signal);
  const all = cache.of(kind).list(selection.prefix).filter(selection.matches);
  const shown = String(cache.revision);
  // from memory, a list that may be stale comes whole
  if (query.limit === 0 || revision === 0 || all.length <= query.limit) return { entries: all.map((entry) => entry.as(kind)), metadata: { resourceVersion: shown } };
  const entries = all.slice(0, query.limit);
  const last = entries.at(-1)?.key ?? '';
  return {
    entries: entries.map((entry) => entry.as(kind)),
    metadata: {
      resourceVersion: shown, continue: encodeContinue({ revision: cache.revision, startKey: `${last}\0` }, keyPrefix(kind)),
      ...(selection.isFiltered ? {} : { remainingItemCount: all.length - entries.length }),
    },
  };
}

/** Source: apimachinery pkg/apis/meta/internalversion/validation, ValidateListOptions. Throws Invalid. */
function checkMatch(match: string, { resourceVersion, continue: token }: ListQuery): void {
  if (match === '') return;
  const path = 'resourceVersionMatch';
  const problems = [
    ...(resourceVersion === null || resourceVersion === '' ? [forbidden(path, 'resourceVersionMatch is forbidden unless resourceVersion is provided')] : []),
    ...(token === '' ? [] : [forbidden(path, 'resourceVersionMatch is forbidden when continue is provided')]),
    ...(match === 'Exact' || match === 'NotOlderThan' ? [] : [notSupported(path, match, ['Exact', 'NotOlderThan', ''])]),
    ...(match === 'Exact' && resourceVersion === '0' ? [forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')] : []),
  ];
  if (problems.length > 0) throw invalidObject({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', problems);
}

/** As a server that lags behind answers. Undefined when storage no longer has that state: its own memory would, ours does not. */
async function listAsOf(staleRevision: number, asked: number, list: () => Promise<ListResult>, signal: AbortSignal): Promise<ListResult | undefined> {
  if (asked > staleRevision) {
    await systemClock.sleep(BLOCK_TIMEOUT_MS, signal);
    throw tooLargeResourceVersion(asked, staleRevision);
  }
  try {
    return await list();
  } catch (error) {
    if (error instanceof RevisionCompactedError) return undefined;
    throw error;
  }
}

/** Throws 504 when it does not come in time. */
export async function waitForRevision(cache: WatchCache, revision: number, signal: AbortSignal): Promise<void> {
  try {
    await withDeadline(BLOCK_TIMEOUT_MS, signal, (limited) => cache.waitFor(revision, limited));
  } catch (error) {
    if (!signal.aborted) throw tooLargeResourceVersion(revision, cache.revision);
    throw error;
  }
}

async function pageFromStorage(kind: AnyKind, selection: Selection, query: ListQuery, { storage, cache }: ListServices, exact = 0): Promise<ListResult> {
  const base = keyPrefix(kind);
  const token = query.continue === '' ? { revision: exact, startKey: selection.prefix } : decodeContinue(query.continue, base);
  const resource = cache.of(kind);
  const entries: CacheEntry[] = [];
  let { startKey } = token;
  let revision = Math.max(0, token.revision);
  let pageSize = query.limit;
  for (;;) {
    const page = await readPage();
    revision = page.revision;
    let used = 0;
    for (const item of page.items) {
      used += 1;
      startKey = `${item.key}\0`;
      const entry = cache.entryOf(resource, item);
      if (entry && selection.matches(entry)) entries.push(entry.as(kind));
      if (query.limit > 0 && entries.length === query.limit) break;
    }
    const isComplete = !page.more && used === page.items.length;
    if (isComplete) return { entries, metadata: { resourceVersion: String(revision) } };
    if (query.limit > 0 && entries.length === query.limit) {
      return {
        entries,
        metadata: {
          resourceVersion: String(revision), continue: encodeContinue({ revision, startKey }, base),
          ...(selection.isFiltered ? {} : { remainingItemCount: page.count - used }),
        },
      };
    }
    pageSize = Math.min(pageSize * 2, MAX_PAGE);
  }

  async function readPage() {
    try {
      if (query.isExpired === true) throw new RevisionCompactedError('too old on demand');
      return await storage.list(selection.prefix, { startKey, limit: pageSize, revision });
    } catch (error) {
      if (!(error instanceof RevisionCompactedError) || query.continue === '') throw error;
      const resume = encodeContinue({ revision: -1, startKey }, base);
      const text = 'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';
      const { status } = failure(410, 'Expired', text);
      throw Object.assign(failure(410, 'Expired', text), { status: { ...status, metadata: { continue: resume } } });
    }
  }
}
