// Short ways to write requests in tests of the core.
import {
  compare, deleteRangeRequest, putRequest, rangeRequest, txnRequest, watchCreateRequest,
  type CompareInput, type DeleteRangeRequestInput, type PutRequestInput, type RangeRequestInput, type RangeResponse, type TxnRequestInput, type WatchCreateRequest,
  type WatchCreateRequestInput,
} from '#lib/etcd-api/messages.ts';
import { Store, type Command, type CommandType, type ResponseTo } from './store.ts';

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
