// What the API server tells in traces: each request that changes something, and each write to etcd that it led to.
// Names of spans are upstream's. Source: apiserver pkg/endpoints/filters/traces.go, pkg/storage/etcd3/store.go.
import { context as contexts, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Span } from '@opentelemetry/api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { inSpan } from '#lib/tracing/in-span.ts';
import { aboutUids, changeSummary } from '../core/change-summary.ts';
import type { RequestInfo } from '../core/request-info.ts';
import type { WriteResult } from '../core/storage.ts';

const tracer = trace.getTracer('k8s.io/apiserver');

const MUTATING: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);
/** Questions in the form of objects, which are not stored. */
const QUESTIONS = /reviews$/;
/** Most uids told of one write. */
const MAX_ABOUT = 50;

const isWrite = ({ isResourceRequest, verb, resource, subresource }: RequestInfo): boolean =>
  isResourceRequest && MUTATING.has(verb) && !QUESTIONS.test(resource) && subresource !== 'token';

/** Leases are renewed all the time: only what goes wrong is told. */
const isHeartbeat = ({ resource, apiGroup, verb }: RequestInfo): boolean => resource === 'leases' && apiGroup === 'coordination.k8s.io' && verb === 'update';

function spanName(method: string, { apiPrefix, apiGroup, apiVersion, namespace, resource, name, subresource }: RequestInfo): string {
  const segments = [apiPrefix, apiGroup, apiVersion, ...(namespace === '' ? [] : ['namespaces', '{:namespace}']), resource, ...(name === '' ? [] : ['{:name}']), subresource];
  return `${method} /${segments.filter((segment) => segment !== '').join('/')}`;
}

export const resourceName = (group: string, resource: string): string => (group === '' ? resource : `${group}/${resource}`);

/** Starts the span of a request that may change something; it ends with the answer. Undefined: there is nothing to tell. */
export function startRequestSpan(request: FastifyRequest, reply: FastifyReply, info: RequestInfo): Span | undefined {
  if (!isWrite(info)) return undefined;
  const startMs = performance.now();
  const parent = propagation.extract(ROOT_CONTEXT, request.headers);
  const start = (elapsedMs: number): Span => tracer.startSpan(spanName(request.method, info), {
    kind: SpanKind.SERVER, ...(elapsedMs > 0 ? { startTime: Date.now() - elapsedMs } : {}),
    attributes: {
      [attribute.httpMethod]: request.method, [attribute.urlPath]: info.path, [attribute.userAgent]: request.headers['user-agent'] ?? '',
      [attribute.clientAddress]: request.socket?.remoteAddress ?? '', [attribute.resource]: resourceName(info.apiGroup, info.resource) + (info.subresource === '' ? '' : `/${info.subresource}`),
      ...(info.namespace === '' ? {} : { [attribute.namespace]: info.namespace }), ...(info.name === '' ? {} : { [attribute.objectName]: info.name }),
    },
  }, parent);
  const span = isHeartbeat(info) ? undefined : start(0);
  reply.raw.once('close', () => {
    const code = reply.raw.statusCode;
    const told = span ?? (code >= 400 ? start(performance.now() - startMs) : undefined);
    if (!told) return;
    told.setAttributes({ [attribute.httpStatus]: code, [attribute.userName]: request.api.user.name });
    if (code >= 500) told.setStatus({ code: SpanStatusCode.ERROR });
    told.end();
  });
  return span;
}

export const withSpan = <T>(span: Span | undefined, work: () => T): T => (span ? contexts.with(trace.setSpan(contexts.active(), span), work) : work());

export interface TracedWrite {
  readonly name: 'Create etcd3' | 'GuaranteedUpdate etcd3' | 'Delete etcd3';
  readonly kind: AnyKind;
  /** Undefined: it is removed. */
  readonly next: KubernetesObject | undefined;
  readonly previous: KubernetesObject | undefined;
}

/** A write to storage on behalf of a request. */
export async function inWriteSpan({ name, kind, next, previous }: TracedWrite, write: () => Promise<WriteResult>): Promise<WriteResult> {
  if (trace.getActiveSpan()?.isRecording() !== true) return write();
  const object = next ?? previous;
  const { metadata } = object as KubernetesObject;
  const attributes = {
    [attribute.resource]: resourceName(kind.group, kind.plural), [attribute.objectName]: metadata.name, [attribute.uid]: metadata.uid,
    ...(metadata.namespace === undefined ? {} : { [attribute.namespace]: metadata.namespace }),
    ...(metadata.ownerReferences && metadata.ownerReferences.length > 0 ? { [attribute.owners]: metadata.ownerReferences.map(({ uid }) => uid) } : {}),
    ...(previous ? { [attribute.versionRead]: previous.metadata.resourceVersion } : {}),
  };
  return inSpan(tracer, name, { attributes }, async (span) => {
    const result = await write();
    if (!result.succeeded) return (span.setStatus({ code: SpanStatusCode.ERROR, message: 'somebody else was first' }), result);
    const about = next ? aboutUids(next, previous, MAX_ABOUT) : [];
    span.setAttributes({
      [attribute.versionWritten]: String(result.revision), [attribute.what]: next ? changeSummary(kind, next, previous) : 'removed',
      ...(about.length > 0 ? { [attribute.about]: about } : {}),
    });
    return result;
  });
}
