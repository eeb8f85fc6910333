// Locks and elections (packages v3lockpb and v3electionpb), field by field.
// Source: etcd v3.6, server/etcdserver/api/v3lock/v3lockpb and v3election/v3electionpb.
import { keyValue, responseHeader } from './messages.ts';
import { bytes, int64, int64Id, message, nested } from './wire.ts';

const header = nested(1, responseHeader);
const headerOnly = message({ header });

export const lockRequest = message({ name: bytes(1), lease: int64Id(2) });
export const lockResponse = message({ header, key: bytes(2) });
export const unlockRequest = message({ key: bytes(1) });
export const unlockResponse = headerOnly;

export const leaderKey = message({ name: bytes(1), key: bytes(2), rev: int64(3), lease: int64Id(4) });
export const campaignRequest = message({ name: bytes(1), lease: int64Id(2), value: bytes(3) });
export const campaignResponse = message({ header, leader: nested(2, leaderKey) });
export const proclaimRequest = message({ leader: nested(1, leaderKey), value: bytes(2) });
export const proclaimResponse = headerOnly;
export const leaderRequest = message({ name: bytes(1) });
export const leaderResponse = message({ header, kv: nested(2, keyValue) });
export const resignRequest = message({ leader: nested(1, leaderKey) });
export const resignResponse = headerOnly;
