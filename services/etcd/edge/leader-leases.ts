// What only the leader knows of leases: it is asked by the other members on behalf of their clients, as etcd's are.
// Source: etcd v3.6, server/lease/leasehttp and EtcdServer.LeaseRenew, LeaseTimeToLive.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError, etcdError } from '#lib/etcd-api/errors.ts';
import { leaseKeepAliveRequest, leaseKeepAliveResponse, leaseTimeToLiveRequest, leaseTimeToLiveResponse } from '#lib/etcd-api/messages.ts';
import { message, nested } from '#lib/etcd-api/wire.ts';
import { grpcStatus } from '#lib/grpc/status.ts';
import type { Lessor } from '../core/lessor.ts';
import { bytesOf } from '../core/key-range.ts';
import { failPoint } from './fail-points.ts';
import type { Member } from './member.ts';
import type { Membership } from './membership.ts';
import type { EtcdMetrics } from './metrics.ts';
import { under } from './peers/http-client.ts';
import { readBody, refuse } from './peers/transport.ts';

export interface LeaderLeasesOptions {
  readonly member: Member;
  readonly membership: Membership;
  readonly lessor: Lessor;
  readonly clock: Clock;
  readonly metrics: () => EtcdMetrics;
}

export interface LeaseTime {
  readonly ID: bigint;
  /** Seconds left; at most 0 while it waits to be revoked. */
  readonly TTL: number;
  readonly grantedTTL: number;
  readonly keys: readonly Buffer[];
}

const timeRequest = message({ request: nested(1, leaseTimeToLiveRequest) });
const timeResponse = message({ response: nested(1, leaseTimeToLiveResponse) });
const NOT_FOUND = 'requested lease not found';
/** Source: etcd, maxLeaseHTTPRequestSize. */
const MAX_REQUEST_BYTES = 64 * 1024;
const FORWARD_TIMEOUT_MS = 5_000;

export class LeaderLeases {
  private readonly options: LeaderLeasesOptions;

  constructor(options: LeaderLeasesOptions) {
    this.options = options;
  }

  /** The seconds granted anew; undefined when there is no such lease any more. Rejects with EtcdError. */
  async renew(id: bigint): Promise<number | undefined> {
    const { member, lessor } = this.options;
    if (member.isLeader && lessor.isPrimary) return this.renewHere(id);
    return this.ask('/leases', leaseKeepAliveRequest.encode({ ID: id }), () => (lessor.isPrimary ? this.renewHere(id) : undefined), (body) => leaseKeepAliveResponse.decode(body).TTL);
  }

  private async renewHere(id: bigint): Promise<number | undefined> {
    const { member, lessor, clock, metrics } = this.options;
    if (!(await member.isSurelyLeader())) throw etcdError('LeaderChanged');
    const isOver = (): boolean => (lessor.remainingMs(id, clock.nowMs()) ?? Infinity) <= 0;
    await failPoint('beforeCheckpointInLeaseRenew');
    if (lessor.hasCheckpoint(id) && !isOver()) await member.propose({ type: 'leaseCheckpoint', request: { checkpoints: [{ ID: id, remainingTTL: 0 }] } });
    if (!lessor.isPrimary) throw etcdError('LeaderChanged');
    // Who hears that a lease is gone may rely on its keys being gone.
    if (isOver()) await this.expire(id).catch(unlessGone);
    const ttl = lessor.renew(id, clock.nowMs());
    if (ttl !== undefined) metrics().countLease('renewed');
    return ttl;
  }

  /** Revokes a lease whose time is over. Rejects with EtcdError. */
  async expire(id: bigint): Promise<void> {
    const { member, metrics } = this.options;
    await member.propose({ type: 'leaseRevoke', request: { ID: id }, by: member.store.auth.root() });
    metrics().countLease('expired');
  }

  /** undefined when there is no such lease any more. Rejects with EtcdError. */
  async timeToLive(id: bigint, withKeys: boolean): Promise<LeaseTime | undefined> {
    const { member, lessor } = this.options;
    if (member.isLeader && lessor.isPrimary) return this.timeHere(id, withKeys);
    return this.ask('/leases/internal', timeRequest.encode({ request: { ID: id, keys: withKeys } }), () => (lessor.isPrimary ? this.timeHere(id, withKeys) : undefined),
      (body) => timeResponse.decode(body).response);
  }

  private timeHere(id: bigint, withKeys: boolean): LeaseTime | undefined {
    const { member, lessor, clock } = this.options;
    const lease = member.store.leases.get(id);
    const remainingMs = lessor.remainingMs(id, clock.nowMs());
    if (!lessor.isPrimary) throw etcdError('LeaderChanged');
    if (lease === undefined || remainingMs === undefined) return undefined;
    return { ID: id, TTL: Math.trunc(remainingMs / 1000), grantedTTL: lease.grantedTtl, keys: withKeys ? [...lease.keys].sort().map(bytesOf) : [] };
  }

  /** `here`: this member may become the leader while it looks for one. */
  private async ask<T>(path: string, body: Buffer, here: () => T | Promise<T | undefined> | undefined, decode: (body: Buffer) => T | undefined): Promise<T | undefined> {
    const { member, membership } = this.options;
    let answer: T | undefined;
    await membership.askLeader(async (url) => {
      if (member.isLeader) {
        if (!this.options.lessor.isPrimary) return false;
        answer = await here();
        return true;
      }
      const response = await member.transport.client.send(under(url, path), { method: 'POST', headers: { 'Content-Type': 'application/protobuf' }, body, timeoutMs: FORWARD_TIMEOUT_MS });
      if (response.status === 200) answer = decode(response.body);
      return response.status === 200 || (response.status === 404 && response.body.toString('latin1').trim().endsWith(NOT_FOUND));
    });
    return answer;
  }

  // What other members ask of this one, when they take it for the leader.

  serve(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    if (path !== '/leases' && path !== '/leases/internal') return false;
    if (request.method !== 'POST') refuse(response, 405, 'Method Not Allowed');
    else {
      this.answer(request, path).then(
        (body) => (body === undefined ? refuse(response, 404, NOT_FOUND) : void response.writeHead(200, { 'content-type': 'application/protobuf' }).end(body)),
        (error: unknown) => refuse(response, error instanceof EtcdError ? 500 : 400, error instanceof Error ? error.message : 'error unmarshalling request'));
    }
    return true;
  }

  private async answer(request: IncomingMessage, path: string): Promise<Buffer | undefined> {
    const body = await readBody(request, MAX_REQUEST_BYTES);
    if (!this.options.lessor.isPrimary) throw etcdError('NotLeader');
    if (path === '/leases') {
      const { ID } = leaseKeepAliveRequest.decode(body);
      const TTL = await this.renewHere(ID);
      return TTL === undefined ? undefined : leaseKeepAliveResponse.encode({ ID, TTL });
    }
    const { ID = 0n, keys = false } = timeRequest.decode(body).request ?? {};
    const found = this.timeHere(ID, keys);
    return found && timeResponse.encode({ response: { header: {}, ...found } }); // etcd needs the header to be there
  }
}

function unlessGone(error: unknown): void {
  if (!(error instanceof EtcdError) || error.code !== grpcStatus.NOT_FOUND) throw error;
}
