// W3C Trace Context: the header `traceparent` (and `tracestate`, passed on as it is). Source: w3.org/TR/trace-context.
import { createTraceState, isSpanContextValid, trace, TraceFlags, type Context, type SpanContext, type TextMapGetter, type TextMapPropagator, type TextMapSetter } from '@opentelemetry/api';
import { RecordedSpan } from './span.ts';

const TRACEPARENT = 'traceparent';
const TRACESTATE = 'tracestate';
const FORM = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-.*)?$/;

export function parseTraceparent(header: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = FORM.exec(header?.trim() ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined || (header?.startsWith('00') === true && header.trim().length !== 55)) return undefined;
  const parsed = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return isSpanContextValid(parsed) ? parsed : undefined;
}

export const formatTraceparent = ({ traceId, spanId, traceFlags }: SpanContext): string => `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;

export class TraceContextPropagator implements TextMapPropagator {
  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    const span = trace.getSpan(context);
    const at = span?.spanContext();
    if (!span || !at || !isSpanContextValid(at)) return;
    if (span instanceof RecordedSpan) {
      if (!span.isRecording()) return; // what comes after its end, such as a timer set in it, is no part of it
      span.hasFollowers = true;
    }
    setter.set(carrier, TRACEPARENT, formatTraceparent(at));
    if (at.traceState) setter.set(carrier, TRACESTATE, at.traceState.serialize());
  }
  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    const one = (name: string): string | undefined => {
      const value = getter.get(carrier, name);
      return Array.isArray(value) ? (value.length === 1 ? value[0] : undefined) : value;
    };
    const parent = parseTraceparent(one(TRACEPARENT));
    if (!parent) return context;
    const state = one(TRACESTATE);
    return trace.setSpanContext(context, state === undefined ? parent : { ...parent, traceState: createTraceState(state) });
  }
  fields(): string[] {
    return [TRACEPARENT, TRACESTATE];
  }
}
