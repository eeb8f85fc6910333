// The hosts plugin's file, read again when it has changed.
import { readFileSync, statSync } from 'node:fs';
import type { Clock } from '#lib/environment/clock.ts';
import type { HostsConfig } from '../core/configuration.ts';
import type { Question, Reply } from '../core/message.ts';
import { parseHosts, StaticHosts } from '../core/static-hosts.ts';

export class HostsFile {
  readonly #config: HostsConfig;
  readonly #clock: Clock;
  #hosts: StaticHosts;
  #version = '';
  #lookedMs: number;

  constructor(config: HostsConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#lookedMs = clock.nowMs();
    this.#hosts = new StaticHosts(config, []);
    this.#read();
  }

  /** Undefined: another plugin is to answer. */
  lookup(question: Question): Reply | undefined {
    const nowMs = this.#clock.nowMs();
    if (this.#config.reloadMs > 0 && nowMs - this.#lookedMs >= this.#config.reloadMs) {
      this.#lookedMs = nowMs;
      this.#read();
    }
    return this.#hosts.lookup(question);
  }

  /** A file that is not there, or not any more, has no names. */
  #read(): void {
    try {
      const { mtimeMs, size } = statSync(this.#config.file);
      const version = `${mtimeMs} ${size}`;
      if (version === this.#version) return;
      this.#hosts = new StaticHosts(this.#config, parseHosts(readFileSync(this.#config.file, 'utf8')));
      this.#version = version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#hosts = new StaticHosts(this.#config, []);
      this.#version = '';
    }
  }
}
