// What a run broke, counted.

export interface FaultEntry {
  /** As it is typed: `partition w1-k8s w2-k8s`. */
  readonly text: string;
  /** Since the run began to break things; milliseconds. */
  readonly atMs: number;
  /** Null: nothing of it lasts. */
  readonly forMs: number | null;
  /** Why it could not be made. */
  readonly refused?: string;
}

export interface FaultFigures {
  readonly made: number;
  readonly refused: number;
  /** In any whole minute of the run. */
  readonly fewestInAMinute: number;
  readonly perMinute: number;
  /** In force at the same time. */
  readonly mostAtOnce: number;
  readonly byKind: Readonly<Record<string, { readonly made: number; readonly refused: number }>>;
  /** In the order in which they were begun. */
  readonly log: readonly FaultEntry[];
}

const MINUTE_MS = 60_000;

export function faultFigures(entries: readonly FaultEntry[], brokenForMs: number): FaultFigures {
  const log = [...entries].sort((left, right) => left.atMs - right.atMs);
  const byKind: Record<string, { made: number; refused: number }> = {};
  for (const { text, refused } of log) {
    const kind = (byKind[text.split(' ')[0] ?? ''] ??= { made: 0, refused: 0 });
    kind[refused === undefined ? 'made' : 'refused'] += 1;
  }
  const made = log.filter(({ refused }) => refused === undefined);
  const inMinute = (minute: number): number => made.filter(({ atMs }) => Math.floor(atMs / MINUTE_MS) === minute).length;
  const minutes = Math.floor(brokenForMs / MINUTE_MS);
  const inForceAt = (momentMs: number): number => made.filter(({ atMs, forMs }) => atMs <= momentMs && momentMs < atMs + (forMs ?? 1)).length;
  return {
    made: made.length, refused: log.length - made.length,
    fewestInAMinute: minutes === 0 ? made.length : Math.min(...Array.from({ length: minutes }, (_, minute) => inMinute(minute))),
    perMinute: brokenForMs > 0 ? Math.round(made.length / (brokenForMs / MINUTE_MS) * 10) / 10 : 0,
    mostAtOnce: Math.max(0, ...made.map(({ atMs }) => inForceAt(atMs))), byKind, log,
  };
}
