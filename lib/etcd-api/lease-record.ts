// A lease as etcd stores it (package leasepb). Source: etcd v3.6, server/lease/leasepb/lease.proto.
import { int64, int64Id, message } from './wire.ts';

export const leaseRecord = message({ ID: int64Id(1), TTL: int64(2), remainingTTL: int64(3) });
