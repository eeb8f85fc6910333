// A transaction: compare, then run one of two lists of operations, all in one revision.
// Source: etcd v3.6, server/etcdserver/txn/txn.go.
import type {
  Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
} from '#lib/etcd-api/messages.ts';
import type { Entry } from './key-index.ts';
import { keyRange, type KeyRange } from './key-range.ts';

/** What a transaction needs of the store. */
export interface TxnTarget {
  readonly range: (request: RangeRequest) => RangeResponse;
  readonly put: (request: PutRequest) => PutResponse;
  readonly deleteRange: (request: DeleteRangeRequest) => DeleteRangeResponse;
  /** Throw StoreError. */
  readonly checkPut: (request: PutRequest, at: number) => void;
  readonly checkRevision: (revision: number, at: number) => void;
  readonly liveEntries: (range: KeyRange, at: number) => readonly Entry[];
  readonly valueOf: (entry: Entry) => Buffer;
  /** Where the transaction stands: one more after its first write. */
  readonly revision: () => number;
}

/** Which branch runs is settled for all nested transactions before the first write, and so is every refusal. */
interface Plan {
  readonly succeeded: boolean;
  readonly ops: readonly { readonly op: RequestOp; readonly nested?: Plan }[];
}

/** Throws StoreError, before any write. */
export function runTxn(target: TxnTarget, request: TxnRequest, at: number): TxnResponse {
  const plan = planTxn(target, request, at);
  checkPlan(target, plan, at);
  const outcome = execute(target, plan);
  return { header: newHeader(target.revision()), ...outcome };
}

function planTxn(target: TxnTarget, { compare, success, failure }: TxnRequest, at: number): Plan {
  const succeeded = compare.every((condition) => holds(target, condition, at));
  return {
    succeeded,
    ops: (succeeded ? success : failure).map((op) => (op.requestTxn ? { op, nested: planTxn(target, op.requestTxn, at) } : { op })),
  };
}

function checkPlan(target: TxnTarget, plan: Plan, at: number): void {
  for (const { op, nested } of plan.ops) {
    if (op.requestRange) target.checkRevision(op.requestRange.revision, at);
    else if (op.requestPut) target.checkPut(op.requestPut, at);
    else if (nested) checkPlan(target, nested, at);
  }
}

function execute(target: TxnTarget, plan: Plan): Omit<TxnResponse, 'header'> {
  const responses = plan.ops.map(({ op, nested }): ResponseOp => {
    if (op.requestRange) return { responseRange: target.range(op.requestRange) };
    if (op.requestPut) return { responsePut: target.put(op.requestPut) };
    if (op.requestDeleteRange) return { responseDeleteRange: target.deleteRange(op.requestDeleteRange) };
    // As with etcd, the header of a nested answer says nothing.
    return nested ? { responseTxn: { header: newHeader(0), ...execute(target, nested) } } : {};
  });
  return { succeeded: plan.succeeded, responses };
}

const newHeader = (revision: number): ResponseHeader => ({ clusterId: 0n, memberId: 0n, revision, raftTerm: 0 });

const MISSING = { version: 0, createRevision: 0, modRevision: 0, lease: 0n };

/** Holds for every key of the range. A missing key counts as all zeroes, but has no value that any other could equal. */
function holds(target: TxnTarget, condition: Compare, at: number): boolean {
  const entries = target.liveEntries(keyRange(condition), at);
  if (entries.length === 0) return condition.target !== 'VALUE' && decide(condition, order(condition, MISSING));
  return entries.every((entry) => decide(condition, condition.target === 'VALUE' ? target.valueOf(entry).compare(condition.value) : order(condition, entry)));
}

function order(condition: Compare, actual: typeof MISSING): number {
  switch (condition.target) {
    case 'VERSION': return actual.version - condition.version;
    case 'CREATE': return actual.createRevision - condition.createRevision;
    case 'MOD': return actual.modRevision - condition.modRevision;
    case 'LEASE': return actual.lease < condition.lease ? -1 : actual.lease > condition.lease ? 1 : 0;
    case 'VALUE': case 'UNRECOGNIZED': return 0;
  }
}

function decide({ result }: Compare, difference: number): boolean {
  switch (result) {
    case 'EQUAL': return difference === 0;
    case 'NOT_EQUAL': return difference !== 0;
    case 'GREATER': return difference > 0;
    case 'LESS': return difference < 0;
    case 'UNRECOGNIZED': return true; // as etcd
  }
}

/** Reads only: it needs no place in the history, and any member can answer it. */
export function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ requestRange }) => requestRange !== undefined);
}

/** Reads only, and none of them needs to see the newest state. */
export function isSerializable({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ requestRange }) => requestRange?.serializable === true);
}

/** Whether either branch may take space, also in nested transactions. */
export function hasPut({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].some(({ requestPut, requestTxn }) => requestPut !== undefined || (requestTxn !== undefined && hasPut(requestTxn)));
}
