// The cgroups above the containers: the node's own, kubepods, those of the service classes and of pods. Made and limited
// here, and read for what node and pods use. Nothing works, and nothing fails, where the host allows no cgroups.
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { cgroupFiles, type CgroupSettings } from '../core/cgroup-settings.ts';

const MOUNT = '/sys/fs/cgroup';
const V1_CONTROLLERS = ['memory', 'cpu', 'cpuacct', 'pids'];
const V2_CONTROLLERS = ['memory', 'cpu', 'pids'];

export interface CgroupUsage {
  readonly cpuNs: number;
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').then((text) => text.trim(), () => ''); // not every host has each of these files
const numberIn = (text: string, key: string): number => Number(new RegExp(`^${key} (\\d+)`, 'm').exec(text)?.[1] ?? 0);

export class NodeCgroups {
  readonly version: 1 | 2 = existsSync(join(MOUNT, 'cgroup.controllers')) ? 2 : 1;
  readonly #log: Logger;
  readonly #refused = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Makes the group and sets what is given; what the kernel refuses is logged once and left as it is. */
  async set(path: string, settings: CgroupSettings): Promise<void> {
    const controllers = this.version === 2 ? [''] : V1_CONTROLLERS;
    for (const controller of controllers) await this.#make(controller, path);
    for (const { controller, name, text } of cgroupFiles(settings, this.version)) {
      await writeFile(join(MOUNT, controller, path, name), text).catch((error: unknown) => this.#tell(`${controller}/${name}`, path, error));
    }
  }

  /** Undefined where the group does not exist or the kernel does not count for it. */
  async usage(path: string): Promise<CgroupUsage | undefined> {
    const at = (controller: string, file: string): Promise<string> => textOf(join(MOUNT, this.version === 2 ? '' : controller, path, file));
    const [memory, stat, cpu] = await Promise.all(this.version === 2
      ? [at('', 'memory.current'), at('', 'memory.stat'), at('', 'cpu.stat')]
      : [at('memory', 'memory.usage_in_bytes'), at('memory', 'memory.stat'), at('cpuacct', 'cpuacct.usage')]);
    if (memory === '' || cpu === '') return undefined;
    const memoryBytes = Number(memory);
    const total = this.version === 2 ? '' : 'total_';
    return {
      cpuNs: this.version === 2 ? numberIn(cpu, 'usage_usec') * 1000 : Number(cpu), memoryBytes,
      workingSetBytes: Math.max(0, memoryBytes - numberIn(stat, `${total}inactive_file`)),
      rssBytes: numberIn(stat, this.version === 2 ? 'anon' : 'total_rss'),
      pageFaults: numberIn(stat, `${total}pgfault`), majorPageFaults: numberIn(stat, `${total}pgmajfault`),
    };
  }

  /** Processes and threads in the group and below it. */
  async processes(path: string): Promise<number | undefined> {
    const text = await textOf(join(MOUNT, this.version === 2 ? '' : 'pids', path, 'pids.current'));
    return text === '' ? undefined : Number(text);
  }

  async #make(controller: string, path: string): Promise<void> {
    try {
      let at = join(MOUNT, controller);
      if (this.version === 1) return void await mkdir(join(at, path), { recursive: true });
      for (const part of path.split('/').filter((name) => name !== '')) {
        // A child may only use what every group above hands down.
        for (const name of V2_CONTROLLERS) await writeFile(join(at, 'cgroup.subtree_control'), `+${name}`).catch((error: unknown) => this.#tell(`subtree_control +${name}`, at, error));
        at = join(at, part);
        await mkdir(at, { recursive: true });
      }
    } catch (error) {
      this.#tell(controller === '' ? 'cgroup v2' : controller, path, error);
    }
  }

  #tell(what: string, path: string, error: unknown): void {
    if (this.#refused.has(what)) return;
    this.#refused.add(what);
    this.#log.warn({ what, cgroup: path, err: error }, 'this host does not allow a cgroup or a limit on it; further ones are not told');
  }
}
