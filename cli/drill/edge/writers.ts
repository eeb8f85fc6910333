// Clients that write ConfigMaps and remember what the API server acknowledged.
import { systemClock } from '#lib/environment/clock.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { isAlreadyExists, StatusError } from '#lib/machinery/status-error.ts';
import { Attempts } from '../core/attempts.ts';
import type { DrillApi } from './drill-api.ts';
import { isNoAnswer } from './drill-api.ts';

const PAGE_SIZE = 500;
const LABEL = 'kubreak.io/writes';
const READ_RETRY_MS = 300;

export interface WritersOptions {
  readonly name: string;
  readonly clients: number;
  readonly everyMs: number;
  /** Of one write; afterwards nobody knows whether it happened. */
  readonly timeoutMs: number;
  readonly onChange: (passes: boolean, text: string) => void;
}

export class Writers {
  readonly #api: DrillApi;
  readonly #options: WritersOptions;
  readonly #stopping = new AbortController();
  readonly #acknowledged = new Set<string>();
  readonly attempts: Attempts;
  readonly #running: Promise<unknown>;

  constructor(api: DrillApi, options: WritersOptions) {
    this.#api = api;
    this.#options = options;
    this.attempts = new Attempts(options.onChange);
    this.#running = Promise.all(Array.from({ length: options.clients }, (_, client) => this.#write(client)));
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Writes on their way are waited for: what is acknowledged late is acknowledged. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Acknowledged, and not there; asked of the store, not of the API server's memory. */
  async lost(deadlineMs: number, signal: AbortSignal): Promise<string[]> {
    const untilMs = systemClock.nowMs() + deadlineMs;
    for (;;) {
      try {
        const there = await this.#readAll();
        return [...this.#acknowledged].filter((name) => !there.has(name));
      } catch (error) {
        if (!isNoAnswer(error) || signal.aborted || systemClock.nowMs() > untilMs) throw error;
      }
      await systemClock.sleep(READ_RETRY_MS, signal);
    }
  }

  async #readAll(): Promise<Set<string>> {
    const names = new Set<string>();
    for (let next: string | undefined = ''; next !== undefined;) {
      const page: { items: { metadata: { name: string } }[]; continue?: string | undefined } = await this.#api.client.list(configMapKind, { namespace: this.#api.namespace, labelSelector: `${LABEL}=${this.#options.name}`, limit: PAGE_SIZE, continue: next }, this.#api.deadline);
      for (const { metadata } of page.items) names.add(metadata.name);
      next = page.continue === '' ? undefined : page.continue;
    }
    return names;
  }

  async #write(client: number): Promise<void> {
    const { signal } = this.#stopping;
    for (let number = 0; !signal.aborted; number += 1) {
      const startMs = systemClock.nowMs();
      const name = `${this.#options.name}-${client}-${number}`;
      let problem: string | undefined;
      try {
        const metadata = { name, namespace: this.#api.namespace, labels: { [LABEL]: this.#options.name } };
        await this.#api.client.create(configMapKind, { metadata, data: { number: String(number) } }, { signal: AbortSignal.timeout(this.#options.timeoutMs) });
        this.#acknowledged.add(name);
      } catch (error) {
        if (!isNoAnswer(error) && !(error instanceof StatusError)) throw error;
        if (isAlreadyExists(error)) this.#acknowledged.add(name);
        else problem = error instanceof Error ? error.message : String(error);
      }
      this.attempts.note({ startMs, endMs: systemClock.nowMs(), isAnswered: problem === undefined, text: problem ?? 'acknowledged' });
      await systemClock.sleep(Math.max(1, this.#options.everyMs - (systemClock.nowMs() - startMs)), signal).catch(() => undefined);
    }
  }
}
