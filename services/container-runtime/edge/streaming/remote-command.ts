// What exec and attach need of a client connection, whatever protocol it speaks, and the texts that end a session.
import type { Readable, Writable } from 'node:stream';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface RemoteStreams {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  onResize(listener: (size: TerminalSize) => void): void;
  /** Sends the outcome when all output has been sent, and closes. */
  finish(outcome: Outcome): Promise<void>;
  /** Settles when the client has gone. */
  readonly closed: Promise<void>;
}

export type Outcome = { readonly exitCode: number } | { readonly error: string };

/** The last message of v4 and later: a Status. Source: k8s.io/apimachinery, remotecommand. */
export function statusOf(outcome: Outcome): string {
  if ('error' in outcome) return JSON.stringify({ metadata: {}, status: 'Failure', message: `Internal error occurred: ${outcome.error}`, reason: 'InternalError', details: { causes: [{ message: outcome.error }] }, code: 500 });
  if (outcome.exitCode === 0) return JSON.stringify({ metadata: {}, status: 'Success' });
  return JSON.stringify({
    metadata: {}, status: 'Failure', message: `command terminated with non-zero exit code: error executing command in container, exit code ${outcome.exitCode}`,
    reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: String(outcome.exitCode) }] },
  });
}

/** The last message of v1 to v3: plain text, nothing when all went well. */
export function plainTextOf(outcome: Outcome): string {
  if ('error' in outcome) return outcome.error;
  return outcome.exitCode === 0 ? '' : `command terminated with non-zero exit code: error executing command in container, exit code ${outcome.exitCode}`;
}

/** Undefined when the text is no size: `{"Width":80,"Height":24}`. */
export function parseTerminalSize(text: string): TerminalSize | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    return typeof Width === 'number' && typeof Height === 'number' && Width > 0 && Height > 0 ? { columns: Width, rows: Height } : undefined;
  } catch {
    return undefined;
  }
}

export interface StreamRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}
