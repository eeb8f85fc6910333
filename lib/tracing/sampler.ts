// Which traces are exported. Source: OpenTelemetry SDK specification, samplers and OTEL_TRACES_SAMPLER.
import { TraceFlags, type SpanContext } from '@opentelemetry/api';

export type IsSampled = (traceId: string, parent: SpanContext | undefined) => boolean;

const always: IsSampled = () => true;
const never: IsSampled = () => false;

/** By the last eight bytes of the trace id, so that all processes decide alike. */
export function ratioSampler(ratio: number): IsSampled {
  if (ratio >= 1) return always;
  if (!(ratio > 0)) return never;
  const bound = BigInt(Math.floor(ratio * 2 ** 53)) << 11n;
  return (traceId) => BigInt(`0x${traceId.slice(16)}`) < bound;
}

/** As its parent was, wherever that is; else as `root` says. */
export function parentBased(root: IsSampled): IsSampled {
  return (traceId, parent) => (parent ? (parent.traceFlags & TraceFlags.SAMPLED) !== 0 : root(traceId, undefined));
}

/** Throws for a name that the specification does not have. */
export function samplerNamed(name = 'parentbased_always_on', argument = ''): IsSampled {
  const ratio = argument === '' || Number.isNaN(Number(argument)) ? 1 : Number(argument);
  switch (name) {
    case 'always_on': return always;
    case 'always_off': return never;
    case 'traceidratio': return ratioSampler(ratio);
    case 'parentbased_always_on': return parentBased(always);
    case 'parentbased_always_off': return parentBased(never);
    case 'parentbased_traceidratio': return parentBased(ratioSampler(ratio));
    default: throw new Error(`OTEL_TRACES_SAMPLER: there is no sampler ${JSON.stringify(name)}`);
  }
}
