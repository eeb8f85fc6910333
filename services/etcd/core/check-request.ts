// What can be said about a request without looking at the data.
// Source: etcd v3.6, server/etcdserver/api/v3rpc/key.go.
import type { Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from '#lib/etcd-api/messages.ts';
import { contains, keyOf, type KeyRange } from './key-range.ts';
import { StoreError } from './store-error.ts';

export function checkRange(request: RangeRequest): void {
  checkKey(request);
  if (request.sortOrder === 'UNRECOGNIZED' || request.sortTarget === 'UNRECOGNIZED') throw new StoreError('InvalidSortOption');
}

export function checkPut(request: PutRequest): void {
  checkKey(request);
  if (request.ignoreValue && request.value.length > 0) throw new StoreError('ValueProvided');
  if (request.ignoreLease && request.lease !== 0n) throw new StoreError('LeaseProvided');
}

export function checkDeleteRange(request: DeleteRangeRequest): void {
  checkKey(request);
}

export function checkTxn(request: TxnRequest, maxOps: number): void {
  checkOps(request, maxOps);
  checkOverlaps(request.success);
  checkOverlaps(request.failure);
}

function checkKey({ key }: RangeRequest | PutRequest | DeleteRangeRequest | Compare): void {
  if (key.length === 0) throw new StoreError('EmptyKey');
}

/** A nested transaction may have as many operations as its parents have left over. */
function checkOps({ compare, success, failure }: TxnRequest, maxOps: number): void {
  const ops = Math.max(compare.length, success.length, failure.length);
  if (ops > maxOps) throw new StoreError('TooManyOps');
  compare.forEach(checkKey);
  for (const op of [...success, ...failure]) {
    if (op.requestRange) checkRange(op.requestRange);
    else if (op.requestPut) checkPut(op.requestPut);
    else if (op.requestDeleteRange) checkDeleteRange(op.requestDeleteRange);
    else if (op.requestTxn) checkOps(op.requestTxn, maxOps - ops);
    else throw new StoreError('KeyNotFound'); // etcd's answer to an operation of no known kind
  }
}

/** As etcd takes it here: an end of "\0", which elsewhere means "no end", makes a range that is empty. */
const literalRange = ({ key, rangeEnd }: DeleteRangeRequest): KeyRange => ({ start: keyOf(key), end: rangeEnd.length === 0 ? undefined : keyOf(rangeEnd) });

interface Changes {
  readonly puts: Set<string>;
  readonly deletes: KeyRange[];
}

/** One transaction must not put a key twice, nor put a key that it deletes: both would share one revision. */
function checkOverlaps(ops: readonly RequestOp[]): Changes {
  const puts = new Set<string>();
  const deletes = ops.flatMap(({ requestDeleteRange }) => (requestDeleteRange ? [literalRange(requestDeleteRange)] : []));
  const addPut = (key: string, isAlternative: boolean): void => {
    if ((puts.has(key) && !isAlternative) || deletes.some((range) => contains(range, key))) throw new StoreError('DuplicateKey');
    puts.add(key);
  };
  for (const { requestTxn } of ops) {
    if (!requestTxn) continue;
    const success = checkOverlaps(requestTxn.success);
    const failure = checkOverlaps(requestTxn.failure);
    success.puts.forEach((key) => addPut(key, false));
    failure.puts.forEach((key) => addPut(key, success.puts.has(key))); // only one of the two branches runs
    deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const { requestPut } of ops) if (requestPut) addPut(keyOf(requestPut.key), false);
  return { puts, deletes };
}
