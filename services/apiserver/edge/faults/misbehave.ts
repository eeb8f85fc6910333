// Carries out on requests what the rules say: waits, refuses, cuts connections; what concerns lists and watches is left on the request
// for those who serve them. Comes after authentication, authorization and the limits, so that a request that is held up counts as served.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { API_FAULT_HEADER, type StatusCode } from '#lib/api-fault/rule.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { conflict, failure, internalError, MODIFIED, serviceUnavailable, tooManyRequests, type StatusError } from '#lib/machinery/status-error.ts';
import type { ApiFaults, RequestVerdict, WatchFaults } from '../../core/faults/api-faults.ts';
import type { RequestFacts } from '../../core/faults/match.ts';
import { dropConnection } from '../http-server.ts';
import { pendingUpgrade } from '../pipeline.ts';

/** What a rule asks of those who serve a request. */
export interface InjectedFault {
  /** What it asks for is too old. */
  readonly isExpired?: boolean;
  /** Answer as things were at this revision. */
  readonly staleRevision?: number;
  /** Do all of it, then cut the connection instead of answering. */
  readonly dropsAnswer?: boolean;
}

/** Nobody hears it: the connection is gone. */
const DROPPED = serviceUnavailable('the connection was cut on demand');
/** Of a refusal for which the rule names none; seconds, upstream's for an overloaded server. */
const DEFAULT_RETRY_SECONDS = 1;

function factsOf({ api, headers }: FastifyRequest): RequestFacts {
  const { info, user, query, isLongRunning } = api;
  const revision = query.get('resourceVersion') ?? '';
  const isExact = query.get('resourceVersionMatch') === 'Exact' || (query.get('resourceVersionMatch') === null && Number(query.get('limit') ?? 0) > 0 && Number(revision) > 0);
  const continues = (query.get('continue') ?? '') !== '';
  return {
    user: user.name, groups: user.groups, userAgent: headers['user-agent'] ?? '', verb: info.verb, group: info.apiGroup, resource: info.resource,
    subresource: info.subresource, namespace: info.namespace, name: info.name, isLongRunning,
    resumes: (info.verb === 'list' && (continues || isExact)) || (info.verb === 'watch' && Number(revision) > 0 && !query.has('sendInitialEvents')),
    mayBeStale: info.verb === 'list' && revision !== '' && !isExact && !continues,
  };
}

export const watchFaultsOf = (faults: ApiFaults, request: FastifyRequest): WatchFaults => faults.watch(factsOf(request));

export function misbehaveOnDemand(app: FastifyInstance, faults: ApiFaults, clock: Clock): void {
  app.addHook('onRequest', async (request, reply) => {
    if (faults.isEmpty || !request.api.info.isResourceRequest) return;
    const facts = factsOf(request);
    const { ruleIds, delayMs, end } = faults.decide(facts);
    if (ruleIds.length === 0) return;
    void reply.header(API_FAULT_HEADER, ruleIds.join(', '));
    if (delayMs > 0) {
      await clock.sleep(delayMs, request.api.abort.signal).catch(() => {
        throw DROPPED; // by the client, meanwhile
      });
    }
    if (end) carryOut(end, ruleIds.at(-1) ?? '', facts, request);
  });
  app.addHook('onSend', (request, _reply, payload, done) => {
    if (request.api.injected?.dropsAnswer === true) drop(request);
    done(null, payload);
  });
}

function carryOut(end: NonNullable<RequestVerdict['end']>, ruleId: string, facts: RequestFacts, request: FastifyRequest): void {
  switch (end.type) {
    case 'stale':
      request.api.injected = { staleRevision: end.revision };
      return;
    case 'drop':
      if (end.when === 'after') {
        request.api.injected = { dropsAnswer: true };
        return;
      }
      drop(request);
      throw DROPPED;
    case 'status':
      if (end.code === 410) request.api.injected = { isExpired: true };
      else throw refusal(end.code, ruleId, facts, end.retryAfterSeconds);
  }
}

/** Texts that upstream leaves to the cause name the rule. */
function refusal(code: Exclude<StatusCode, 410>, ruleId: string, { group, resource, name }: RequestFacts, retryAfterSeconds: number | undefined): StatusError {
  const cause = `injected by rule ${ruleId}`;
  switch (code) {
    case 409: return conflict({ group, plural: resource }, name, MODIFIED);
    case 429: return tooManyRequests(`the server has received too many requests and has asked us to try again later: ${cause}`, retryAfterSeconds ?? DEFAULT_RETRY_SECONDS);
    case 500: return internalError(cause);
    case 503: return retryAfterSeconds === undefined ? serviceUnavailable(cause) : failure(503, 'ServiceUnavailable', cause, { retryAfterSeconds });
  }
}

function drop({ raw, server }: FastifyRequest): void {
  const upgrade = pendingUpgrade(raw);
  if (upgrade) upgrade.socket.destroy();
  else dropConnection(server.server, raw);
}
