// What can be broken on purpose, and how it is undone.
import type { ClusterAccess } from '../access/cluster-access.ts';

/** A way to break something. `P` is all that it takes to do it and to undo it, as JSON. */
export interface FaultKind<P> {
  /** The word of the command line: `partition`, `clock`. */
  readonly name: string;
  /** One line for `kubreak --help`. */
  readonly description: string;
  /** As commander has them: `<component>`, `<a> [b]`. */
  readonly arguments: string;
  /** Without --for it is over as soon as it is done: nothing is written down. */
  readonly isMomentary?: boolean;
  /** Without --for, which all have. */
  readonly options?: readonly FaultOption[];
  /** Throws UserError for words that make no sense, or when this machine cannot do it; changes nothing. */
  plan(cluster: ClusterAccess, words: FaultWords, id: string): Promise<P>;
  /** Throws when it did not work; what it did until then is undone by `undo`. May resolve with what people should know of it, in a few words. */
  apply(cluster: ClusterAccess, plan: P): Promise<string | void>;
  /** Idempotent, also after half of `apply`, and when hosts are down or processes gone. */
  undo(cluster: ClusterAccess, plan: P): Promise<void>;
  /** Whether it is still so: others may have undone it, or what was broken is gone. */
  isInForce(cluster: ClusterAccess, plan: P): Promise<InForce>;
}

export type InForce = boolean | 'in part';

/** Of one that is made of several. */
export const allInForce = (parts: readonly InForce[]): InForce => (parts.every((part) => part === true) ? true : parts.some((part) => part !== false) && 'in part');

export interface FaultOption {
  /** As commander has them: `--one-way`, `--delay <duration>`; `plan` finds them without the dashes: `one-way`, `delay`. */
  readonly flags: string;
  readonly description: string;
}

/** Of one command, without its own word: `partition w1-k8s w2-k8s --one-way` has two arguments and an option. */
export interface FaultWords {
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, string | boolean>>;
  /** Milliseconds after which it will be undone, if that was said. */
  readonly forMs?: number;
}

/** What is written down before a fault is made, and until it is undone. */
export interface FaultRecord {
  /** Short, never used twice in a run of the cluster; artifacts (nft tables, files) carry it in their names. */
  readonly id: string;
  readonly kind: string;
  /** As it is typed: `partition w1-k8s w2-k8s --one-way`. */
  readonly text: string;
  readonly sinceMs: number;
  /** When it is undone by itself; absent: at `heal`, or with the cluster's end. */
  readonly untilMs?: number;
  readonly runId: string;
  readonly plan: unknown;
  /** Who is making it; when it is gone and this is still there, the fault is made in part. */
  readonly maker?: ProcessName;
  /** Who undoes it at `untilMs`. */
  readonly timer?: ProcessName;
}

/** A process for good: pids are used again. */
export interface ProcessName {
  readonly pid: number;
  readonly startTicks: string;
}
