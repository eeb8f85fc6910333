// Values such as maxSurge: a number, or a percentage of something. Source: apimachinery pkg/util/intstr.

const PERCENT = /^(-?\d+)%$/;

/** The number of a percentage text, or undefined when it is none. */
export function percentOf(text: string): number | undefined {
  const match = PERCENT.exec(text);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** A count out of `total`; percentages are rounded as asked. Throws for text that is no percentage. */
export function resolveIntOrPercent(value: number | string, total: number, rounding: 'up' | 'down'): number {
  if (typeof value === 'number') return value;
  const percent = percentOf(value);
  if (percent === undefined) throw new Error('invalid value for IntOrString: invalid type: string is not a percentage');
  const exact = (percent * total) / 100;
  return rounding === 'up' ? Math.ceil(exact) : Math.floor(exact);
}
