// Pods from a folder of manifests: read at once when the folder changes, and every so often in case a change was missed.
// Source: pkg/kubelet/config/file.go, file_linux.go.
import { createHash } from 'node:crypto';
import { watch, type FSWatcher } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Environment } from '#lib/environment/environment.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { SEEN_ANNOTATION, uidOf } from '../core/pod-spec.ts';
import { ManifestError, staticPod } from '../core/static-pod.ts';

/** Changes come in bursts: editors and writers touch a file several times. Milliseconds. */
const SETTLE_MS = 20;

export interface StaticSourceOptions extends Environment {
  /** A folder, or one file. */
  readonly path: string;
  readonly nodeName: string;
  readonly checkFrequencyMs: number;
  readonly onPods: (pods: readonly Pod[]) => void;
  readonly signal: AbortSignal;
}

/** Resolves when the signal aborts. The first set of pods is told before anything else happens. */
export async function watchStaticPods(options: StaticSourceOptions): Promise<void> {
  const { path, checkFrequencyMs, clock, log, signal } = options;
  const source = new StaticSource(options);
  await source.read();
  let wake: (() => void) | undefined;
  let isDirty = false;
  const changed = (): void => {
    isDirty = true;
    wake?.();
  };
  let watcher = openWatcher(path, changed);
  try {
    while (!signal.aborted) {
      if (!isDirty) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, checkFrequencyMs);
          function done(): void {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            wake = undefined;
            resolve();
          }
          wake = done;
          signal.addEventListener('abort', done, { once: true });
        });
      }
      if (signal.aborted) return;
      if (isDirty) await clock.sleep(SETTLE_MS, signal).catch(() => undefined);
      isDirty = false;
      watcher ??= openWatcher(path, changed);
      await source.read().catch((error: unknown) => log.error({ err: error, path }, 'cannot read static pods'));
    }
  } finally {
    watcher?.close();
  }
}

function openWatcher(path: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, changed);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined; // not there yet: the regular check will find it
  }
}

class StaticSource {
  readonly #options: StaticSourceOptions;
  /** Pods as told last, by file: an unchanged manifest gives the same object again. */
  #known = new Map<string, Pod>();

  constructor(options: StaticSourceOptions) {
    this.#options = options;
  }

  async read(): Promise<void> {
    const { path, log, onPods } = this.#options;
    const next = new Map<string, Pod>();
    const { parse } = await import('yaml');
    for (const file of await this.#files(path)) {
      try {
        const pod = this.#podOf(parse(await readFile(file, 'utf8')), file);
        next.set(file, pod);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue; // went while we were reading
        const before = this.#known.get(file);
        if (before) next.set(file, before); // half-written: what ran goes on until it can be read
        log.error({ err: error, file, manifest: error instanceof ManifestError }, 'cannot read manifest of static pod');
      }
    }
    this.#known = next;
    onPods([...next.values()]);
  }

  #podOf(manifest: unknown, file: string): Pod {
    const { nodeName, clock } = this.#options;
    const pod = staticPod({
      manifest, file, nodeName,
      md5: (text) => createHash('md5').update(text).digest('hex'),
      seenAt: formatTime(clock.nowMs()).replace('Z', `.${String(clock.nowMs() % 1000).padStart(3, '0')}000000Z`),
    });
    const known = this.#known.get(file);
    const withoutSeen = (one: Pod): Pod => ({ ...one, metadata: { ...one.metadata, annotations: { ...one.metadata.annotations, [SEEN_ANNOTATION]: '' } } });
    return known && uidOf(known) === uidOf(pod) && semanticEqual(withoutSeen(known), withoutSeen(pod)) ? known : pod;
  }

  async #files(path: string): Promise<string[]> {
    const found = await stat(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      await mkdir(path, { recursive: true, mode: 0o755 });
      return undefined;
    });
    if (found?.isFile() === true) return [path];
    // Editors leave hidden files and backups beside the real ones.
    return (await readdir(path)).filter((name) => !name.startsWith('.') && !name.endsWith('~')).sort().map((name) => join(path, name));
  }
}
