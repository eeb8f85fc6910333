// What a run writes down: who asked what when, and what came back. `tick` orders all calls and returns; `ms` is the time of day of the run.
import type { KeyState, Operation } from './kv-model.ts';

/** A change as a watch tells it. */
export interface StoreEvent {
  readonly type: 'PUT' | 'DELETE';
  readonly key: string;
  readonly revision: number;
  /** Of a PUT. */
  readonly kv?: KeyState;
  /** What the key had before, when asked for and there. */
  readonly prevKv?: KeyState;
  readonly lease?: string;
}

/** A read that any member may answer from what it has: a consistent state, but maybe an old one. */
export interface LocalRead {
  readonly client: number;
  readonly member: number;
  /** Which life of the member answered. */
  readonly incarnation: number;
  readonly callTick: number;
  readonly returnTick: number;
  readonly keys: readonly string[];
  /** What the answer's header says. */
  readonly revision: number;
  /** The revision asked for, if one was. */
  readonly atRevision?: number;
  readonly kvs: readonly (KeyState | undefined)[];
}

export interface WatchMessage {
  readonly ms: number;
  readonly kind: 'created' | 'events' | 'progress';
  readonly headerRevision: number;
  readonly fragment: boolean;
  readonly events: readonly StoreEvent[];
}

export interface WatchStreamRecord {
  readonly member: number;
  /** 0: from when it was created. */
  readonly startRevision: number;
  readonly messages: WatchMessage[];
  end?: string;
}

export interface WatchRecord {
  readonly name: string;
  readonly prefix: string;
  readonly withPrevKv: boolean;
  readonly noDeletes: boolean;
  readonly streams: WatchStreamRecord[];
}

export interface Renewal {
  readonly callMs: number;
  /** When it was known to have worked or not; Infinity when nothing came back. */
  returnMs: number;
  acknowledged: boolean;
}

export interface LeaseRecord {
  readonly id: string;
  readonly key: string;
  readonly ttlMs: number;
  /** The grant first. */
  readonly renewals: Renewal[];
  /** The key was put with the lease at this revision; undefined: nobody knows whether it was. */
  attachedRevision?: number;
  revokeCallMs?: number;
  /** The client gave it up, or was told that it is gone. */
  endMs?: number;
}

export interface Hold {
  readonly holder: string;
  /** The create revision of the holder's key. */
  readonly fence: number;
  readonly fromMs: number;
  /** From here on it could have known that it had lost the lock. */
  readonly untilMs: number;
}

export interface FaultRecord {
  readonly what: string;
  readonly startMs: number;
  endMs: number;
}

export class History {
  readonly operations: Operation[] = [];
  readonly localReads: LocalRead[] = [];
  readonly watches: WatchRecord[] = [];
  readonly leases: LeaseRecord[] = [];
  readonly holds: Hold[] = [];
  readonly faults: FaultRecord[] = [];
  readonly counts = new Map<string, number>();
  private ticks = 0;

  tick(): number {
    this.ticks += 1;
    return this.ticks;
  }
  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }
}

/** The same changes in the same order, by revision. */
export interface Reference {
  readonly firstRevision: number;
  readonly lastRevision: number;
  readonly events: readonly StoreEvent[];
}
