// Writes events of requests to the audit log, as the policy says. Source: apiserver pkg/endpoints/filters/audit.go, pkg/audit/request.go.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '#lib/environment/clock.ts';
import type { Status } from '#lib/machinery/status-error.ts';
import { formatMicroTime } from '#lib/machinery/time.ts';
import type { User } from '../../core/access.ts';
import type { AuditDecision, AuditPolicy, Stage } from '../../core/audit/policy.ts';
import { mediaTypeOf } from '../body.ts';
import type { AuditLog } from './audit-log.ts';

/** What patches are, as replaying needs it and upstream's event does not tell. */
export const PATCH_TYPE_ANNOTATION = 'emulator/patch-content-type';

interface Meta {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** One request on its way. */
export class AuditTrail {
  readonly #auditor: Auditor;
  readonly #decision: AuditDecision;
  readonly #request: FastifyRequest;
  readonly #receivedMs: number;
  readonly #user: User;
  #requestObject: string | undefined;
  #objectMeta: Meta = {};
  #responseObject: string | undefined;
  #status: Status | undefined;
  readonly annotations: Record<string, string> = {};

  constructor(auditor: Auditor, decision: AuditDecision, request: FastifyRequest, user: User, receivedMs: number) {
    this.#auditor = auditor;
    this.#decision = decision;
    this.#request = request;
    this.#user = user;
    this.#receivedMs = receivedMs;
  }
  get wantsRequest(): boolean {
    return this.#decision.level === 'Request' || this.#decision.level === 'RequestResponse';
  }
  get wantsResponse(): boolean {
    return this.#decision.level === 'RequestResponse';
  }
  /** The body, once it is understood. */
  request(object: unknown): void {
    this.#objectMeta = { ...(object as { metadata?: Meta } | null)?.metadata };
    if (this.wantsRequest) this.#requestObject = this.#text(object);
  }
  response(object: unknown): void {
    if (this.wantsResponse) this.#responseObject = this.#text(object);
  }
  failed(status: Status): void {
    this.#status = status;
  }
  /** As it is now: the object is changed further. */
  #text(object: unknown): string {
    return JSON.stringify(object, this.#decision.omitManagedFields ? (key, value: unknown) => (key === 'managedFields' ? undefined : value) : undefined);
  }

  /** `code`: of the answer. */
  tell(stage: Stage, code = 0): void {
    if (this.#decision.omitStages.includes(stage)) return;
    const { headers, api, raw, ip, url } = this.#request;
    const { info, user } = api;
    const isDone = stage !== 'RequestReceived';
    const { name = '', namespace = '', uid, resourceVersion } = this.#objectMeta;
    const event = {
      kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: this.#decision.level, auditID: api.auditId, stage, requestURI: url, verb: info.verb,
      user: userOf(this.#user), ...(user !== this.#user && user.name !== '' ? { impersonatedUser: userOf(user) } : {}),
      sourceIPs: [ip || raw.socket.remoteAddress || ''], ...(headers['user-agent'] === undefined ? {} : { userAgent: headers['user-agent'] }),
      ...(info.isResourceRequest ? {
        objectRef: withoutEmpty({
          resource: info.resource, namespace: info.namespace || (isDone ? namespace : ''), name: info.name || (isDone ? name : ''), uid: isDone ? uid ?? '' : '',
          apiGroup: info.apiGroup, apiVersion: info.apiVersion, resourceVersion: isDone ? resourceVersion ?? '' : '', subresource: info.subresource,
        }),
      } : {}),
      ...(isDone ? { responseStatus: this.#responseStatus(code) } : {}),
    };
    const bodies = isDone ? [['requestObject', this.#requestObject], ['responseObject', this.#responseObject]] as const : [];
    const rest = {
      requestReceivedTimestamp: formatMicroTime(this.#receivedMs), stageTimestamp: formatMicroTime(this.#auditor.nowMs()),
      ...(Object.keys(this.annotations).length === 0 ? {} : { annotations: this.annotations }),
    };
    const inserted = bodies.flatMap(([key, json]) => (json === undefined ? [] : [`"${key}":${json},`])).join('');
    this.#auditor.write(`${JSON.stringify(event).slice(0, -1)},${inserted}${JSON.stringify(rest).slice(1)}\n`);
  }

  #responseStatus(code: number): object {
    if (!this.#status) return { metadata: {}, code };
    const { metadata, status, message, reason, details } = this.#status;
    return { metadata, ...withoutEmpty({ status, message: message ?? '', reason: reason ?? '' }), ...(details === undefined ? {} : { details }), code };
  }
}

const userOf = ({ name, uid, groups, extra }: User): object => ({ username: name, ...(uid === undefined ? {} : { uid }), groups, ...(extra === undefined ? {} : { extra }) });
const withoutEmpty = <T extends Record<string, string>>(fields: T): Partial<T> => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '')) as Partial<T>;

export class Auditor {
  readonly #policy: AuditPolicy;
  readonly #log: AuditLog;
  readonly #clock: Clock;

  constructor(policy: AuditPolicy, log: AuditLog, clock: Clock) {
    this.#policy = policy;
    this.#log = log;
    this.#clock = clock;
  }
  nowMs(): number {
    return this.#clock.nowMs();
  }
  write(line: string): void {
    this.#log.write(line);
  }

  /** `user`: who asks, before he acts as somebody else. Called when both are known. */
  begin(request: FastifyRequest, user: User): void {
    const decision = this.#policy.decide(user, request.api.info);
    if (decision.level === 'None') return;
    const trail = new AuditTrail(this, decision, request, user, this.nowMs());
    request.api.audit = trail;
    const type = mediaTypeOf(request.headers['content-type'] ?? '');
    if (request.method === 'PATCH' && trail.wantsRequest) trail.annotations[PATCH_TYPE_ANNOTATION] = type;
    trail.tell('RequestReceived');
  }
}

/** What goes out as JSON is what is written down of answers. */
export function auditAnswers(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const trail = request.api?.audit;
    if (trail?.wantsResponse === true && mediaTypeOf(String(reply.getHeader('content-type') ?? '')) === 'application/json' && (Buffer.isBuffer(payload) || typeof payload === 'string')) {
      trail.response(JSON.parse(payload.toString()));
    }
    done(null, payload);
  });
}
