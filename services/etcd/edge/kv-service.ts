// gRPC service KV.
import { etcdError } from '#lib/etcd-api/errors.ts';
import { kvService } from '#lib/etcd-api/services.ts';
import { checkDeleteRange, checkPut, checkRange, checkTxn } from '../core/check-request.ts';
import { StoreError } from '../core/store-error.ts';
import { isReadOnly } from '../core/txn.ts';
import { unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import type { Member } from './member.ts';
import type { Quota } from './quota.ts';

export interface KvOptions extends CallContext {
  readonly member: Member;
  readonly quota: Quota;
  readonly maxRequestBytes: number;
  readonly maxTxnOps: number;
}

export function newKvService(options: KvOptions): GrpcService {
  const { member, quota, maxTxnOps, metrics } = options;
  const admit = (sizeBytes: number): void => {
    if (sizeBytes > options.maxRequestBytes) throw etcdError('RequestTooLarge');
  };
  return unaryService(kvService, {
    Range: async (request) => {
      check(() => checkRange(request));
      metrics.countKv('range');
      return member.range(request);
    },
    Put: async (request, sizeBytes) => {
      check(() => checkPut(request));
      admit(sizeBytes);
      quota.admitWrite();
      metrics.countKv('put');
      return member.propose({ type: 'put', request });
    },
    DeleteRange: async (request, sizeBytes) => {
      check(() => checkDeleteRange(request));
      admit(sizeBytes);
      metrics.countKv('delete');
      return member.propose({ type: 'deleteRange', request });
    },
    Txn: async (request, sizeBytes) => {
      check(() => checkTxn(request, maxTxnOps));
      metrics.countKv('txn');
      if (isReadOnly(request)) return member.readOnlyTxn(request);
      admit(sizeBytes);
      if ([...request.success, ...request.failure].some(({ requestPut }) => requestPut !== undefined)) quota.admitWrite();
      return member.propose({ type: 'txn', request });
    },
    Compact: ({ revision }) => member.propose({ type: 'compact', request: { revision } }),
  }, options);
}

function check(run: () => void): void {
  try {
    run();
  } catch (error) {
    throw error instanceof StoreError ? etcdError(error.reason) : error;
  }
}
