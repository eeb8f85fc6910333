// Writes to the API server all the time, one request after the other, and keeps account of every answer.
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { integerBelow, seededRandom, type Random } from '#lib/environment/random.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import type { ConfigMap } from '#lib/kinds/types/core-v1.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { NAMESPACE } from './workloads.ts';
import { WriteLedger } from './write-ledger.ts';

const WRITE_EVERY_MS = 100;
const REQUEST_TIMEOUT_MS = 5_000;
/** Objects that it goes on changing: at the most, so that a long run does not fill the store, and at least. */
const MOST_LIVE = 300;
const FEWEST_LIVE = 10;
const LABELS = { chaos: 'written' };
const SELECTOR = 'chaos=written';
const FIELD = 'value';

/** No answer, or an answer that is an error: what a cluster that is being broken may give. */
export const isRefusal = (error: unknown): error is Error =>
  error instanceof TransportError || error instanceof StatusError || (error instanceof DOMException && (error.name === 'TimeoutError' || error.name === 'AbortError'));

export interface WriteFigures {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
  readonly unanswered: number;
  /** Between two answers, or the last one and the end; milliseconds. */
  readonly longestGapMs: number;
}

type Operation = 'create' | 'update' | 'delete';

export class Writer {
  readonly ledger = new WriteLedger();
  readonly #api: ApiClient;
  readonly #prefix: string;
  readonly #random: Random;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  /** As acknowledged last. */
  readonly #live: ConfigMap[] = [];
  readonly #done: Record<Operation, number> = { create: 0, update: 0, delete: 0 };
  #unanswered = 0;
  #lastAnswerMs: number;
  #longestGapMs = 0;

  /** Starts at once. `prefix`: of the names of its objects. */
  constructor(api: ApiClient, prefix: string, seed: number) {
    this.#api = api;
    this.#prefix = prefix;
    this.#random = seededRandom(seed);
    this.#lastAnswerMs = performance.now();
    this.#running = this.#write();
    this.#running.catch(() => undefined); // told by stop()
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#noteAnswer();
  }

  get figures(): WriteFigures {
    const { create: created, update: updated, delete: deleted } = this.#done;
    return { created, updated, deleted, unanswered: this.#unanswered, longestGapMs: Math.round(this.#longestGapMs) };
  }

  async #write(): Promise<void> {
    for (let number = 1; !this.#stopping.signal.aborted; number += 1) {
      const operation = this.#chooseOperation();
      const chosen = operation === 'create' ? undefined : this.#live.splice(integerBelow(this.#random, this.#live.length), 1)[0];
      const name = chosen?.metadata.name ?? `${this.#prefix}-${number}`;
      const value = operation === 'delete' ? undefined : String(number);
      try {
        const written = await this.#request(operation, name, value, chosen);
        if (written) this.#live.push(written);
        this.ledger.acknowledged(name, value);
        this.#done[operation] += 1;
        this.#noteAnswer();
      } catch (error) {
        if (!isRefusal(error)) throw error;
        this.ledger.doubtful(name, value);
        this.#unanswered += 1;
      }
      await systemClock.sleep(WRITE_EVERY_MS, this.#stopping.signal).catch(() => undefined);
    }
  }

  #chooseOperation(): Operation {
    const drawn = integerBelow(this.#random, 10);
    if (this.#live.length < FEWEST_LIVE) return 'create';
    if (this.#live.length >= MOST_LIVE || drawn < 2) return 'delete';
    return drawn < 6 ? 'update' : 'create';
  }

  /** Preconditions see to it that a request which is carried out late cannot undo a later one. */
  async #request(operation: Operation, name: string, value: string | undefined, known: ConfigMap | undefined): Promise<ConfigMap | undefined> {
    const options = { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) };
    const data = value === undefined ? {} : { [FIELD]: value };
    if (!known) return this.#api.create(configMapKind, { metadata: { name, namespace: NAMESPACE, labels: LABELS }, data }, options);
    if (operation === 'update') return this.#api.update(configMapKind, { ...known, data }, options);
    await this.#api.delete(configMapKind, NAMESPACE, name, { preconditions: { resourceVersion: known.metadata.resourceVersion } }, options);
    return undefined;
  }

  /** Or that it has been waited for in vain until now. */
  #noteAnswer(): void {
    const nowMs = performance.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastAnswerMs);
    this.#lastAnswerMs = nowMs;
  }
}

/** Name to value of all that any writer wrote. */
export async function writtenObjects(api: ApiClient, signal: AbortSignal): Promise<Map<string, string>> {
  const { items } = await api.list(configMapKind, { namespace: NAMESPACE, labelSelector: SELECTOR }, { signal });
  return new Map(items.map(({ metadata, data }) => [metadata.name, data?.[FIELD] ?? '']));
}

export async function forgetWrittenObjects(api: ApiClient): Promise<void> {
  await api.deleteCollection(configMapKind, { namespace: NAMESPACE, labelSelector: SELECTOR });
}
