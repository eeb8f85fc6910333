// How a range request is answered from the live entries of its keys: filters, order, limit, count.
// Source: etcd v3.6, server/etcdserver/txn/range.go.
import type { KeyValue, RangeRequest, RangeResponse, ResponseHeader } from '#lib/etcd-api/messages.ts';
import { bytesOf } from './key-range.ts';
import type { Entry } from './key-index.ts';

export interface RangeSource {
  readonly header: ResponseHeader;
  /** Visits the entries in ascending order of their keys. */
  readonly forEachLive: (visit: (entry: Entry) => void) => void;
  readonly keyValue: (entry: Entry) => KeyValue;
}

/** What an answer tells of, in its order. */
export interface Selection {
  readonly header: ResponseHeader;
  readonly entries: readonly Entry[];
  readonly more: boolean;
  readonly count: number;
}

const NO_VALUE = Buffer.alloc(0);

export const keyOnly = ({ key, createRevision, modRevision, version }: Entry): KeyValue =>
  ({ key: bytesOf(key), createRevision, modRevision, version, value: NO_VALUE, lease: 0n });

export const answerRange = (request: RangeRequest, source: RangeSource): RangeResponse => renderRange(selectRange(request, source), request.keysOnly, source.keyValue);

export const renderRange = ({ header, entries, more, count }: Selection, keysOnly: boolean, keyValue: (entry: Entry) => KeyValue): RangeResponse =>
  ({ header, kvs: entries.map(keysOnly ? (entry): KeyValue => ({ ...keyOnly(entry), lease: entry.lease }) : keyValue), more, count });

export function selectRange(request: RangeRequest, source: RangeSource): Selection {
  const { limit, countOnly } = request;
  const order = orderOf(request);
  const isWanted = revisionFilter(request);
  // Beyond the limit there is only counting to do, unless the order decides on what comes first. With a target but no
  // order etcd sorts what the limit has left.
  const keep = limit > 0 && request.sortOrder === 'NONE' && isWanted === undefined ? limit + 1 : Infinity;
  const entries: Entry[] = [];
  let count = 0;
  source.forEachLive((entry) => {
    count += 1;
    if (!countOnly && entries.length < keep) entries.push(entry);
  });
  const filtered = isWanted === undefined ? entries : entries.filter(isWanted);
  const sorted = order === undefined ? filtered : request.sortTarget === 'VALUE' ? sortByValue(filtered, source, order.descending) : sortBy(filtered, order);
  return { header: source.header, entries: limit > 0 ? sorted.slice(0, limit) : sorted, more: limit > 0 && filtered.length > limit, count };
}

interface Order {
  readonly by: (a: Entry, b: Entry) => number;
  readonly descending: boolean;
}

const comparators: Readonly<Record<RangeRequest['sortTarget'], (a: Entry, b: Entry) => number>> = {
  KEY: (a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0),
  VERSION: (a, b) => a.version - b.version,
  CREATE: (a, b) => a.createRevision - b.createRevision,
  MOD: (a, b) => a.modRevision - b.modRevision,
  VALUE: () => 0, // sorted with the values at hand
  UNRECOGNIZED: () => 0,
};

/** undefined: the ascending order of the keys. A target other than the key without an order is ascending. */
function orderOf({ sortOrder, sortTarget }: RangeRequest): Order | undefined {
  if (sortTarget === 'KEY' && sortOrder !== 'DESCEND') return undefined;
  return { by: comparators[sortTarget], descending: sortOrder === 'DESCEND' };
}

function sortBy(entries: readonly Entry[], { by, descending }: Order): Entry[] {
  return entries.toSorted(descending ? (a, b) => by(b, a) : by);
}

function sortByValue(entries: readonly Entry[], source: RangeSource, descending: boolean): Entry[] {
  const valued = entries.map((entry) => ({ entry, value: source.keyValue(entry).value }));
  return valued.sort((a, b) => (descending ? b.value.compare(a.value) : a.value.compare(b.value))).map(({ entry }) => entry);
}

/** 0 stands for no bound. */
function revisionFilter({ minModRevision, maxModRevision, minCreateRevision, maxCreateRevision }: RangeRequest): ((entry: Entry) => boolean) | undefined {
  if (minModRevision === 0 && maxModRevision === 0 && minCreateRevision === 0 && maxCreateRevision === 0) return undefined;
  const within = (value: number, min: number, max: number): boolean => value >= min && (max === 0 || value <= max);
  return (entry) => within(entry.modRevision, minModRevision, maxModRevision) && within(entry.createRevision, minCreateRevision, maxCreateRevision);
}
