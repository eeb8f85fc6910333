// What happened in a drill and when, as it is printed, reported and drawn.

export type EntryKind =
  /** A step begins, is done, or is not as it has to be. */
  | 'step' | 'done' | 'missed'
  /** Something is broken, or mended. */
  | 'fault' | 'heal'
  /** The cluster's own: what its objects say of themselves. */
  | 'node' | 'pod' | 'event' | 'lease' | 'api'
  /** Of clients that the drill runs: passing, failing. */
  | 'traffic'
  | 'note';

export interface Entry {
  /** Milliseconds since the drill began. */
  readonly atMs: number;
  readonly kind: EntryKind;
  /** Whose line it stands on when it is drawn: `node/w1-k8s`, `lease/kube-scheduler`, `fault f001`. */
  readonly lane: string;
  readonly text: string;
  /** From now on the lane is so: `Ready`, `NotReady`. Entries without are moments. */
  readonly state?: string;
  readonly tone?: Tone;
  /** So it was when the drill began; drawn, not told. */
  readonly isInitial?: boolean;
}
export type Tone = 'good' | 'bad' | 'waiting' | 'plain';

/** More are counted, not kept: a cluster that goes mad must not fill the report. */
const MAX_ENTRIES = 20_000;

export class Timeline {
  readonly #nowMs: () => number;
  readonly #listener: (entry: Entry) => void;
  readonly #entries: Entry[] = [];
  readonly #states = new Map<string, string>();
  #dropped = 0;

  /** `nowMs`: since the drill began. */
  constructor(nowMs: () => number, listener: (entry: Entry) => void) {
    this.#nowMs = nowMs;
    this.#listener = listener;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }
  /** Entries that there was no room for. */
  get dropped(): number {
    return this.#dropped;
  }
  get nowMs(): number {
    return this.#nowMs();
  }

  add(entry: Omit<Entry, 'atMs'> & { readonly atMs?: number }): void {
    if (this.#entries.length >= MAX_ENTRIES) {
      this.#dropped += 1;
      return;
    }
    const whole: Entry = { ...entry, atMs: entry.atMs ?? this.#nowMs() };
    this.#entries.push(whole);
    this.#listener(whole);
  }

  /** Adds an entry when the lane was in another state before. */
  change(entry: Omit<Entry, 'atMs'> & { readonly state: string }): void {
    const before = this.#states.get(entry.lane);
    if (before === entry.state) return;
    this.#states.set(entry.lane, entry.state);
    this.add(entry);
  }
}

const TIME_WIDTH = 8;

/** A line for a terminal. */
export function lineOf({ atMs, kind, lane, text }: Entry): string {
  const time = `${(atMs / 1000).toFixed(1)}s`.padStart(TIME_WIDTH);
  switch (kind) {
    case 'step': return `${time}  ${text}`;
    case 'done': return `${time}    ok: ${text}`;
    case 'missed': return `${time}    NOT SO: ${text}`;
    case 'fault': return `${time}  * BROKEN: ${text}`;
    case 'heal': return `${time}  * mended: ${text}`;
    case 'note': return `${time}    ${text}`;
    case 'node': case 'pod': case 'event': case 'lease': case 'api': case 'traffic': return `${time}    | ${lane} ${text}`;
  }
}
