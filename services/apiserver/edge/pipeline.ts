// What every request carries on its way through the server, once the first hooks have looked at it.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Span } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import { validateFieldManager } from '#lib/machinery/object-meta.ts';
import { failure, invalidObject } from '#lib/machinery/status-error.ts';
import { notSupported } from '#lib/machinery/field-error.ts';
import type { User } from '../core/access.ts';
import type { RequestInfo } from '../core/request-info.ts';
import type { AuditTrail } from './audit/auditor.ts';
import type { InjectedFault } from './faults/misbehave.ts';

export interface ApiCall {
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly startMs: number;
  readonly isLongRunning: boolean;
  user: User;
  /** Aborts when the client is gone, the request has run out of time or the server stops. */
  readonly abort: AbortController;
  readonly warnings: string[];
  /** In traces; undefined: it is not told of. */
  readonly span: Span | undefined;
  readonly auditId: string;
  /** When the audit policy wants to hear of it. */
  audit?: AuditTrail;
  /** Of a rule of misbehaviour. */
  injected?: InjectedFault;
}

declare module 'fastify' {
  interface FastifyRequest {
    api: ApiCall;
  }
}

/** A connection that a client wants to use for something else than HTTP. */
export interface PendingUpgrade {
  readonly socket: Duplex;
  readonly head: Buffer;
}

const PENDING_UPGRADE = Symbol('pending upgrade');
type Upgradable = IncomingMessage & { [PENDING_UPGRADE]?: PendingUpgrade };

export function setPendingUpgrade(request: IncomingMessage, upgrade: PendingUpgrade): void {
  (request as Upgradable)[PENDING_UPGRADE] = upgrade;
}
export function pendingUpgrade(request: IncomingMessage): PendingUpgrade | undefined {
  return (request as Upgradable)[PENDING_UPGRADE];
}

/** The same text twice is told once. */
export function warn({ api }: FastifyRequest, text: string): void {
  if (!api.warnings.includes(text)) api.warnings.push(text);
}

const CONNECT_SUBRESOURCES: ReadonlySet<string> = new Set(['attach', 'exec', 'proxy', 'log', 'portforward']);

/** Source: pkg/controlplane/apiserver/config.go, LongRunningFunc. */
export function isLongRunning({ verb, subresource, isResourceRequest }: RequestInfo): boolean {
  return isResourceRequest && (verb === 'watch' || verb === 'proxy' || CONNECT_SUBRESOURCES.has(subresource));
}

/** `dryRun=All`. `optionsKind`: CreateOptions, UpdateOptions, PatchOptions, DeleteOptions. Throws Invalid. */
export function parseDryRun(values: readonly string[], optionsKind: string): boolean {
  const bad = values.find((value) => value !== 'All');
  if (bad !== undefined) throw invalidObject({ group: 'meta.k8s.io', kind: optionsKind }, '', [notSupported('dryRun', values.length === 1 ? bad : values, ['All'])]);
  return values.length > 0;
}

/** Bytes. Source: apimachinery pkg/apis/meta/v1/validation, FieldManagerMaxLength. */
const MAX_MANAGER_BYTES = 128;

/** Who owns what the request writes: as asked for, else the first part of the client's name. Throws Invalid. */
export function fieldManagerOf(request: FastifyRequest, optionsKind: string): string {
  const asked = request.api.query.get('fieldManager') ?? '';
  if (asked !== '') {
    const problems = validateFieldManager(asked, 'fieldManager');
    if (problems.length > 0) throw invalidObject({ group: 'meta.k8s.io', kind: optionsKind }, '', problems);
    return asked;
  }
  let name = '';
  for (const character of (request.headers['user-agent'] ?? '').split('/')[0] ?? '') {
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(character)) continue;
    if (Buffer.byteLength(name + character) > MAX_MANAGER_BYTES) break;
    name += character;
  }
  return name;
}

/** Source: RequestEntityTooLarge of apimachinery pkg/api/errors. */
export const bodyTooLarge = (limitBytes: number) => failure(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limitBytes}`);
