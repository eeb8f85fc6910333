// Who speaks to whom, in the headers that etcd's members send with every request.
// Source: etcd v3.6, server/etcdserver/api/rafthttp/{http,util}.go.
import type { IncomingHttpHeaders } from 'node:http';
import { compareVersions, MIN_CLUSTER_VERSION } from '../../core/versions.ts';
import { ETCD_VERSION } from '../version.ts';

export interface LocalIdentity {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly peerUrls: readonly string[];
}

export const hexId = (id: bigint): string => id.toString(16);

export function parseId(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
}

export const headersOf = ({ memberId, clusterId, peerUrls }: LocalIdentity): Record<string, string> => ({
  'X-Server-From': hexId(memberId), 'X-Server-Version': ETCD_VERSION, 'X-Min-Cluster-Version': MIN_CLUSTER_VERSION, 'X-Etcd-Cluster-ID': hexId(clusterId),
  'X-PeerURLs': peerUrls.join(','),
});

export const INCOMPATIBLE_VERSION = 'incompatible version';
export const CLUSTER_ID_MISMATCH = 'cluster ID mismatch';

export const header = (headers: IncomingHttpHeaders, name: string): string | undefined => {
  const value = headers[name.toLowerCase()];
  return Array.isArray(value) ? value[0] : value;
};

/** Why a request is refused; undefined when it is fine. */
export function objectionTo(headers: IncomingHttpHeaders, clusterId: bigint): string | undefined {
  const server = header(headers, 'X-Server-Version') ?? '2.0.0';
  const minCluster = header(headers, 'X-Min-Cluster-Version') ?? '2.0.0';
  if (compareVersions(server, MIN_CLUSTER_VERSION) < 0 || compareVersions(minCluster, ETCD_VERSION) > 0) return INCOMPATIBLE_VERSION;
  return header(headers, 'X-Etcd-Cluster-ID') === hexId(clusterId) ? undefined : CLUSTER_ID_MISMATCH;
}

/** The member that a request says it comes from, with its addresses. */
export function senderOf(headers: IncomingHttpHeaders): { readonly id: bigint; readonly urls: readonly string[] } | undefined {
  const id = parseId(header(headers, 'X-Server-From'));
  const urls = (header(headers, 'X-PeerURLs') ?? '').split(',').filter((url) => URL.canParse(url));
  return id === undefined || urls.length === 0 ? undefined : { id, urls };
}
