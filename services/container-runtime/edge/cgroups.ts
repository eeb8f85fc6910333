// Control groups: limits, usage and OOM kills, on cgroup v1 or v2, whichever the machine has; none where the host allows none.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { LinuxContainerResources } from '#lib/cri/messages.ts';
import { cgroupWrites, type CgroupVersion } from '../core/resources.ts';

const MOUNT = '/sys/fs/cgroup';
/** Controllers of v1 that are used where they can be written. */
const V1_CONTROLLERS = ['memory', 'cpu', 'cpuacct', 'pids'];

export interface Usage {
  readonly cpuNanoseconds: number;
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly processes: number;
}

const numberIn = (text: string, key: string): number => Number(new RegExp(`^${key} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

export class Cgroups {
  readonly version: CgroupVersion;
  /** v1: the hierarchies that can be used; v2: one, named ''. Empty: no limits on this host. */
  readonly controllers: readonly string[];
  /** Why some or all limits are missing; empty when none are. */
  readonly lacking: string;
  readonly #base: string;
  readonly #log: Logger;

  /** Probes by making a group below `parent` and removing it. */
  constructor({ parent, log }: { parent: string; log: Logger }) {
    this.#base = parent;
    this.#log = log;
    this.version = existsSync(join(MOUNT, 'cgroup.controllers')) ? 2 : 1;
    const wanted = this.version === 2 ? [''] : V1_CONTROLLERS;
    const refused: string[] = [];
    this.controllers = wanted.filter((controller) => {
      try {
        const file = this.version === 2 ? 'cgroup.procs' : controller === 'memory' ? 'memory.limit_in_bytes' : 'cgroup.procs';
        if (!existsSync(join(MOUNT, controller, file))) throw new Error('not mounted');
        // Not the process's number: that is the same on hosts that boot at once, and they share the hierarchy.
        const probe = `/probe-${randomUUID()}`;
        this.#make(controller, probe);
        rmdirSync(this.#folder(controller, probe));
        return true;
      } catch (error) {
        refused.push(`${controller || 'cgroup v2'}: ${error instanceof Error ? error.message : String(error)}`);
        return false;
      }
    });
    this.lacking = refused.join('; ');
    if (refused.length > 0) log.warn({ lacking: refused }, 'this host does not allow some resource limits');
  }

  get limitsMemory(): boolean {
    return this.controllers.includes(this.version === 2 ? '' : 'memory');
  }

  /** Folders of a group; `path` is relative to the host's base, such as /kubepods/burstable/podUID/CONTAINER. */
  folders(path: string): string[] {
    return this.controllers.map((controller) => this.#folder(controller, path));
  }

  /** Makes the group and sets its limits; a limit that the kernel refuses is logged and left out. */
  create(path: string, resources: LinuxContainerResources | undefined): void {
    for (const controller of this.controllers) this.#make(controller, path);
    if (resources) this.update(path, resources);
  }

  update(path: string, resources: LinuxContainerResources): void {
    for (const { controller, file, value } of cgroupWrites(resources, this.version)) {
      if (!this.controllers.includes(controller)) continue;
      try {
        writeFileSync(join(this.#folder(controller, path), file), value);
      } catch (error) {
        this.#log.warn({ cgroup: path, file, value, err: error }, 'the kernel refuses a resource limit');
      }
    }
  }

  /** Removes the group; one still in use stays. */
  remove(path: string): void {
    for (const controller of this.controllers) {
      try {
        rmdirSync(this.#folder(controller, path));
      } catch (error) {
        if (!['ENOENT', 'EBUSY', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
    }
  }

  oomKills(path: string): number {
    if (!this.limitsMemory) return 0;
    const file = this.version === 2 ? join(this.#folder('', path), 'memory.events') : join(this.#folder('memory', path), 'memory.oom_control');
    return numberIn(read(file), 'oom_kill');
  }

  /** Undefined when the host has no cgroups. */
  usage(path: string): Usage | undefined {
    if (this.controllers.length === 0 || !this.folders(path).some((folder) => existsSync(folder))) return undefined;
    const processes = read(join(this.folders(path)[0] ?? '', 'cgroup.procs')).split('\n').length - 1;
    if (this.version === 2) {
      const folder = this.#folder('', path);
      const stat = read(join(folder, 'memory.stat'));
      const memoryBytes = Number(read(join(folder, 'memory.current')).trim() || 0);
      return {
        cpuNanoseconds: numberIn(read(join(folder, 'cpu.stat')), 'usage_usec') * 1000, memoryBytes,
        workingSetBytes: Math.max(0, memoryBytes - numberIn(stat, 'inactive_file')), rssBytes: numberIn(stat, 'anon'), processes,
      };
    }
    const stat = read(join(this.#folder('memory', path), 'memory.stat'));
    const memoryBytes = Number(read(join(this.#folder('memory', path), 'memory.usage_in_bytes')).trim() || 0);
    return {
      cpuNanoseconds: Number(read(join(this.#folder('cpuacct', path), 'cpuacct.usage')).trim() || 0), memoryBytes,
      workingSetBytes: Math.max(0, memoryBytes - numberIn(stat, 'total_inactive_file')), rssBytes: numberIn(stat, 'total_rss'), processes,
    };
  }

  /** Process ids in the group and below it. */
  processes(path: string): number[] {
    const folder = this.folders(path)[0];
    return folder === undefined ? [] : read(join(folder, 'cgroup.procs')).split('\n').filter((line) => line !== '').map(Number);
  }

  /** Removes the groups of containers that are no more (after a crash or a reboot). */
  sweep(known: ReadonlySet<string>): void {
    const isContainer = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);
    const visit = (controller: string, path: string): void => {
      for (const entry of readdirSync(this.#folder(controller, path), { withFileTypes: true })) {
        if (!entry.isDirectory()) continue;
        const child = `${path}/${entry.name}`;
        visit(controller, child);
        if (isContainer(entry.name) && !known.has(entry.name)) this.remove(child);
      }
    };
    for (const controller of this.controllers) if (this.#base !== '' && this.#base !== '/') visit(controller, '');
  }

  #folder(controller: string, path: string): string {
    return join(MOUNT, controller, this.#base, path);
  }

  #make(controller: string, path: string): void {
    const folder = this.#folder(controller, path);
    if (this.version === 2) {
      // A child may only use what every group above hands down.
      let at = MOUNT;
      for (const part of join(this.#base, path).split('/').filter((name) => name !== '')) {
        for (const name of ['memory', 'cpu', 'pids']) {
          try { writeFileSync(join(at, 'cgroup.subtree_control'), `+${name}`); } catch { /* not available here: its limits are not set either */ }
        }
        at = join(at, part);
        mkdirSync(at, { recursive: true });
      }
      return;
    }
    mkdirSync(folder, { recursive: true });
  }
}
