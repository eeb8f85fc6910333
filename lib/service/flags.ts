// Command line flags as upstream writes them: --name=value, --name value, --name for a boolean; the last one wins.
// A service declares its flags once; what it gets is a typed, frozen object with camelCase names.

export class FlagError extends Error {
  override readonly name = 'FlagError';
}

export interface Flag<T> {
  readonly help: string;
  readonly fallback: T;
  readonly isBoolean: boolean;
  /** Throws FlagError with what was expected. `previous` is the value so far, for flags that may be repeated. */
  // A method, so that a Flag<string> also is a Flag<unknown>.
  parse(text: string, previous: T | undefined): T;
  /** Suffix of the property name: durations become `...Ms`. */
  readonly unit: '' | 'Ms';
}

export type FlagDefinitions = Readonly<Record<string, Flag<unknown>>>;

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type ValueOf<F> = F extends Flag<infer T> ? T : never;
type PropertyOf<Name extends string, F> = F extends DurationFlag ? `${Camel<Name>}Ms` : Camel<Name>;

/** `{ 'secure-port': port({...}) }` becomes `{ securePort: number }`; durations get the suffix `Ms`. */
export type Flags<D extends FlagDefinitions> = { readonly [N in keyof D & string as PropertyOf<N, D[N]>]: ValueOf<D[N]> };

export interface DurationFlag extends Flag<number> {
  readonly unit: 'Ms';
}

interface Options<T> {
  readonly help: string;
  readonly default: T;
}

function flag<T>(options: Options<T>, parse: (text: string, previous: T | undefined) => T, isBoolean = false): Flag<T> {
  return { help: options.help, fallback: options.default, isBoolean, parse, unit: '' };
}

export const text = (options: Options<string>): Flag<string> => flag(options, (value) => value);
/** Path of a file or folder; empty when not given. */
export const path = (options: { help: string; default?: string }): Flag<string> => flag({ help: options.help, default: options.default ?? '' }, (value) => value);
export const address = text;

/** As Go's strconv.ParseBool; undefined: neither. */
export const parseBoolean = (text: string): boolean | undefined =>
  (['true', '1', 't', 'T', 'TRUE', 'True'].includes(text) ? true : ['false', '0', 'f', 'F', 'FALSE', 'False'].includes(text) ? false : undefined);

export const boolean = (options: Options<boolean>): Flag<boolean> =>
  flag(options, (value) => {
    const parsed = parseBoolean(value);
    if (parsed === undefined) throw new FlagError(`invalid argument "${value}": must be true or false`);
    return parsed;
  }, true);

export const integer = (options: Options<number> & { min?: number; max?: number }): Flag<number> =>
  flag(options, (value) => {
    const number = Number(value);
    if (!/^[+-]?\d+$/.test(value) || !Number.isSafeInteger(number)) throw new FlagError(`invalid argument "${value}": must be an integer`);
    if (number < (options.min ?? -Infinity) || number > (options.max ?? Infinity)) {
      throw new FlagError(`invalid argument "${value}": must be between ${options.min ?? '-inf'} and ${options.max ?? 'inf'}`);
    }
    return number;
  });

/** 0 stands for "off" or "any free port", as the service says. */
export const port = (options: Options<number>): Flag<number> => integer({ ...options, min: 0, max: 65535 });

/** A comma-separated list; may also be repeated. */
export const list = (options: Options<readonly string[]>): Flag<readonly string[]> =>
  flag(options, (value, previous) => [...(previous ?? []), ...value.split(',').filter((item) => item !== '')]);

/** `key=value` pairs, comma-separated or repeated. */
export const map = (options: Options<Readonly<Record<string, string>>>): Flag<Readonly<Record<string, string>>> =>
  flag(options, (value, previous) => {
    const result: Record<string, string> = { ...previous };
    for (const pair of value.split(',').filter((item) => item !== '')) {
      const at = pair.indexOf('=');
      if (at < 0) throw new FlagError(`invalid argument "${value}": ${pair} must be formatted as key=value`);
      result[pair.slice(0, at)] = pair.slice(at + 1);
    }
    return result;
  });

/** A Go duration (`15s`, `1m30s`, `100ms`); the value is in milliseconds and its property name ends in `Ms`. */
export const duration = (options: { help: string; default: string }): DurationFlag => ({
  help: options.help, fallback: parseDurationMs(options.default), isBoolean: false, parse: parseDurationMs, unit: 'Ms',
});

const UNIT_MS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, 'µs': 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Source: Go time.ParseDuration. */
export function parseDurationMs(value: string): number {
  if (value === '0') return 0;
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.exec(value);
  if (!match) throw new FlagError(`invalid argument "${value}": time: invalid duration "${value}"`);
  let total = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)) total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  return match[1] === '-' ? -total : total;
}

const camel = (name: string): string => name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const propertyOf = (name: string, { unit }: Flag<unknown>): string => camel(name) + unit;

/** Throws FlagError for an unknown flag, a missing or a malformed value, or a stray argument. */
export function parseFlags<D extends FlagDefinitions>(definitions: D, argv: readonly string[]): Flags<D> {
  const values: Record<string, unknown> = {};
  const given = new Map<string, unknown>();
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    if (!argument.startsWith('-')) throw new FlagError(`unknown argument: ${argument}`);
    const [, name = '', inline] = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    const definition = definitions[name];
    if (!definition) throw new FlagError(`unknown flag: --${name}`);
    const value = inline ?? (definition.isBoolean ? 'true' : argv[(index += 1)]);
    if (value === undefined) throw new FlagError(`flag needs an argument: --${name}`);
    try {
      given.set(name, definition.parse(value, given.get(name)));
    } catch (error) {
      if (!(error instanceof FlagError)) throw error;
      throw new FlagError(error.message.replace(/^invalid argument "([^"]*)":/, `invalid argument "$1" for "--${name}" flag:`));
    }
  }
  for (const [name, definition] of Object.entries(definitions)) {
    values[propertyOf(name, definition)] = given.has(name) ? given.get(name) : definition.fallback;
  }
  return Object.freeze(values) as Flags<D>;
}

/** The text of `--help`. */
export function describeFlags(program: string, definitions: FlagDefinitions): string {
  const rows = Object.entries(definitions).map(([name, { help, fallback, unit }]) => {
    const shown = unit === 'Ms' ? `${String((fallback as number) / 1000)}s` : Array.isArray(fallback) ? fallback.join(',') : JSON.stringify(fallback);
    return `      --${name.padEnd(40)} ${help} (default ${shown})`;
  });
  return `Usage:\n  ${program} [flags]\n\nFlags:\n${rows.join('\n')}\n      --${'help'.padEnd(40)} print this text\n`;
}
