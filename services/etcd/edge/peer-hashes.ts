// Hashes between members: /members/hashkv, asked and answered. Source: etcd v3.6, server/etcdserver/corrupt.go.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { EtcdError, etcdErrors, type EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import type { PeerHash } from '../core/corruption.ts';
import type { Member } from './member.ts';
import { under } from './peers/http-client.ts';
import { CLUSTER_ID_MISMATCH, header, hexId } from './peers/identity.ts';
import { readBody, refuse } from './peers/transport.ts';

export const HASH_PATH = '/members/hashkv';
const MAX_REQUEST_BYTES = 64 * 1024;

/** As Go writes HashKVResponse: what is 0 is left out. */
interface HashJson {
  readonly header?: { readonly revision?: number };
  readonly hash?: number;
  readonly compact_revision?: number;
  readonly hash_revision?: number;
}

/** The store's own words, which members pass on among themselves. */
const storesWords = (reason: EtcdErrorReason): string => etcdErrors[reason][1].replace('etcdserver: ', '');

export async function answerHash(member: Member, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const clusterId = header(request.headers, 'X-Etcd-Cluster-ID') ?? '';
  if (clusterId !== '' && clusterId !== hexId(member.clusterId)) return refuse(response, 412, CLUSTER_ID_MISMATCH);
  const revision = revisionIn(await readBody(request, MAX_REQUEST_BYTES));
  if (revision === undefined) return refuse(response, 400, 'error unmarshalling request');
  try {
    const hash = await member.hashes.at(revision);
    const answer: HashJson = { header: { revision: member.revision }, hash: hash.hash, compact_revision: hash.compactRevision, hash_revision: hash.revision };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  } catch (error) {
    if (!(error instanceof EtcdError) || (error.reason !== 'Compacted' && error.reason !== 'FutureRevision')) throw error;
    refuse(response, 400, storesWords(error.reason));
  }
}

function revisionIn(body: Buffer): number | undefined {
  try {
    const { revision = 0 } = JSON.parse(body.toString()) as { revision?: unknown };
    return typeof revision === 'number' && Number.isSafeInteger(revision) && revision >= 0 ? revision : undefined;
  } catch {
    return undefined; // no JSON
  }
}

/** Of all other members, at the same time. */
export function askForHashes(member: Member, revision: number, log: Logger): Promise<PeerHash[]> {
  const others = member.cluster.list().filter(({ id, peerUrls }) => id !== member.memberId && peerUrls.length > 0);
  return Promise.all(others.map(async ({ id, peerUrls }): Promise<PeerHash> => {
    for (const url of peerUrls) {
      try {
        return { id, answer: await askForHash(member, url, revision) };
      } catch (error) {
        log.warn({ 'remote-peer-id': hexId(id), 'requested-revision': revision, 'remote-peer-endpoint': url, err: error }, 'failed hash kv request');
      }
    }
    return { id, answer: undefined };
  }));
}

async function askForHash(member: Member, url: string, revision: number): Promise<NonNullable<PeerHash['answer']>> {
  const { status, body } = await member.transport.client.send(under(url, HASH_PATH), {
    method: 'GET', headers: { 'Content-Type': 'application/json', 'X-Etcd-Cluster-ID': hexId(member.clusterId) }, body: Buffer.from(JSON.stringify({ revision })), timeoutMs: member.requestTimeoutMs,
  });
  const text = body.toString();
  if (status !== 200) {
    const reason = REASONS.find((each) => text.includes(storesWords(each)));
    throw new Error(reason === undefined ? `unknown error: ${text.trim()}` : etcdErrors[reason][1]);
  }
  const { header: { revision: newest = 0 } = {}, hash = 0, compact_revision: compactRevision = 0, hash_revision: hashRevision = 0 } = JSON.parse(text) as HashJson;
  return { hash, compactRevision, revision: hashRevision, newest };
}

const REASONS: readonly EtcdErrorReason[] = ['Compacted', 'FutureRevision', 'ClusterIdMismatch'];
