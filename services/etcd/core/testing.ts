// Short ways to write requests in tests of the core.
import {
  compare, deleteRangeRequest, putRequest, rangeRequest, txnRequest, watchCreateRequest,
  type CompareInput, type DeleteRangeRequestInput, type PutRequestInput, type RangeRequestInput, type RangeResponse, type TxnRequestInput, type WatchCreateRequest,
  type WatchCreateRequestInput,
} from '#lib/etcd-api/messages.ts';
import type { Entry } from './key-index.ts';
import { Store, type Command, type CommandType, type ResponseTo, type StoredState } from './store.ts';
import { heldValue, ValueMemory } from './value-memory.ts';

export const newStore = (): Store => new Store(() => { throw new Error('every value is in memory'); });

export const put = (request: PutRequestInput): Command<'put'> => ({ type: 'put', request: putRequest.decode(putRequest.encode(request)) });
export const deleteRange = (request: DeleteRangeRequestInput): Command<'deleteRange'> =>
  ({ type: 'deleteRange', request: deleteRangeRequest.decode(deleteRangeRequest.encode(request)) });
export const txn = (request: TxnRequestInput): Command<'txn'> => ({ type: 'txn', request: txnRequest.decode(txnRequest.encode(request)) });
export const compactTo = (revision: number): Command<'compact'> => ({ type: 'compact', request: { revision } });
export const range = (request: RangeRequestInput) => rangeRequest.decode(rangeRequest.encode(request));
export const watchOf = (request: WatchCreateRequestInput): WatchCreateRequest => watchCreateRequest.decode(watchCreateRequest.encode(request));
export const condition = (input: CompareInput) => compare.decode(compare.encode(input));

/** The response; throws the reason when the store refuses. */
export function apply<T extends CommandType>(store: Store, command: Command<T>): ResponseTo<T> {
  const { result } = store.apply(command);
  if ('refused' in result) throw new Error(result.refused);
  return result.response;
}

export const read = (store: Store, request: RangeRequestInput): RangeResponse => store.range(range(request), store.revision);
/** `key=value` of what a range gives. */
export const pairs = ({ kvs }: RangeResponse): string[] => kvs.map(({ key, value }) => `${key.toString('latin1')}=${value.toString()}`);
export const EVERYTHING = { key: '\0', rangeEnd: '\0' } as const;

/** A change as a disk keeps it. */
export interface StoredEntry {
  readonly entry: Entry;
  readonly value: Uint8Array;
}

/** Throws when the value is not in memory. */
export function stored(entry: Entry): StoredEntry {
  const value = heldValue(entry);
  if (value === undefined) throw new Error(`the value of revision ${entry.modRevision} is not in memory`);
  return { entry: { ...entry, block: undefined, offset: 0 }, value: Buffer.from(value) };
}

/** As a disk gives them back at the start, with all their values. */
export function restored(changes: Iterable<StoredEntry>): Pick<StoredState, 'entries' | 'newestValues'> {
  const sorted = [...changes].sort(({ entry: a }, { entry: b }) => a.modRevision - b.modRevision || a.subRevision - b.subRevision);
  return { entries: sorted.map(({ entry }) => ({ ...entry })), newestValues: sorted.map(({ value }) => value) };
}

/** The first put of a key, with its value in memory. */
export function putEntry(key: string, modRevision: number, value: Uint8Array): Entry {
  const entry: Entry = { key, modRevision, subRevision: 0, deleted: false, createRevision: modRevision, version: 1, lease: 0n, sizeBytes: key.length + value.length, block: undefined, offset: 0 };
  new ValueMemory().hold(entry, value);
  return entry;
}
