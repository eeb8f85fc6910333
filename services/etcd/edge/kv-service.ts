// gRPC service KV.
import { etcdError } from '#lib/etcd-api/errors.ts';
import type { RangeResponse } from '#lib/etcd-api/messages.ts';
import { kvService } from '#lib/etcd-api/services.ts';
import { checkDeleteRange, checkPut, checkRange, checkTxn } from '../core/check-request.ts';
import { isReadOnly } from '../core/txn.ts';
import { inEtcdsWords, type Authenticator } from './authenticator.ts';
import { unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import { EncodedRange } from './encoded-range.ts';
import type { Member } from './member.ts';
import type { Quota } from './quota.ts';

export interface KvOptions extends CallContext {
  readonly member: Member;
  readonly quota: Quota;
  readonly authenticator: Authenticator;
  readonly maxRequestBytes: number;
  readonly maxTxnOps: number;
}

const inBytes = (response: RangeResponse | EncodedRange): Buffer => (response instanceof EncodedRange ? response.bytes : kvService.Range.responseSerialize(response));

export function newKvService(options: KvOptions): GrpcService {
  const { member, quota, authenticator, maxTxnOps, metrics } = options;
  const admit = (sizeBytes: number): void => {
    if (sizeBytes > options.maxRequestBytes) throw etcdError('RequestTooLarge');
  };
  return unaryService({ ...kvService, Range: { ...kvService.Range, responseSerialize: inBytes } }, {
    Range: async (request, _, caller) => {
      inEtcdsWords(() => checkRange(request));
      metrics.countKv('range');
      return authenticator.read(caller, (by) => member.store.guard.range(by, request), () => member.encodedRange(request));
    },
    Put: async (request, sizeBytes, caller) => {
      await quota.admitPut(request);
      inEtcdsWords(() => checkPut(request));
      admit(sizeBytes);
      metrics.countKv('put');
      return member.propose({ type: 'put', request, by: await authenticator.identify(caller) });
    },
    DeleteRange: async (request, sizeBytes, caller) => {
      inEtcdsWords(() => checkDeleteRange(request));
      admit(sizeBytes);
      metrics.countKv('delete');
      return member.propose({ type: 'deleteRange', request, by: await authenticator.identify(caller) });
    },
    Txn: async (request, sizeBytes, caller) => {
      await quota.admitTxn(request);
      inEtcdsWords(() => checkTxn(request, maxTxnOps));
      metrics.countKv('txn');
      if (isReadOnly(request)) return authenticator.read(caller, (by) => member.store.guard.txn(by, request), () => member.readOnlyTxn(request));
      admit(sizeBytes);
      return member.propose({ type: 'txn', request, by: await authenticator.identify(caller) });
    },
    Compact: async ({ revision, physical }, _, caller) => {
      await authenticator.requireAdmin(caller);
      const response = await member.propose({ type: 'compact', request: { revision } });
      if (physical) await member.cleared();
      return response;
    },
  }, options);
}
