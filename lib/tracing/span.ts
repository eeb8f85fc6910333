// Spans and tracers of the OpenTelemetry API, without the SDK: a fifth of its memory, and all that the services need.
// What has ended goes to a sink; whether it is exported, too, a sampler says.
import { getRandomValues } from 'node:crypto';
import {
  context as contexts, isSpanContextValid, SpanKind, SpanStatusCode, trace, TraceFlags,
  type Attributes, type AttributeValue, type Context, type Exception, type Link, type Span, type SpanContext, type SpanOptions, type SpanStatus, type TimeInput, type Tracer, type TracerProvider,
} from '@opentelemetry/api';
import { wallClock } from './wall-clock.ts';

/** Source: OTEL_SPAN_EVENT_COUNT_LIMIT, OTEL_SPAN_LINK_COUNT_LIMIT, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT. */
const MAX_EVENTS = 128;
const MAX_LINKS = 128;
const MAX_ATTRIBUTES = 128;

export interface SpanEvent {
  readonly name: string;
  readonly timeMs: number;
  readonly attributes: Attributes;
}

/** A span as it goes to a sink. Times are milliseconds since 1970, with fractions. */
export interface EndedSpan {
  readonly scope: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly spanContext: SpanContext;
  readonly parentSpanContext: SpanContext | undefined;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  readonly links: readonly Link[];
  readonly status: SpanStatus;
}

export interface TracingOptions {
  readonly onEnd: (span: EndedSpan) => void;
  /** Of a span without a parent, or of one whose parent was remote; a local parent's decision holds for its children. */
  readonly isSampled: (traceId: string, parent: SpanContext | undefined) => boolean;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const pool = new Uint8Array(1024);
let poolAt = pool.length;

function randomHex(bytes: number): string {
  if (poolAt + bytes > pool.length) {
    getRandomValues(pool);
    poolAt = 0;
  }
  let text = '';
  for (const end = poolAt + bytes; poolAt < end; poolAt += 1) text += HEX[pool[poolAt] ?? 0];
  return text;
}

function toMs(time: TimeInput | undefined): number {
  if (time === undefined) return wallClock.nowMs();
  if (typeof time === 'number') return time;
  return Array.isArray(time) ? time[0] * 1e3 + time[1] / 1e6 : time.getTime();
}

export class RecordedSpan implements Span {
  readonly #options: TracingOptions;
  readonly #scope: string;
  readonly #context: SpanContext;
  readonly #parent: SpanContext | undefined;
  readonly #kind: SpanKind;
  readonly #startMs: number;
  readonly #attributes: Attributes = {};
  readonly #events: SpanEvent[] = [];
  readonly #links: Link[];
  #name: string;
  #status: SpanStatus = { code: SpanStatusCode.UNSET };
  #hasEnded = false;
  /** It has led to something: a span below it, here or in another process. */
  hasFollowers = false;

  constructor(tracing: TracingOptions, scope: string, name: string, options: SpanOptions, parent: SpanContext | undefined) {
    const traceId = parent?.traceId ?? randomHex(16);
    const isSampled = parent && parent.isRemote !== true ? (parent.traceFlags & TraceFlags.SAMPLED) !== 0 : tracing.isSampled(traceId, parent);
    this.#options = tracing;
    this.#scope = scope;
    this.#name = name;
    this.#parent = parent;
    this.#context = { traceId, spanId: randomHex(8), traceFlags: isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE, ...(parent?.traceState ? { traceState: parent.traceState } : {}) };
    this.#kind = options.kind ?? SpanKind.INTERNAL;
    this.#startMs = toMs(options.startTime);
    this.#links = [...options.links ?? []].slice(0, MAX_LINKS);
    if (options.attributes) this.setAttributes(options.attributes);
  }

  spanContext(): SpanContext {
    return this.#context;
  }
  setAttribute(key: string, value: AttributeValue | undefined): this {
    if (this.#hasEnded || value === undefined || (!(key in this.#attributes) && Object.keys(this.#attributes).length >= MAX_ATTRIBUTES)) return this;
    this.#attributes[key] = value;
    return this;
  }
  setAttributes(attributes: Attributes): this {
    for (const key in attributes) this.setAttribute(key, attributes[key]);
    return this;
  }
  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (this.#hasEnded || this.#events.length >= MAX_EVENTS) return this;
    const isTime = typeof attributesOrTime === 'number' || Array.isArray(attributesOrTime) || attributesOrTime instanceof Date;
    this.#events.push(isTime ? { name, timeMs: toMs(attributesOrTime), attributes: {} } : { name, timeMs: toMs(time), attributes: attributesOrTime ?? {} });
    return this;
  }
  addLink(link: Link): this {
    if (!this.#hasEnded && this.#links.length < MAX_LINKS) this.#links.push(link);
    return this;
  }
  addLinks(links: Link[]): this {
    links.forEach((link) => this.addLink(link));
    return this;
  }
  setStatus(status: SpanStatus): this {
    if (!this.#hasEnded) this.#status = { ...status };
    return this;
  }
  updateName(name: string): this {
    if (!this.#hasEnded) this.#name = name;
    return this;
  }
  recordException(exception: Exception, time?: TimeInput): void {
    const { name, message } = typeof exception === 'string' ? { name: 'Error', message: exception } : exception;
    this.addEvent('exception', { 'exception.type': name ?? 'Error', 'exception.message': message ?? '' }, time);
  }
  isRecording(): boolean {
    return !this.#hasEnded;
  }
  end(endTime?: TimeInput): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#options.onEnd({
      scope: this.#scope, name: this.#name, kind: this.#kind, spanContext: this.#context, parentSpanContext: this.#parent,
      startMs: this.#startMs, endMs: Math.max(this.#startMs, toMs(endTime)), attributes: this.#attributes, events: this.#events, links: this.#links, status: this.#status,
    });
  }
  /** It came to nothing worth telling. */
  drop(): void {
    this.#hasEnded = true;
  }
}

class RecordingTracer implements Tracer {
  readonly #options: TracingOptions;
  readonly #scope: string;

  constructor(options: TracingOptions, scope: string) {
    this.#options = options;
    this.#scope = scope;
  }

  startSpan(name: string, options: SpanOptions = {}, context: Context = contexts.active()): Span {
    const above = options.root === true ? undefined : trace.getSpan(context);
    if (above instanceof RecordedSpan) above.hasFollowers = true;
    const parent = above?.spanContext();
    return new RecordedSpan(this.#options, this.#scope, name, options, parent && isSpanContextValid(parent) ? parent : undefined);
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, ...rest: [F] | [SpanOptions, F] | [SpanOptions, Context, F]): ReturnType<F> {
    const run = rest.at(-1) as F;
    const options = rest.length > 1 ? rest[0] as SpanOptions : {};
    const context = rest.length > 2 ? rest[1] as Context : contexts.active();
    const span = this.startSpan(name, options, context);
    return contexts.with(trace.setSpan(context, span), () => run(span)) as ReturnType<F>;
  }
}

export function tracerProvider(options: TracingOptions): TracerProvider {
  return { getTracer: (scope) => new RecordingTracer(options, scope) };
}
