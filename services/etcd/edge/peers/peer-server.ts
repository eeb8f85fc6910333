// What a member answers on its peer URLs. Source: etcd v3.6, server/etcdserver/api/etcdhttp/peer.go.
import type { RequestListener, ServerResponse } from 'node:http';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { requestUrl } from '#lib/service/request-url.ts';
import { encodeMember } from '../../core/cluster-members.ts';
import type { LeaderLeases } from '../leader-leases.ts';
import type { Member } from '../member.ts';
import { answerHash, HASH_PATH } from '../peer-hashes.ts';
import { promotionRefusal, type Membership } from '../membership.ts';
import { versionsJson } from '../version.ts';
import { hexId } from './identity.ts';
import { refuse } from './transport.ts';

export interface PeerServerOptions {
  readonly member: Member;
  readonly membership: Membership;
  readonly leases: LeaderLeases;
}

export function newPeerHandler({ member, membership, leases }: PeerServerOptions): RequestListener {
  const membersJson = (): string => `[${member.cluster.list().map((one) => encodeMember(one).toString()).join(',')}]\n`;
  const isMethod = (expected: string, actual: string | undefined, response: ServerResponse): boolean => {
    if (actual === expected) return true;
    response.setHeader('Allow', expected);
    refuse(response, 405, 'Method Not Allowed');
    return false;
  };
  const promote = (id: bigint, response: ServerResponse): void => {
    membership.promoteHere(id).then(
      () => void response.writeHead(200, { 'content-type': 'application/json' }).end(membersJson()),
      (error: unknown) => {
        const text = error instanceof EtcdError ? promotionRefusal(error.reason) : undefined;
        refuse(response, text === undefined ? 500 : text.endsWith('not found') ? 404 : 412, text ?? (error instanceof Error ? error.message : 'Internal Server Error'));
      });
  };
  const tellDowngrade = (response: ServerResponse): void => {
    member.linearizable().then(
      () => void response.writeHead(200, { 'content-type': 'text/plain' }).end(String(member.cluster.downgrade.enabled)),
      (error: unknown) => refuse(response, 500, `failed linearized read: ${error instanceof Error ? error.message : String(error)}`));
  };
  return (request, response) => {
    request.on('error', () => response.destroy());
    response.on('error', () => request.destroy());
    const path = requestUrl(request.url).pathname;
    if (member.transport.serve(request, response, path) || leases.serve(request, response, path)) return;
    response.setHeader('X-Etcd-Cluster-ID', hexId(member.clusterId));
    if (path === '/members') {
      if (isMethod('GET', request.method, response)) response.writeHead(200, { 'content-type': 'application/json' }).end(membersJson());
    } else if (path === HASH_PATH) {
      if (isMethod('GET', request.method, response)) answerHash(member, request, response).catch((error: unknown) => refuse(response, 500, error instanceof Error ? error.message : 'Internal Server Error'));
    } else if (path.startsWith('/members/promote/')) {
      const id = path.slice('/members/promote/'.length);
      if (!isMethod('POST', request.method, response)) return;
      if (/^\d{1,20}$/.test(id)) promote(BigInt(id), response);
      else refuse(response, 404, `member ${id} not found in cluster`);
    } else if (path === '/version') {
      if (!isMethod('GET', request.method, response)) return;
      response.writeHead(200, { 'content-type': 'application/json' }).end(versionsJson(member.cluster.clusterVersion));
    } else if (path === '/downgrade/enabled') {
      if (isMethod('GET', request.method, response)) tellDowngrade(response);
    } else refuse(response, 404, '404 page not found');
  };
}
