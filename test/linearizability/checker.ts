// Whether a history of concurrent operations can have happened one at a time: the search of Wing and Gong with the memory of Lowe,
// as porcupine does it. Knows nothing of what the operations do; a model tells.
// Source: Wing, Gong: Testing and verifying concurrent objects, 1993; Lowe: Testing for linearizability, 2017; anishathalye/porcupine.

/** From `call` to `return`, which are unique: an order of all calls and returns. */
export interface Interval {
  readonly call: number;
  /** Infinity: no answer came, it may have happened at any time after the call. */
  readonly return: number;
  /** It may never have happened. */
  readonly isOptional?: boolean;
}

export interface Model<State, Operation> {
  readonly initial: State;
  /** The state after the operation; undefined when it cannot have happened here with the outcome that was seen. */
  step(state: State, operation: Operation): State | undefined;
  /** Equal for equal states. */
  key(state: State): string;
}

export type Verdict<State, Operation> =
  | { readonly result: 'linearizable' }
  /** `blocked` had to happen before it returned, but nothing that leads there fits; with the state after the longest order that was found. */
  | { readonly result: 'not linearizable'; readonly blocked: Operation; readonly concurrent: readonly Operation[]; readonly state: State; readonly depth: number }
  /** Out of time: nothing is known. */
  | { readonly result: 'unknown' };

export interface CheckOptions {
  readonly timeLimitMs: number;
  /** Milliseconds that only grow. */
  readonly nowMs: () => number;
}

/** Steps between looks at the clock. */
const STEPS_PER_LOOK = 1024;

/** A call or a return in a list of both, in order; a call knows its return, which is undefined where none came that must be waited for. */
interface Node<Operation> {
  readonly id: number;
  readonly operation: Operation;
  readonly isCall: boolean;
  match: Node<Operation> | undefined;
  previous: Node<Operation> | undefined;
  next: Node<Operation> | undefined;
}

interface Step<State, Operation> {
  readonly node: Node<Operation>;
  readonly state: State;
  readonly openKey: number;
}

export function checkLinearizable<State, Operation extends Interval>(model: Model<State, Operation>, operations: readonly Operation[], options: CheckOptions): Verdict<State, Operation> {
  const ordered = [...operations].sort((a, b) => a.call - b.call);
  const head = listOf(ordered);
  const done = new DoneSet(ordered);
  const seen = new Set<string>();
  const stack: Step<State, Operation>[] = [];
  const endMs = options.nowMs() + options.timeLimitMs;
  let required = ordered.reduce((count, { isOptional }) => (isOptional ? count : count + 1), 0);
  let state = model.initial;
  let deepest: { depth: number; blocked: Operation; state: State } | undefined;
  let entry = head.next;
  for (let steps = 1; required > 0; steps += 1) {
    if (steps % STEPS_PER_LOOK === 0 && options.nowMs() > endMs) return { result: 'unknown' };
    if (entry?.isCall) {
      const after = model.step(state, entry.operation);
      if (after !== undefined) {
        const openKey = done.add(entry.id);
        const key = `${done.key()}/${model.key(after)}`;
        if (!seen.has(key)) {
          seen.add(key);
          stack.push({ node: entry, state, openKey });
          state = after;
          if (!entry.operation.isOptional) required -= 1;
          lift(entry);
          entry = head.next;
          continue;
        }
        done.remove(entry.id, openKey);
      }
      entry = entry.next;
      continue;
    }
    // A return before its operation has a place, or nothing left to try: something before it was put into the wrong place.
    if (entry !== undefined && stack.length >= (deepest?.depth ?? 0)) deepest = { depth: stack.length, blocked: entry.operation, state };
    const last = stack.pop();
    if (last === undefined) return notLinearizable(ordered, deepest ?? { depth: 0, blocked: ordered.find(({ isOptional }) => !isOptional) as Operation, state });
    ({ state } = last);
    done.remove(last.node.id, last.openKey);
    if (!last.node.operation.isOptional) required += 1;
    unlift(last.node);
    entry = last.node.next;
  }
  return { result: 'linearizable' };
}

function notLinearizable<State, Operation extends Interval>(operations: readonly Operation[], { depth, blocked, state }: { depth: number; blocked: Operation; state: State }): Verdict<State, Operation> {
  const concurrent = operations.filter((other) => other !== blocked && other.call < blocked.return && other.return > blocked.call);
  return { result: 'not linearizable', blocked, concurrent, state, depth };
}

function listOf<Operation extends Interval>(ordered: readonly Operation[]): Node<Operation> {
  const nodes: { at: number; node: Node<Operation> }[] = [];
  ordered.forEach((operation, id) => {
    const call: Node<Operation> = { id, operation, isCall: true, match: undefined, previous: undefined, next: undefined };
    nodes.push({ at: operation.call, node: call });
    if (operation.isOptional) return;
    call.match = { id, operation, isCall: false, match: undefined, previous: undefined, next: undefined };
    nodes.push({ at: operation.return, node: call.match });
  });
  nodes.sort((a, b) => (a.at === b.at ? a.node.id - b.node.id : a.at - b.at)); // only Infinity comes more than once
  const head: Node<Operation> = { id: -1, operation: undefined as unknown as Operation, isCall: true, match: undefined, previous: undefined, next: undefined };
  let last = head;
  for (const { node } of nodes) {
    node.previous = last;
    last.next = node;
    last = node;
  }
  return head;
}

function lift<Operation>(call: Node<Operation>): void {
  for (const node of [call, call.match]) {
    if (node?.previous) node.previous.next = node.next;
    if (node?.next) node.next.previous = node.previous;
  }
}

function unlift<Operation>(call: Node<Operation>): void {
  for (const node of [call.match, call]) {
    if (node?.previous) node.previous.next = node;
    if (node?.next) node.next.previous = node;
  }
}

/**
 * Which operations have their place. Those that returned are done nearly in the order of their calls, so the first that is not
 * done and the few done beyond it tell all; those that never returned stay open for long, so sets of them get a number.
 */
class DoneSet {
  private readonly isDone: Uint8Array;
  private readonly isOpen: Uint8Array;
  private readonly openSets = new Map<string, number>([['', 0]]);
  private open: number[] = [];
  private openKey = 0;
  private low = 0;
  /** Beyond `low`. */
  private beyond = 0;

  constructor(ordered: readonly Interval[]) {
    this.isDone = new Uint8Array(ordered.length);
    this.isOpen = Uint8Array.from(ordered, (operation) => (operation.isOptional || operation.return === Infinity ? 1 : 0));
  }

  /** Returns what `remove` wants back. */
  add(id: number): number {
    const before = this.openKey;
    this.isDone[id] = 1;
    if (this.isOpen[id] === 1) {
      this.open.push(id);
      this.openKey = this.numberOf(this.open);
      return before;
    }
    this.beyond += 1;
    for (; this.low < this.isDone.length && (this.isOpen[this.low] === 1 || this.isDone[this.low] === 1); this.low += 1) if (this.isOpen[this.low] === 0) this.beyond -= 1;
    return before;
  }

  /** The last that was added and not removed. */
  remove(id: number, openKey: number): void {
    this.isDone[id] = 0;
    this.openKey = openKey;
    if (this.isOpen[id] === 1) {
      this.open.pop();
      return;
    }
    if (id >= this.low) {
      this.beyond -= 1;
      return;
    }
    for (; this.low > id;) {
      this.low -= 1;
      if (this.isOpen[this.low] === 0 && this.isDone[this.low] === 1) this.beyond += 1;
    }
  }

  key(): string {
    let key = `${this.openKey}.${this.low}`;
    for (let id = this.low + 1, left = this.beyond; left > 0; id += 1) {
      if (this.isDone[id] === 0 || this.isOpen[id] === 1) continue;
      key += `,${id}`;
      left -= 1;
    }
    return key;
  }

  private numberOf(open: readonly number[]): number {
    const text = [...open].sort((a, b) => a - b).join();
    const known = this.openSets.get(text) ?? this.openSets.size;
    this.openSets.set(text, known);
    return known;
  }
}
