// Resource quantities: `100m`, `1.5Gi`, `12e6`. Exact to a billionth, as apimachinery's resource.Quantity.
// Callers that count (scheduler, kubelet) want `milliValue` and `integerValue`, which are cached by text.

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

export interface Quantity {
  /** The amount times 10^9. */
  readonly nanos: bigint;
  /** The family of suffixes that the text used; it is kept when written again. */
  readonly format: QuantityFormat;
}

/** Thrown for text that is no quantity, with the parser's words. */
export class QuantityError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'QuantityError';
  }
}

const NANO = 1_000_000_000n;
/** Amounts above are cut to it, as upstream does: 2^63 - 1. */
const LARGEST = (2n ** 63n - 1n) * NANO;
const WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const SHAPE = /^([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/;
const DECIMAL_EXPONENTS: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY_EXPONENTS: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const DECIMAL_SUFFIXES = new Map(Object.entries(DECIMAL_EXPONENTS).map(([suffix, exponent]) => [exponent, suffix]));
const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;

/** Exponents beyond these give 0 or the largest amount; unbounded ones would cost unbounded memory. */
const LARGEST_EXPONENT = 40;

interface Multiplier {
  readonly format: QuantityFormat;
  readonly decimalExponent: number;
  readonly binaryExponent: number;
}

function multiplierOf(suffix: string): Multiplier {
  const decimal = DECIMAL_EXPONENTS[suffix];
  if (decimal !== undefined) return { format: 'DecimalSI', decimalExponent: decimal, binaryExponent: 0 };
  const binary = BINARY_EXPONENTS[suffix];
  if (binary !== undefined) return { format: 'BinarySI', decimalExponent: 0, binaryExponent: binary };
  if (/^[eE][-+]?[0-9]+$/.test(suffix)) return { format: 'DecimalExponent', decimalExponent: Number(suffix.slice(1)), binaryExponent: 0 };
  throw new QuantityError("unable to parse quantity's suffix");
}

/** Quotient rounded away from zero; both arguments are positive. */
const dividedUp = (numerator: bigint, denominator: bigint): bigint => (numerator + denominator - 1n) / denominator;

/** Throws QuantityError. A number is taken as its decimal text, as in JSON. */
export function parseQuantity(input: string | number): Quantity {
  const text = typeof input === 'number' ? String(input) : input;
  const match = SHAPE.exec(text);
  if (match === null) throw new QuantityError(WRONG_FORMAT);
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match;
  if (whole === '' && fraction === '') throw new QuantityError(WRONG_FORMAT);
  const { format, decimalExponent, binaryExponent } = multiplierOf(suffix);
  const digits = BigInt(whole + fraction);
  const exponent = decimalExponent - fraction.length + 9;
  let nanos: bigint;
  if (digits === 0n) nanos = 0n;
  else if (exponent > LARGEST_EXPONENT) nanos = LARGEST;
  else {
    const scaled = digits * 2n ** BigInt(binaryExponent);
    nanos = exponent >= 0 ? scaled * 10n ** BigInt(exponent) : dividedUp(scaled, 10n ** BigInt(-exponent));
  }
  if (nanos > LARGEST) nanos = LARGEST;
  // 0 < amount < 1 has no binary form.
  const kept: QuantityFormat = format === 'BinarySI' && nanos > 0n && nanos < NANO ? 'DecimalSI' : format;
  return { nanos: sign === '-' ? -nanos : nanos, format: kept };
}

export function quantityOfMilli(milli: number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return { nanos: BigInt(Math.round(milli)) * 1_000_000n, format };
}

function decimalText(nanos: bigint, asExponent: boolean): string {
  let mantissa = nanos;
  let exponent = -9;
  while (exponent < 18 && mantissa % 1000n === 0n) {
    mantissa /= 1000n;
    exponent += 3;
  }
  if (asExponent) return exponent === 0 ? `${mantissa}` : `${mantissa}e${exponent}`;
  return `${mantissa}${DECIMAL_SUFFIXES.get(exponent) ?? ''}`;
}
function binaryText(nanos: bigint): string {
  let mantissa = nanos / NANO;
  let power = 0;
  while (power < 6 && mantissa % 1024n === 0n) {
    mantissa /= 1024n;
    power += 1;
  }
  return `${mantissa}${BINARY_SUFFIXES[power] ?? ''}`;
}

/** The canonical text: the largest suffix that leaves a whole number. */
export function formatQuantity({ nanos, format }: Quantity): string {
  if (nanos === 0n) return '0';
  const isSmall = nanos > -1024n * NANO && nanos < 1024n * NANO;
  if (format === 'BinarySI' && !isSmall && nanos % NANO === 0n) return binaryText(nanos);
  return decimalText(nanos, format === 'DecimalExponent');
}

/** `1000m` => `1`; throws QuantityError. */
export const canonicalQuantity = (text: string | number): string => formatQuantity(parseQuantity(text));

export function addQuantities(left: Quantity, right: Quantity): Quantity {
  return { nanos: left.nanos + right.nanos, format: left.nanos === 0n ? right.format : left.format };
}
/** Negative, zero or positive, for sorting. */
export function compareQuantities(left: string | number | Quantity, right: string | number | Quantity): number {
  const [a, b] = [left, right].map((one) => (typeof one === 'object' ? one : parseQuantity(one)).nanos) as [bigint, bigint];
  return a < b ? -1 : a > b ? 1 : 0;
}

function scaledUp(nanos: bigint, unit: bigint): number {
  const up = nanos >= 0n ? dividedUp(nanos, unit) : -dividedUp(-nanos, unit);
  return Number(up);
}

/** Texts of pods and nodes repeat endlessly; the cache is emptied when full. */
const CACHE_LIMIT = 2000;
function cachedByText(compute: (text: string) => number): (text: string) => number {
  const cache = new Map<string, number>();
  return (text) => {
    let value = cache.get(text);
    if (value === undefined) {
      value = compute(text);
      if (cache.size >= CACHE_LIMIT) cache.clear();
      cache.set(text, value);
    }
    return value;
  };
}
const milliByText = cachedByText((text) => scaledUp(parseQuantity(text).nanos, 1_000_000n));
const valueByText = cachedByText((text) => scaledUp(parseQuantity(text).nanos, NANO));

/** Thousandths, rounded away from zero: `0.1` CPU => 100. Absent counts as 0. */
export function milliValue(quantity: string | undefined): number {
  return quantity === undefined ? 0 : milliByText(quantity);
}
/** Whole units, rounded away from zero: `1Ki` => 1024, `1500m` => 2. Absent counts as 0. */
export function integerValue(quantity: string | undefined): number {
  return quantity === undefined ? 0 : valueByText(quantity);
}
