// Memory limits where the host has no memory cgroups: looks at the containers that have one and kills those above it, as
// the kernel's out-of-memory killer does with a whole cgroup. Between two looks a container may exceed its limit.
import type { Logger } from 'pino';
import { mountNamespaceOf, processesIn, residentBytes } from './container-processes.ts';
import type { Container } from './records.ts';
import { signalQuietly } from './shim.ts';

/** Milliseconds. Every look costs about a millisecond, and none is taken while no container has a limit. */
const LOOK_MS = 200;
/** A container that is far from its limit is looked at only every so many times. */
const CALM_LOOKS = 10;
const CALM_SHARE = 0.5;

export class MemoryWatch {
  readonly #killed = new Set<string>();
  readonly #calm = new Map<string, number>();
  readonly #running: () => readonly Container[];
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;

  constructor({ running, log }: { running: () => readonly Container[]; log: Logger }) {
    this.#running = running;
    this.#log = log;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Whether a container was ended for its memory; asked once, at its end. */
  takeKilled(id: string): boolean {
    this.#calm.delete(id);
    return this.#killed.delete(id);
  }

  #look(): void {
    for (const { id, process, config } of this.#running()) {
      const limit = config.linux?.resources?.memoryLimitInBytes ?? 0;
      if (limit <= 0 || !process || this.#killed.has(id)) continue;
      const rest = this.#calm.get(id) ?? 0;
      if (rest > 0) {
        this.#calm.set(id, rest - 1);
        continue;
      }
      const namespace = mountNamespaceOf(process.pid);
      if (namespace === undefined) continue;
      const pids = processesIn(namespace);
      const used = pids.reduce((total, pid) => total + residentBytes(pid), 0);
      if (used < limit * CALM_SHARE) this.#calm.set(id, CALM_LOOKS);
      if (used <= limit) continue;
      this.#log.warn({ container: id, name: config.metadata?.name, used, limit }, 'out of memory: killing the container');
      this.#killed.add(id);
      for (const pid of pids) signalQuietly(pid, 'SIGKILL');
    }
  }
}
