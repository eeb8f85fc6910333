// How much a folder takes on its disk, as `du -s` counts: blocks, each file once, never beyond its own filesystem.
import type { StatsFs } from 'node:fs';
import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { diskFaultIn } from './disk-fault.ts';

export interface DiskUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** A folder that is not there takes nothing; what goes while it is looked at is passed over. */
export async function diskUsage(folder: string): Promise<DiskUsage> {
  const root = await lstat(folder).catch(ignoreMissing);
  if (!root) return { bytes: 0, inodes: 0 };
  const seen = new Set<number>();
  let bytes = root.blocks * 512;
  let inodes = 1;
  const pending = root.isDirectory() ? [folder] : [];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entries = await opendir(path).catch(ignoreMissing);
    if (!entries) continue;
    for await (const { name } of entries) {
      const child = join(path, name);
      const found = await lstat(child).catch(ignoreMissing);
      if (!found || found.dev !== root.dev || seen.has(found.ino)) continue;
      if (found.nlink > 1 && !found.isDirectory()) seen.add(found.ino);
      bytes += found.blocks * 512;
      inodes += 1;
      if (found.isDirectory()) pending.push(child);
    }
  }
  return { bytes, inodes };
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}

/** Of the disk that a folder is on; nothing is left on one that `kubreak disk` has filled. */
export async function diskSpace(folder: string): Promise<StatsFs> {
  const space = await statfs(folder);
  return diskFaultIn(folder)?.kind === 'full' ? Object.assign(space, { bavail: 0, bfree: 0 }) : space;
}

interface Measurement {
  readonly usage: DiskUsage;
  readonly atMs: number;
  readonly tookMs: number;
}

/** No folder takes more of a processor than one part in so many by being measured. */
const REST_FACTOR = 50;
const FORGET_MS = 300_000;

/** Measurements that are kept a while: walking a folder costs a system call for each file. */
export class DiskMeter {
  readonly #nowMs: () => number;
  readonly #known = new Map<string, Measurement>();
  readonly #running = new Map<string, Promise<DiskUsage>>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Not older than `maxAgeMs`, but for folders that take long to measure. */
  of(folder: string, maxAgeMs: number): Promise<DiskUsage> {
    const known = this.#known.get(folder);
    const nowMs = this.#nowMs();
    if (known && nowMs - known.atMs < Math.max(maxAgeMs, known.tookMs * REST_FACTOR)) return Promise.resolve(known.usage);
    const running = this.#running.get(folder) ?? this.#measure(folder).finally(() => this.#running.delete(folder));
    this.#running.set(folder, running);
    return running;
  }

  /** What was last measured, while a new measurement is under way; undefined at first. `onError`: of that measurement. */
  latest(folder: string, maxAgeMs: number, onError: (error: unknown) => void): DiskUsage | undefined {
    void this.of(folder, maxAgeMs).catch(onError);
    return this.#known.get(folder)?.usage;
  }

  async #measure(folder: string): Promise<DiskUsage> {
    const startedMs = this.#nowMs();
    const usage = await diskUsage(folder);
    const atMs = this.#nowMs();
    this.#known.set(folder, { usage, atMs, tookMs: atMs - startedMs });
    for (const [path, { atMs: lastMs }] of this.#known) if (atMs - lastMs > FORGET_MS) this.#known.delete(path);
    return usage;
  }
}
