// --enable-log-rotation: a log file that begins anew when it is large, with the former ones beside it.
// Source: github.com/natefinch/lumberjack v2, which etcd uses.
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { FlagError } from '#lib/service/flags.ts';
import type { WriteLine } from './log.ts';

export interface Rotation {
  /** Megabytes after which the file begins anew; 0: 100. */
  readonly maxsize: number;
  /** Days for which former files stay; 0: for ever. */
  readonly maxage: number;
  /** Former files that stay; 0: all. */
  readonly maxbackups: number;
  /** Names of former files have the local time, and not UTC. */
  readonly localtime: boolean;
  readonly compress: boolean;
}

const DEFAULT_MAX_MEGABYTES = 100;
const MEGABYTE = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;
const TYPES = { maxsize: 'number', maxage: 'number', maxbackups: 'number', localtime: 'boolean', compress: 'boolean' } as const;

/** Throws FlagError. */
export function rotationOf(text: string): Rotation {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FlagError(`improperly formatted log rotation config: ${goSyntaxError(text, error as SyntaxError)}`);
  }
  if (value === null) return rotationOf('{}');
  if (typeof value !== 'object' || Array.isArray(value)) throw new FlagError(`invalid log rotation config: json: cannot unmarshal ${goKindOf(value)} into Go value of type embed.logRotationConfig`);
  const given = new Map(Object.entries(value).map(([name, field]) => [name.toLowerCase(), field as unknown]));
  const read = (name: keyof typeof TYPES): unknown => {
    const field = given.get(name);
    if (field === undefined || field === null) return TYPES[name] === 'number' ? 0 : false;
    if (typeof field !== TYPES[name] || (typeof field === 'number' && !Number.isInteger(field))) throw new FlagError(`invalid log rotation config: json: cannot unmarshal ${goKindOf(field)} into Go struct field logRotationConfig.Logger.${name} of type ${TYPES[name] === 'number' ? 'int' : 'bool'}`);
    return field;
  };
  return { maxsize: read('maxsize'), maxage: read('maxage'), maxbackups: read('maxbackups'), localtime: read('localtime'), compress: read('compress') } as Rotation;
}

/** Of Go's words only those for a text that ends too soon. */
function goSyntaxError(text: string, { message }: SyntaxError): string {
  const at = / at position (\d+)$/.exec(message)?.[1];
  return at === undefined || Number(at) >= text.length || message.startsWith('Unterminated') ? 'unexpected end of JSON input' : message;
}

/** Source: Go, encoding/json (UnmarshalTypeError). */
function goKindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'number' : `number ${value}`;
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** `nowMs`: replaced in tests. */
export function rotatingFile(path: string, { maxsize, maxage, maxbackups, localtime, compress }: Rotation, nowMs: () => number = Date.now): WriteLine {
  const maxBytes = (maxsize || DEFAULT_MAX_MEGABYTES) * MEGABYTE;
  const extension = extname(path);
  const prefix = `${basename(path, extension)}-`;
  let fd = openSync(path, 'a', 0o600);
  let size = fstatSync(fd).size;

  function rotate(): void {
    closeSync(fd);
    const former = join(dirname(path), `${prefix}${stamp(nowMs(), localtime)}${extension}`);
    renameSync(path, former);
    if (compress) {
      writeFileSync(`${former}.gz`, gzipSync(readFileSync(former)), { mode: 0o600 });
      rmSync(former);
    }
    removeOld();
    fd = openSync(path, 'a', 0o600);
    size = 0;
  }

  function removeOld(): void {
    const former = readdirSync(dirname(path)).filter((name) => name.startsWith(prefix) && (name.endsWith(extension) || name.endsWith(`${extension}.gz`))).sort().reverse();
    const oldest = `${prefix}${stamp(nowMs() - maxage * DAY_MS, localtime)}`;
    former.forEach((name, at) => {
      if ((maxbackups > 0 && at >= maxbackups) || (maxage > 0 && name < oldest)) rmSync(join(dirname(path), name), { force: true });
    });
  }

  return (line) => {
    const bytes = Buffer.from(line);
    if (size + bytes.length > maxBytes && size > 0) rotate();
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    size += bytes.length;
  };
}

/** As lumberjack's names have it: 2006-01-02T15-04-05.000. */
function stamp(timeMs: number, isLocal: boolean): string {
  const time = new Date(isLocal ? timeMs - new Date(timeMs).getTimezoneOffset() * 60_000 : timeMs);
  return time.toISOString().slice(0, -1).replaceAll(':', '-');
}
