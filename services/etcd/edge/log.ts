// The log as etcd writes it: zap's JSON, or its console format, to where --log-outputs says.
// Source: etcd v3.6, client/pkg/logutil/zap.go, server/embed/config_logging.go.
import { openSync, writeSync } from 'node:fs';
import pino, { type Logger } from 'pino';
import { FlagError } from '#lib/service/flags.ts';
import type { EtcdFlags } from '../command-line/flags.ts';
import { rotatingFile, rotationOf } from './rotating-file.ts';

type LogFlags = Pick<EtcdFlags, 'logLevel' | 'logFormat' | 'logOutputs' | 'enableLogRotation' | 'logRotationConfigJson'>;
export type WriteLine = (line: string) => void;

const LEVELS = ['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal'];
const STANDARD: Readonly<Record<string, number>> = { default: 2, stderr: 2, stdout: 1 };
const RETRY_FULL_PIPE_MS = 5;

/** Throws FlagError, in etcd's words, when the flags cannot be followed. */
export function newEtcdLog({ logLevel, logFormat, logOutputs, enableLogRotation, logRotationConfigJson }: LogFlags): Logger {
  if (!LEVELS.includes(logLevel)) throw new FlagError(`unrecognized level: ${JSON.stringify(logLevel)}`);
  if (logFormat !== 'json' && logFormat !== 'console') throw new FlagError(`unknown log format: ${logFormat}, supported values json, console`);
  const outputs = [...new Set(logOutputs.length === 0 ? ['default'] : logOutputs)];
  if (outputs.includes('systemd/journal')) throw new FlagError('systemd/journal is not supported as a log output');
  if (outputs.length > 1 && outputs.includes('default')) throw new FlagError('multi logoutput for "default" is not supported yet');
  const files = outputs.filter((output) => STANDARD[output] === undefined);
  if (enableLogRotation && files.length !== 1) throw new FlagError('--log-outputs requires a single file path when --log-rotate-config-json is defined');
  const rotation = enableLogRotation ? rotationOf(logRotationConfigJson) : undefined;
  const writers = outputs.map((output): WriteLine => {
    const standard = STANDARD[output];
    if (standard !== undefined) return appendTo(standard);
    return rotation === undefined ? appendTo(openToAppend(output)) : rotatingFile(output, rotation);
  });
  const format = logFormat === 'console' ? consoleLine : (line: string): string => line;
  return pino({
    level: ['dpanic', 'panic'].includes(logLevel) ? 'fatal' : logLevel, base: null, timestamp: () => `,"ts":"${timestamp()}"`,
    formatters: { level: (level) => ({ level }), log: withError },
  }, { write: (line) => {
    const text = format(line);
    for (const write of writers) write(text);
  } });
}

/** UTC, with microseconds. */
function timestamp(): string {
  const nowMs = Date.now();
  return `${new Date(nowMs).toISOString().slice(0, -1)}${String(Math.floor((performance.now() * 1000) % 1000)).padStart(3, '0')}Z`;
}

/** zap has the text of an error under that name. */
function withError(fields: Record<string, unknown>): Record<string, unknown> {
  const { err, ...others } = fields;
  if (err === undefined) return fields;
  return { ...others, error: err instanceof Error ? err.message : (err as { message?: unknown }).message ?? err };
}

function consoleLine(line: string): string {
  const { level, ts, msg, ...fields } = JSON.parse(line) as { level: string; ts: string; msg?: string };
  return `${[ts, level, msg ?? '', ...(Object.keys(fields).length === 0 ? [] : [JSON.stringify(fields)])].join('\t')}\n`;
}

function openToAppend(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw new FlagError(`couldn't open sink ${JSON.stringify(path)}: ${(error as Error).message}`);
  }
}

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
