// Work as a span: started, made the active one, ended with the outcome.
import { context as contexts, ROOT_CONTEXT, SpanStatusCode, trace, type Context, type Span, type SpanOptions, type Tracer } from '@opentelemetry/api';
import { RecordedSpan } from './span.ts';

export interface InSpanOptions extends SpanOptions {
  /** Told of only when it led to something: a request that writes, a span below it, or a failure. For what mostly finds nothing to do. */
  readonly onlyIfFollowed?: boolean;
  /** Default: the active context; with `root`: none. */
  readonly parent?: Context;
}

export function failSpan(span: Span, error: unknown): void {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  const { code } = (error ?? {}) as { code?: unknown };
  span.setAttribute('error.type', typeof code === 'number' || typeof code === 'string' ? String(code) : name).setStatus({ code: SpanStatusCode.ERROR, message });
}

/** Ends the span when `work` has ended. What it throws is recorded and thrown on. */
export async function inSpan<T>(tracer: Tracer, name: string, { onlyIfFollowed = false, parent, ...options }: InSpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const above = parent ?? (options.root === true ? ROOT_CONTEXT : contexts.active());
  const span = tracer.startSpan(name, options, above);
  const isDull = (): boolean => onlyIfFollowed && span instanceof RecordedSpan && !span.hasFollowers;
  try {
    const result = await contexts.with(trace.setSpan(above, span), () => work(span));
    if (isDull()) (span as RecordedSpan).drop();
    return result;
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** A moment worth telling, as a span without length. */
export function noteSpan(tracer: Tracer, name: string, options: SpanOptions, error?: unknown): void {
  const span = tracer.startSpan(name, { root: true, ...options });
  if (error !== undefined) failSpan(span, error);
  span.end();
}
