// Sends objects, lists and errors in the form a client accepts.
import type { FastifyReply } from 'fastify';
import { stringify as toYaml } from 'yaml';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { failure, StatusError, type Status } from '#lib/machinery/status-error.ts';
import { partialMetadata, table, type IncludeObject } from '../core/table.ts';
import type { CacheEntry } from '../core/watch-cache.ts';
import { FutureRevisionError, RevisionCompactedError, StorageError } from '../core/storage.ts';
import type { Accepted } from './negotiation.ts';

export interface AnswerForm {
  readonly accepted: Accepted;
  readonly includeObject: IncludeObject;
  readonly nowMs: number;
}

export interface ListMetadata {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export function sendJson(reply: FastifyReply, code: number, json: string, format: Accepted['format'] = 'json'): FastifyReply {
  if (format === 'yaml') return reply.code(code).header('content-type', 'application/yaml').send(toYaml(JSON.parse(json), { aliasDuplicateObjects: false }));
  return reply.code(code).header('content-type', 'application/json').send(Buffer.from(json)); // to a text fastify would add a charset
}

export function sendObject(reply: FastifyReply, code: number, kind: AnyKind, entry: CacheEntry, { accepted, includeObject, nowMs }: AnswerForm): FastifyReply {
  const { transform, format } = accepted;
  switch (transform.as) {
    case 'object': return sendJson(reply, code, entry.json(), format);
    case 'table': {
      const metadata = { resourceVersion: entry.object.metadata.resourceVersion };
      return sendJson(reply, code, JSON.stringify(table(kind, [entry.object], metadata, { includeObject, nowMs, apiVersion: transform.apiVersion })), format);
    }
    case 'partial': return sendJson(reply, code, JSON.stringify(partialMetadata(entry.object, transform.apiVersion)), format);
    case 'partial-list': throw failure(406, 'NotAcceptable', 'you requested PartialObjectMetadataList, but the requested object is not a list (*runtime.Unknown)');
  }
}

/** Items of a list carry no kind and apiVersion, as upstream's typed lists; custom resources do. */
function itemJson(entry: CacheEntry, prefix: string): string {
  const json = entry.json();
  return json.startsWith(prefix) ? `{${json.slice(prefix.length)}` : json;
}

export function sendList(reply: FastifyReply, kind: AnyKind, entries: readonly CacheEntry[], metadata: ListMetadata, { accepted, includeObject, nowMs }: AnswerForm): FastifyReply {
  const { transform, format } = accepted;
  switch (transform.as) {
    case 'object': {
      const prefix = `{"kind":"${kind.kind}","apiVersion":"${kind.apiVersion}",`;
      const items = entries.map((entry) => (kind.isCustom ? entry.json() : itemJson(entry, prefix))).join(',');
      return sendJson(reply, 200, `{"kind":"${kind.listKind}","apiVersion":"${kind.apiVersion}","metadata":${JSON.stringify(metadata)},"items":[${items}]}`, format);
    }
    case 'table':
      return sendJson(reply, 200, JSON.stringify(table(kind, entries.map(({ object }) => object), metadata, { includeObject, nowMs, apiVersion: transform.apiVersion })), format);
    case 'partial-list': {
      const items = entries.map(({ object }) => partialMetadata(object, transform.apiVersion));
      return sendJson(reply, 200, JSON.stringify({ kind: 'PartialObjectMetadataList', apiVersion: transform.apiVersion, metadata, items }), format);
    }
    case 'partial': throw failure(406, 'NotAcceptable', 'you requested PartialObjectMetadata, but the requested object is a list');
  }
}

export function sendPlainObject(reply: FastifyReply, code: number, object: unknown, format: Accepted['format']): FastifyReply {
  return sendJson(reply, code, JSON.stringify(object), format);
}

export function success(kind: AnyKind, { metadata }: KubernetesObject): Status {
  return {
    kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success',
    details: { name: metadata.name, ...(kind.group === '' ? {} : { group: kind.group }), kind: kind.plural, ...(metadata.uid === undefined ? {} : { uid: metadata.uid }) },
  };
}

export class RequestTimeoutError extends Error {
  override readonly name = 'RequestTimeoutError';
}

/** What a client is told about an error. Anything not foreseen is an internal error: the caller logs it. */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof RequestTimeoutError || (error instanceof StorageError && error.isTimeout)) {
    return failure(504, 'Timeout', 'Timeout: request did not complete within requested timeout - context deadline exceeded', {});
  }
  if (error instanceof RevisionCompactedError) return failure(410, 'Expired', 'The resourceVersion for the provided list is too old.');
  if (error instanceof FutureRevisionError) return failure(504, 'Timeout', `Timeout: ${error.message}`, { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], retryAfterSeconds: 1 });
  if (error instanceof StorageError) return failure(500, undefined, error.message);
  const text = error instanceof Error ? error.message : String(error);
  return failure(500, 'InternalError', `Internal error occurred: ${text}`, { causes: [{ message: text }] });
}
