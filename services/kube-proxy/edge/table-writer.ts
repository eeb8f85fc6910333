// Brings the kernel's table to the wanted content: by differences while what was applied is known, whole otherwise.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import type { Frame } from '../core/table-frame.ts';
import type { TableContent } from '../core/table-content.ts';
import { cleanupTransaction, fullTransaction, incrementalTransaction, leftoversOf } from '../core/transaction.ts';
import { applyTransaction, isTableIntact, readPresent } from './nft.ts';

/** Time that emptied chains and sets stay before they are deleted; milliseconds. Source: proxier.go, one second. */
const LEFTOVER_AGE_MS = 1_000;

export interface SyncResult {
  readonly kind: 'full' | 'partial' | 'none';
  /** Set when emptied chains wait to be deleted: come back after so long. */
  readonly cleanupAfterMs: number | undefined;
}

export class TableWriter {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onFailure: (stage: 'sync' | 'cleanup') => void;
  #applied: { readonly content: TableContent; readonly frame: Frame } | undefined;
  readonly #staleChains = new Map<string, number>();
  readonly #staleSets = new Map<string, number>();

  constructor({ clock, log, onFailure }: { clock: Clock; log: Logger; onFailure: (stage: 'sync' | 'cleanup') => void }) {
    this.#clock = clock;
    this.#log = log;
    this.#onFailure = onFailure;
  }

  /** Throws CommandError when even a whole table is refused; nothing of it is in force then. */
  async sync(content: TableContent, frame: Frame): Promise<SyncResult> {
    let kind: SyncResult['kind'] = 'none';
    if (this.#applied && sameFrame(this.#applied.frame, frame)) {
      const { script, leftovers } = incrementalTransaction(this.#applied.content, content);
      try {
        if (script !== '') {
          await applyTransaction(script);
          kind = 'partial';
        }
        this.#applied = { content, frame };
        this.#noteLeftovers(leftovers, content);
        await this.#cleanUp();
      } catch (error) {
        this.#onFailure('sync');
        this.#log.warn({ err: error }, 'partial sync failed, writing the whole table');
        this.#applied = undefined;
      }
    }
    if (!this.#applied || !sameFrame(this.#applied.frame, frame)) {
      await this.#syncFull(content, frame);
      kind = 'full';
    }
    return { kind, cleanupAfterMs: this.#staleChains.size + this.#staleSets.size > 0 ? LEFTOVER_AGE_MS : undefined };
  }

  /** Looks whether somebody took the table away; the next sync then writes it whole. */
  async check(): Promise<void> {
    if (!this.#applied) return;
    if (await isTableIntact(this.#applied.frame.rules.get('services')?.length ?? 0)) return;
    this.#log.warn('the table of services is not what was written, writing it again');
    this.#applied = undefined;
  }

  async #syncFull(content: TableContent, frame: Frame): Promise<void> {
    try {
      const leftovers = leftoversOf(await readPresent(), content, frame);
      this.#staleChains.clear();
      this.#staleSets.clear();
      await applyTransaction(fullTransaction(content, frame, leftovers));
      this.#applied = { content, frame };
      this.#noteLeftovers(leftovers, content);
    } catch (error) {
      this.#applied = undefined;
      this.#onFailure('sync');
      throw error;
    }
  }

  #noteLeftovers({ chains, sets }: { readonly chains: readonly string[]; readonly sets: readonly string[] }, content: TableContent): void {
    const dueMs = this.#clock.nowMs() + LEFTOVER_AGE_MS;
    for (const name of chains) this.#staleChains.set(name, dueMs);
    for (const name of sets) this.#staleSets.set(name, dueMs);
    for (const name of content.chains.keys()) this.#staleChains.delete(name);
    for (const name of content.affinitySets.keys()) this.#staleSets.delete(name);
  }

  /** Failing here does no harm: the chains are empty, and the next whole sync finds them again. */
  async #cleanUp(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const due = (stale: ReadonlyMap<string, number>): string[] => [...stale].filter(([, dueMs]) => dueMs <= nowMs).map(([name]) => name);
    const chains = due(this.#staleChains);
    const sets = due(this.#staleSets);
    if (chains.length + sets.length === 0) return;
    for (const name of chains) this.#staleChains.delete(name);
    for (const name of sets) this.#staleSets.delete(name);
    try {
      await applyTransaction(cleanupTransaction({ chains, sets }));
    } catch (error) {
      this.#onFailure('cleanup');
      this.#log.warn({ err: error }, 'cannot delete chains that are not used any more');
    }
  }
}

const sameFrame = (a: Frame, b: Frame): boolean => a === b;
