// A file of this machine, on a host.
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { UserError } from '../user-error.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { lastWords } from './run-command.ts';

/** Whole groups of three, which base64 needs no filling for. */
const PIECE_BYTES = 48 * 1024;
const TIMEOUT_MS = 600_000;

/** For root only there. Throws UserError. */
export async function uploadToHost(cluster: ClusterAccess, host: string, file: string, path: string): Promise<void> {
  // In text, as that is what every way to a host takes.
  const encoded = Readable.from(async function* () {
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) yield `${(piece as Buffer).toString('base64')}\n`;
  }());
  const { code, stdout, stderr } = await cluster.onHost(host, ['sh', '-c', 'umask 077; base64 -d >"$1"', 'sh', path], { timeoutMs: TIMEOUT_MS, input: encoded });
  if (code !== 0) throw new UserError(`${host}: ${lastWords({ stdout, stderr })}`);
}
