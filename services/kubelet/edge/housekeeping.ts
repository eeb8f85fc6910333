// Clears away what is left of pods that are gone: orphans that still run, dead containers, folders, cgroups, logs; and
// keeps logs from growing without end. Source: pkg/kubelet/kubelet_pods.go HandlePodCleanups, kuberuntime_gc.go, logs.
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, readdir, readlink, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { isNotFound } from '#lib/cri/client.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { garbage } from '../core/garbage.ts';
import { LABEL } from '../core/runtime-config.ts';
import type { PodRunner } from './pod-runner.ts';
import type { PodWorkers } from './pod-workers.ts';
import type { PodListing, Runtime } from './runtime.ts';
import type { Volumes } from './volumes.ts';

/** Milliseconds. Source: ContainerGCPeriod. */
const GC_MS = 60_000;
const KEEP_DEAD_PER_CONTAINER = 1;
const CGROUP_MOUNT = '/sys/fs/cgroup';
const CONTAINER_LOGS = '/var/log/containers';

export interface HousekeepingOptions extends Environment {
  readonly runtime: Runtime;
  readonly runner: PodRunner;
  readonly workers: PodWorkers;
  readonly volumes: Volumes;
  readonly logsRoot: string;
  readonly cgroupRoot: string;
  readonly logMaxBytes: number;
  readonly logMaxFiles: number;
  readonly logCheckMs: number;
  /** Every source has told what it has: only then can a pod be known to be unwanted. */
  readonly sourcesReady: () => boolean;
  readonly signal: AbortSignal;
}

export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #killing = new Set<string>();
  #collecting: Promise<void> | undefined;
  #isCollectionWanted = false;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    await Promise.all([this.#every(GC_MS, () => this.collect()), this.#every(this.#options.logCheckMs, () => this.rotateLogs())]);
  }

  async #every(periodMs: number, work: () => Promise<void>): Promise<void> {
    const { clock, signal, log } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(periodMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      await work().catch((error: unknown) => log.error({ err: error }, 'housekeeping failed'));
    }
  }

  /** Kills pods that run and that no source has. */
  killOrphans(pods: ReadonlyMap<string, PodListing>): void {
    const { workers, sourcesReady, log } = this.#options;
    if (!sourcesReady()) return;
    for (const { uid, namespace, name, hasRunning } of pods.values()) {
      if (!hasRunning || workers.get(uid) || this.#killing.has(uid)) continue;
      this.#killing.add(uid);
      log.info({ pod: `${namespace}/${name}`, uid }, 'killing pod that no source has');
      void this.#killOrphan(uid, namespace, name).catch((error: unknown) => log.warn({ err: error, uid }, 'cannot kill orphaned pod')).finally(() => this.#killing.delete(uid));
    }
  }

  async #killOrphan(uid: string, namespace: string, name: string): Promise<void> {
    const { runtime, runner, signal } = this.#options;
    await runner.killOrphan(await runtime.pod(uid, namespace, name), signal);
    await this.collect();
  }

  /** One collection at a time; asked for during one, another follows. */
  collect(): Promise<void> {
    this.#isCollectionWanted = true;
    this.#collecting ??= (async () => {
      while (this.#isCollectionWanted) {
        this.#isCollectionWanted = false;
        await this.#collectOnce();
      }
    })().finally(() => (this.#collecting = undefined));
    return this.#collecting;
  }

  /** Every dead container, also those kept for their logs: the disk is full. Source: DeleteAllUnusedContainers. */
  async removeDead(): Promise<void> {
    await this.collect();
    await this.#collectOnce(0);
  }

  async #collectOnce(keepPerContainer = KEEP_DEAD_PER_CONTAINER): Promise<void> {
    const { runtime, workers, sourcesReady } = this.#options;
    const isReady = sourcesReady();
    const [{ containers }, { items }] = await Promise.all([runtime.cri.listContainers({}), runtime.cri.listPodSandbox({})]);
    const ours = containers.filter(({ labels }) => labels[LABEL.podUid] !== undefined);
    const verdict = garbage({
      containers: ours.map(({ id, labels, createdAt, state, podSandboxId }) => ({
        id, podUid: labels[LABEL.podUid] ?? '', name: labels[LABEL.containerName] ?? '', createdAt, sandboxId: podSandboxId, state,
      })),
      sandboxes: items.filter(({ labels }) => labels[LABEL.podUid] !== undefined).map(({ id, labels, createdAt, state }) => ({ id, podUid: labels[LABEL.podUid] ?? '', createdAt, isReady: state === 'SANDBOX_READY' })),
      isWanted: (uid) => !isReady || workers.get(uid) !== undefined || this.#killing.has(uid),
      keepPerContainer,
    });
    for (const containerId of verdict.containers) await runtime.cri.removeContainer({ containerId }).catch(ignoreNotFound);
    for (const podSandboxId of verdict.sandboxes) {
      await runtime.cri.stopPodSandbox({ podSandboxId }).catch(ignoreNotFound);
      await runtime.cri.removePodSandbox({ podSandboxId }).catch(ignoreNotFound);
    }
    await this.#removeLogLinks();
    if (!isReady) return;
    const isGone = (uid: string): boolean => workers.get(uid) === undefined && !this.#killing.has(uid) && !items.some(({ labels, state }) => labels[LABEL.podUid] === uid && state === 'SANDBOX_READY');
    await this.#removeFolders(isGone);
  }

  async #removeFolders(isGone: (uid: string) => boolean): Promise<void> {
    const { volumes, logsRoot } = this.#options;
    for (const uid of await volumes.podsOnDisk()) {
      if (!isGone(uid)) continue;
      await volumes.removePod(uid);
      await this.removeCgroups(uid);
    }
    for (const folder of await readdir(logsRoot).catch(ignoreMissing)) {
      const uid = folder.slice(folder.lastIndexOf('_') + 1);
      if (isGone(uid)) await rm(join(logsRoot, folder), { recursive: true, force: true });
    }
  }

  /** Links in /var/log/containers whose log is gone. */
  async #removeLogLinks(): Promise<void> {
    for (const name of await readdir(CONTAINER_LOGS).catch(ignoreMissing)) {
      const link = join(CONTAINER_LOGS, name);
      const target = await readlink(link).catch(() => undefined); // no link: not ours
      if (target === undefined || (await lstat(target).then(() => true, () => false))) continue;
      await unlink(link).catch((error: NodeJS.ErrnoException) => void ignoreMissing(error));
    }
  }

  /** The runtime makes a pod's cgroup for its containers; empty ones are removed here, in every hierarchy. */
  async removeCgroups(uid: string): Promise<void> {
    const { cgroupRoot, log } = this.#options;
    const hierarchies = await readdir(CGROUP_MOUNT).catch(ignoreMissing);
    for (const hierarchy of ['', ...hierarchies]) {
      for (const qos of ['', 'burstable', 'besteffort']) {
        const folder = join(CGROUP_MOUNT, hierarchy, cgroupRoot, 'kubepods', qos, `pod${uid}`);
        await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') log.debug({ err: error, folder }, 'cgroup is still in use');
        });
      }
    }
  }

  /** Renames a log that has grown too large, compresses older ones, and drops the oldest. */
  async rotateLogs(): Promise<void> {
    const { workers, logMaxBytes, log } = this.#options;
    for (const { runtimePod } of workers.all()) {
      for (const { id, state, logPath } of runtimePod.containers) {
        if (state !== 'running' || logPath === '') continue;
        const size = await stat(logPath).then((found) => found.size, () => 0); // gone with its container
        if (size < logMaxBytes) continue;
        await this.#rotate(id, logPath).catch((error: unknown) => log.error({ err: error, logPath }, 'cannot rotate log'));
        log.debug({ container: id, logPath }, 'rotated log');
      }
    }
  }

  async #rotate(containerId: string, path: string): Promise<void> {
    const { runtime, clock, logMaxFiles } = this.#options;
    const [folder, file] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
    const older = (await readdir(folder)).filter((name) => name.startsWith(`${file}.`) && !name.endsWith('.tmp')).sort();
    // What will be there afterwards: the new file, the one renamed now, and the older ones.
    for (const name of older.splice(0, Math.max(0, older.length - (logMaxFiles - 2)))) await rm(join(folder, name), { force: true });
    for (const name of older) {
      if (name.endsWith('.gz')) continue;
      const [from, to] = [join(folder, name), join(folder, `${name}.gz`)];
      await pipeline(createReadStream(from), createGzip(), createWriteStream(`${to}.tmp`));
      await rename(`${to}.tmp`, to);
      await rm(from, { force: true });
    }
    const stamp = new Date(clock.nowMs()).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
    await rename(path, `${path}.${stamp}`);
    await runtime.cri.reopenContainerLog({ containerId }).catch(async (error: unknown) => {
      await rename(`${path}.${stamp}`, path); // else what is written from now on would be lost from view
      throw error;
    });
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
function ignoreMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
}
