// Reads the spans that the components of a cluster have kept on their hosts. No component needs to run for it.
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CONTROL_PLANE_SPAN_FOLDER, SPAN_FOLDER } from '#lib/tracing/span-folder.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import { parseSpanLine, type TraceSpan } from './trace-span.ts';

export interface ReadSpans {
  readonly spans: readonly TraceSpan[];
  /** Hosts whose spans could not be read, and why. */
  readonly missing: readonly { readonly host: string; readonly reason: string }[];
}

const READ_TIMEOUT_MS = 60_000;
/** The older file of each process first. */
const PRINT_ALL = `for folder in ${SPAN_FOLDER} ${CONTROL_PLANE_SPAN_FOLDER}; do for file in "$folder"/*.jsonl.1 "$folder"/*.jsonl; do if [ -e "$file" ]; then cat "$file"; fi; done; done`;

export async function readSpans(access: ClusterAccess): Promise<ReadSpans> {
  const spans: TraceSpan[] = [];
  const missing: { host: string; reason: string }[] = [];
  await Promise.all(access.hosts.map(async ({ name: host }) => {
    const take = (line: string): void => void spans.push(...parseSpanLine(line, host) ?? []);
    try {
      await (access.mode === 'local' ? readFolder(join(access.folder, 'hosts', host, 'data', SPAN_FOLDER), take) : readByCommand(access, host, take));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      missing.push({ host, reason: error.message });
    }
  }));
  return { spans, missing };
}

/** The disks of local hosts are folders of this machine: they can be read while a host is off. */
async function readFolder(folder: string, take: (line: string) => void): Promise<void> {
  if (!existsSync(folder)) throw new UserError('it has kept no spans');
  for (const file of readdirSync(folder).filter((name) => /\.jsonl(\.1)?$/.test(name))) {
    for await (const line of createInterface({ input: createReadStream(join(folder, file), 'utf8'), crlfDelay: Infinity })) take(line);
  }
}

async function readByCommand(access: ClusterAccess, host: string, take: (line: string) => void): Promise<void> {
  const { code, stderr } = await access.inNetworkOf(host, ['sh', '-c', PRINT_ALL], { timeoutMs: READ_TIMEOUT_MS, onLine: take });
  if (code !== 0) throw new UserError(stderr.trim() || `reading its spans ended with exit code ${code}`);
}
