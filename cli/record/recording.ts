// The file of a recording: JSON lines, the first says of what, the last that it is whole; in between what was done from outside, in the
// order in which it was asked for. docs/failure-lab.md has the fields.
import { closeSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { UserError } from '../user-error.ts';

export const FORMAT = 1;
/** Of a file that is read; bytes. */
const MAX_FILE_BYTES = 512 * 1024 * 1024;

export interface RecordingHead {
  readonly type: 'recording';
  readonly format: typeof FORMAT;
  readonly startedAt: string;
  readonly kubernetesVersion: string;
  readonly hosts: readonly { readonly name: string; readonly role: string }[];
  /** Whether the bodies of writes of Secrets are in it. */
  readonly secrets: 'left out' | 'included';
}

/** All times: milliseconds after the start. */
interface Timed {
  readonly atMs: number;
}

/** A write that an API server has taken, by somebody who is no part of the cluster's own components. */
export interface RecordedWrite extends Timed {
  readonly type: 'write';
  readonly verb: string;
  /** With its query. */
  readonly uri: string;
  readonly user: string;
  readonly userAgent?: string;
  /** Of a patch. */
  readonly contentType?: string;
  /** As it was sent, in JSON; absent for Secrets that are left out, and for deletions without options. */
  readonly body?: unknown;
  /** What the server answered: 200, 201, 202. */
  readonly code: number;
  /** Of the object that came of it. */
  readonly name?: string;
  readonly uid?: string;
}

export interface RecordedFault extends Timed {
  readonly type: 'fault';
  /** Of that cluster; `heal` refers to it. */
  readonly id: string;
  readonly kind: string;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, string | boolean>>;
  readonly forMs?: number;
}

export interface RecordedHeal extends Timed {
  readonly type: 'heal';
  readonly id: string;
}

export const LEVERS = ['resume', 'start', 'reboot', 'poweron'] as const;
export type Lever = (typeof LEVERS)[number];

export interface RecordedLever extends Timed {
  readonly type: 'lever';
  readonly name: Lever;
  readonly target: string;
}

export interface RecordingEnd extends Timed {
  readonly type: 'end';
}

export type RecordedStep = RecordedWrite | RecordedFault | RecordedHeal | RecordedLever;

export interface Recording {
  readonly head: RecordingHead;
  readonly steps: readonly RecordedStep[];
  readonly endMs: number;
}

export function writeRecording(file: string, { head, steps, endMs }: Recording): void {
  const descriptor = openSync(`${file}.new`, 'w', 0o600);
  try {
    const end: RecordingEnd = { type: 'end', atMs: endMs };
    for (const line of [head, ...steps, end]) writeSync(descriptor, `${JSON.stringify(line)}\n`);
  } finally {
    closeSync(descriptor);
  }
  renameSync(`${file}.new`, file);
}

/** Throws UserError with the line that is wrong. */
export function readRecording(file: string): Recording {
  let text: string;
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw new UserError(`${file} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`, 2);
  }
  return parseRecording(text, file);
}

type Raw = Readonly<Record<string, unknown>>;

export function parseRecording(text: string, file: string): Recording {
  const [first, ...rest] = text.split('\n').filter((line) => line !== '').map((line, at): Raw => {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === 'object' && value !== null) return value as Raw;
    } catch {
      // told below
    }
    throw new UserError(`${file}:${at + 1}: not a JSON object`);
  });
  if (first?.['type'] !== 'recording') throw new UserError(`${file} is no recording: its first line has not the type "recording"`);
  if (first['format'] !== FORMAT) throw new UserError(`${file} is of format ${String(first['format'])}; this kubreak reads format ${FORMAT}`);
  const end = rest.pop();
  if (end?.['type'] !== 'end') throw new UserError(`${file} is not whole: its last line has not the type "end"`);
  const steps = rest.map((raw, at) => {
    const problem = problemOf(raw);
    if (problem !== undefined) throw new UserError(`${file}:${at + 2}: ${problem}`);
    return raw as unknown as RecordedStep;
  });
  return { head: first as unknown as RecordingHead, steps, endMs: Number(end['atMs']) };
}

const isText = (value: unknown): boolean => typeof value === 'string';

function problemOf(raw: Raw): string | undefined {
  const texts = (...keys: string[]): string | undefined => keys.filter((key) => !isText(raw[key])).map((key) => `${key} must be a text`)[0];
  if (typeof raw['atMs'] !== 'number' || !(raw['atMs'] >= 0)) return 'atMs must be a number of milliseconds';
  switch (raw['type']) {
    case 'write': return texts('verb', 'uri', 'user') ?? (isText(raw['uri']) && (raw['uri'] as string).startsWith('/') ? undefined : 'uri must be a path');
    case 'fault': return texts('id', 'kind') ?? (Array.isArray(raw['args']) && raw['args'].every(isText) && typeof raw['options'] === 'object' && raw['options'] !== null ? undefined : 'a fault has args and options');
    case 'heal': return texts('id');
    case 'lever': return texts('target') ?? (LEVERS.some((lever) => lever === raw['name']) ? undefined : `name must be one of ${LEVERS.join(', ')}`);
    default: return `type must be write, fault, heal or lever, not "${String(raw['type'])}"`;
  }
}
