// The log as etcd writes it: zap's JSON, or its console format, to where --log-outputs says.
// Source: etcd v3.6, client/pkg/logutil/zap.go, server/embed/config_logging.go; zap v1.27, zapcore (json_encoder.go, console_encoder.go, sampler.go).
import { openSync, writeSync } from 'node:fs';
import pino, { type Logger } from 'pino';
import { FlagError } from '#lib/service/flags.ts';
import type { EtcdFlags } from '../command-line/flags.ts';
import { goTime } from './go-text.ts';
import { rotatingFile, rotationOf } from './rotating-file.ts';

type LogFlags = Pick<EtcdFlags, 'logLevel' | 'logFormat' | 'logOutputs' | 'enableLogRotation' | 'logRotationConfigJson'>;
export type WriteLine = (line: string) => void;

/** Nothing here is logged as panic: it ends the process as fatal. */
const LEVELS: Readonly<Record<string, string>> = { '': 'info', debug: 'debug', info: 'info', warn: 'warn', error: 'error', dpanic: 'fatal', panic: 'fatal', fatal: 'fatal' };
const ERROR_LEVEL = 50;
const FATAL_LEVEL = 60;
const STANDARD: Readonly<Record<string, number>> = { default: 2, stderr: 2, stdout: 1 };
const RETRY_FULL_PIPE_MS = 5;

/** Of one message: so many a second, then each one in so many. Source: logutil.DefaultZapLoggerConfig. */
const SAMPLED_FIRST = 100;
const SAMPLED_THEREAFTER = 100;

/** `usualLevel`: where --log-level is not given. Throws FlagError, in etcd's words, when the flags cannot be followed. */
export function newEtcdLog(flags: LogFlags, usualLevel?: string): Logger {
  const level = LEVELS[flags.logLevel] ?? LEVELS[flags.logLevel.toLowerCase()];
  if (level === undefined) throw new FlagError(`unrecognized level: ${JSON.stringify(flags.logLevel)}`);
  if (!['', 'json', 'console'].includes(flags.logFormat)) throw new FlagError(`unknown log format: ${flags.logFormat}, supported values json, console`);
  const writers = openOutputs(flags);
  const format = flags.logFormat === 'console' ? consoleLine : jsonLine;
  const isSampled = newSampler();
  return pino({
    level: usualLevel ?? level, base: null, timestamp: newTimestamp(),
    formatters: { level: (name) => ({ level: name === 'trace' ? 'debug' : name }) },
    hooks: {
      logMethod(args, method, number) {
        const [first, second] = args as [unknown, string?];
        const message = typeof first === 'string' ? first : second ?? '';
        if (!isSampled(number, message)) return;
        method.apply(this, [entryOf(message, typeof first === 'string' ? {} : first, number)] as unknown as Parameters<typeof method>);
      },
    },
  }, { write: (line) => {
    const text = format(line);
    for (const write of writers) write(text);
  } });
}

function openOutputs({ logOutputs, enableLogRotation, logRotationConfigJson }: LogFlags): WriteLine[] {
  const outputs = logOutputs.length === 0 ? ['default'] : logOutputs;
  if (outputs.length > 1 && outputs.includes('default')) throw new FlagError('multi logoutput for "default" is not supported yet');
  const files = outputs.filter((output) => STANDARD[output] === undefined);
  if (enableLogRotation && (files.length > 1 || (outputs.length === 1 && files.length === 0))) throw new FlagError('--log-outputs requires a single file path when --log-rotate-config-json is defined');
  const rotation = enableLogRotation ? rotationOf(logRotationConfigJson) : undefined;
  if (outputs.includes('systemd/journal')) throw new FlagError('systemd/journal is not supported as a log output');
  const merged = outputs.includes('/dev/null') ? ['/dev/null'] : [...new Set(outputs)];
  return merged.map((output) => {
    const standard = STANDARD[output];
    if (standard !== undefined) return appendTo(standard);
    return rotation === undefined ? appendTo(openToAppend(output)) : rotatingFile(output, rotation);
  });
}

/** True for what is to be logged. `nowMs`: replaced in tests. */
export function newSampler(nowMs: () => number = () => performance.now()): (level: number, message: string) => boolean {
  let second = 0;
  const seen = new Map<string, number>();
  return (level, message) => {
    const now = Math.floor(nowMs() / 1000);
    if (now !== second) {
      second = now;
      seen.clear();
    }
    const key = `${level}${message}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count <= SAMPLED_FIRST || (count - SAMPLED_FIRST) % SAMPLED_THEREAFTER === 0;
  };
}

/** What a line tells after level and time, in zap's order, with the part of etcd that tells it, if there is a `logger`. zap has the text of an error as `error`. */
function entryOf(message: string, given: unknown, level: number): Record<string, unknown> {
  const stack = stackOfCaller(FRAMES_OF_LOGGING + Number(level === FATAL_LEVEL), level >= ERROR_LEVEL ? FRAMES_SHOWN : 1);
  const fields: Record<string, unknown> = given instanceof Error ? { err: given } : given as Record<string, unknown>;
  const entry: Record<string, unknown> = { logger: fields['logger'], caller: placeOf(stack[0] ?? ''), msg: message };
  let stacktrace = level >= ERROR_LEVEL ? stack.join('\n') : undefined;
  for (const name in fields) {
    const value = fields[name];
    if (name === 'err' || name === 'error') {
      entry['error'] = value instanceof Error ? value.message : value;
      if (stacktrace !== undefined && value instanceof Error) stacktrace = value.stack ?? stacktrace;
    } else if (name !== 'logger') entry[name] = value;
  }
  if (stacktrace !== undefined) entry['stacktrace'] = stacktrace;
  return entry;
}

/** Between it and who logs: this function, `entryOf`, the hook, and pino's wrapper of it; `fatal` has one more. */
const FRAMES_OF_LOGGING = 4;
const FRAMES_SHOWN = 8;

function stackOfCaller(skipped: number, frames: number): string[] {
  const former = Error.stackTraceLimit;
  Error.stackTraceLimit = skipped + frames;
  const { stack = '' } = new Error();
  Error.stackTraceLimit = former;
  return stack.split('\n').slice(1 + skipped);
}

/** File and line, with the folder that the file is in. */
const placeOf = (frame: string): string => /((?:[^/\\( ]+[/\\])?[^/\\( ]+:\d+):\d+\)?$/.exec(frame)?.[1] ?? 'undefined';

/** UTC, with microseconds: those of the steady clock, as far as it goes with the other one. */
function newTimestamp(): () => string {
  let originMs = 0;
  return () => {
    const nowMs = Date.now();
    const steadyMs = performance.now();
    if (Math.abs(originMs + steadyMs - nowMs) > 1) originMs = nowMs - steadyMs;
    return `,"ts":"${goTime(originMs + steadyMs)}"`;
  };
}

/** Level, time, what a child of the log adds to each line, logger, caller, message, fields. */
const LINE = /^\{"level":"([a-z]+)","ts":"([^"]+)"(.*?)(?:,"logger":"([^"]*)")?,"caller":"([^"]*)","msg":("(?:[^"\\]|\\.)*")(.*)\}\n$/s;

/** zap has a child's fields after the message. */
function jsonLine(line: string): string {
  const [, level, ts, own = '', logger, caller, message, fields] = LINE.exec(line) ?? [];
  return own === '' ? line : `{"level":"${level}","ts":"${ts}",${logger === undefined ? '' : `"logger":"${logger}",`}"caller":"${caller}","msg":${message}${own}${fields}}\n`;
}

function consoleLine(line: string): string {
  const [, level, ts, own = '', logger, caller, message = '""', others = ''] = LINE.exec(line) ?? [];
  const [, rest = '', stacktrace] = STACKTRACE.exec(others) ?? [undefined, others];
  const fields = own + rest;
  const columns = [ts, level, ...(logger === undefined ? [] : [logger]), caller, JSON.parse(message) as string, ...(fields === '' ? [] : [`{${spaced(fields.slice(1))}}`])].join('\t');
  return `${columns}\n${stacktrace === undefined ? '' : `${JSON.parse(stacktrace) as string}\n`}`;
}

const STACKTRACE = /^(.*),"stacktrace":("(?:[^"\\]|\\.)*")$/s;

const spaced = (json: string): string => json.replace(/"(?:[^"\\]|\\.)*"|[:,]/g, (token) => (token.startsWith('"') ? token : `${token} `));

function openToAppend(path: string): number {
  try {
    return openSync(path, 'a', 0o666);
  } catch (error) {
    throw new FlagError(`open sink ${JSON.stringify(path)}: open ${path}: ${goWords(error as NodeJS.ErrnoException)}`);
  }
}

const goWords = ({ code, message }: NodeJS.ErrnoException): string => {
  const words: Readonly<Record<string, string>> = { ENOENT: 'no such file or directory', EACCES: 'permission denied', EISDIR: 'is a directory', ENOTDIR: 'not a directory' };
  return words[code ?? ''] ?? message;
};

/** A pipe that its reader lets fill up is waited for: nothing is lost. */
function appendTo(fd: number): WriteLine {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  return (line) => {
    const bytes = Buffer.from(line);
    for (let at = 0; at < bytes.length;) {
      try {
        at += writeSync(fd, bytes, at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EPIPE') return; // nobody reads it any more
        if (code !== 'EAGAIN') throw error;
        Atomics.wait(pause, 0, 0, RETRY_FULL_PIPE_MS);
      }
    }
  };
}
