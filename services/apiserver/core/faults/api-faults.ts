// The rules by which this server misbehaves, in memory alone: what becomes of a request, of a watch and of each of its events.
// Nothing is invented: a client sees only what a real API server that is slow, overloaded, behind or cut off may show it.
import type { ApiFaultRule, ApiFaultState, StatusCode } from '#lib/api-fault/rule.ts';
import { seededRandom, type Random } from '#lib/environment/random.ts';
import { compileMatch, type RequestFacts } from './match.ts';

export const MAX_RULES = 256;
const SECOND_MS = 1_000;
/** Revisions remembered for stale lists; a burst of writes makes them coarser, not more. */
const MAX_SAMPLES = 4_096;
const SAMPLE_PERIOD_MS = 100;

const WRITES: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete']);

/** What is done to one request. */
export interface RequestVerdict {
  /** Rules that had a hand in it. */
  readonly ruleIds: readonly string[];
  readonly delayMs: number;
  readonly end?:
    | { readonly type: 'status'; readonly code: StatusCode; readonly retryAfterSeconds?: number }
    | { readonly type: 'drop'; readonly when: 'before' | 'after' }
    | { readonly type: 'stale'; readonly revision: number };
}

export interface WatchCut {
  readonly leftMs: number;
  readonly expired: boolean;
  /** Counts the cut; false when the rule's limits are used up and the watch is spared. */
  readonly take: () => boolean;
}

class RuleState {
  readonly rule: ApiFaultRule;
  readonly fits: (facts: RequestFacts) => boolean;
  readonly endMs: number;
  /** Of the moment the rule came. */
  readonly revision: number;
  hits = 0;
  matched = 0;
  readonly #random: Random;
  #second = -1;
  #inSecond = 0;

  constructor(rule: ApiFaultRule, nowMs: number, revision: number) {
    this.rule = rule;
    this.fits = compileMatch(rule.match);
    this.endMs = rule.forMs === undefined ? Infinity : nowMs + rule.forMs;
    this.revision = revision;
    this.#random = seededRandom(rule.rate.seed);
  }

  /** Whether chance picks this one. The same seed and order of requests gives the same answers. */
  draw(): boolean {
    const { percent } = this.rule.rate;
    this.matched += 1;
    return percent === undefined || this.#random.fraction() * 100 < percent;
  }
  /** Counts a hit if the limits allow one more. */
  take(nowMs: number): boolean {
    const { first, perSecond } = this.rule.rate;
    if (first !== undefined && this.hits >= first) return false;
    const second = Math.floor(nowMs / SECOND_MS);
    if (second !== this.#second) {
      this.#second = second;
      this.#inSecond = 0;
    }
    if (perSecond !== undefined && this.#inSecond >= perSecond) return false;
    this.#inSecond += 1;
    this.hits += 1;
    return true;
  }
  applies(nowMs: number): boolean {
    return this.draw() && this.take(nowMs);
  }
  jittered(delayMs: number, jitterMs: number): number {
    return jitterMs === 0 ? delayMs : Math.max(0, delayMs + (this.#random.fraction() * 2 - 1) * jitterMs);
  }
}

export class ApiFaults {
  readonly #nowMs: () => number;
  readonly #revision: () => number;
  #states: readonly RuleState[] = [];
  readonly #listeners = new Set<() => void>();
  #samples: { readonly atMs: number; readonly revision: number }[] = [];

  /** `nowMs` must not jump with the machine's time. `revision`: what the watch cache shows now. */
  constructor({ nowMs, revision }: { nowMs: () => number; revision: () => number }) {
    this.#nowMs = nowMs;
    this.#revision = revision;
  }

  /** In the order in which they came, which is the order in which they are tried. */
  #active(): readonly RuleState[] {
    const nowMs = this.#nowMs();
    if (this.#states.some(({ endMs }) => endMs <= nowMs)) this.#states = this.#states.filter(({ endMs }) => endMs > nowMs);
    return this.#states;
  }
  get isEmpty(): boolean {
    return this.#states.length === 0 || this.#active().length === 0;
  }
  list(): ApiFaultState[] {
    const nowMs = this.#nowMs();
    return this.#active().map(({ rule, hits, matched, endMs }) => ({ rule, hits, matched, ...(endMs === Infinity ? {} : { leftMs: endMs - nowMs }) }));
  }
  /** A rule that is there already under this id is replaced. Returns false when there are too many. */
  put(rule: ApiFaultRule): boolean {
    const others = this.#active().filter((state) => state.rule.id !== rule.id);
    if (others.length >= MAX_RULES) return false;
    this.#states = [...others, new RuleState(rule, this.#nowMs(), this.#revision())];
    if (rule.effect.type === 'stale') this.noteRevision(this.#revision());
    this.#tell();
    return true;
  }
  /** Returns whether there was one. */
  remove(id: string): boolean {
    const left = this.#active().filter((state) => state.rule.id !== id);
    const isGone = left.length < this.#states.length;
    this.#states = left;
    if (isGone) this.#tell();
    return isGone;
  }
  clear(): void {
    this.#states = [];
    this.#tell();
  }
  /** Called when rules have come or gone; not when one has run out. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
  #tell(): void {
    if (this.#states.length === 0) this.#samples = [];
    for (const listener of [...this.#listeners]) listener();
  }

  /** The watch cache has got so far. */
  noteRevision(revision: number): void {
    if (!this.#states.some(({ rule }) => rule.effect.type === 'stale')) return;
    const atMs = this.#nowMs();
    if (atMs - (this.#samples.at(-1)?.atMs ?? -Infinity) < SAMPLE_PERIOD_MS) return;
    this.#samples.push({ atMs, revision });
    if (this.#samples.length > MAX_SAMPLES) this.#samples = this.#samples.filter((_, at) => at % 2 === 0);
  }
  #revisionOf({ revision, rule }: RuleState): number {
    const behindMs = rule.effect.type === 'stale' ? rule.effect.behindMs : undefined;
    if (behindMs === undefined) return revision;
    const limitMs = this.#nowMs() - behindMs;
    return Math.max(revision, this.#samples.findLast(({ atMs }) => atMs <= limitMs)?.revision ?? revision);
  }

  /** Delays of all rules that fit add up, until one ends the request its own way. Counts hits. */
  decide(facts: RequestFacts): RequestVerdict {
    const nowMs = this.#nowMs();
    const ruleIds: string[] = [];
    let delayMs = 0;
    for (const state of this.#active()) {
      const { effect, id } = state.rule;
      if (effect.type === 'watch-delay' || effect.type === 'watch-cut' || !canMeet(state.rule, facts) || !state.fits(facts) || !state.applies(nowMs)) continue;
      ruleIds.push(id);
      switch (effect.type) {
        case 'latency': delayMs += state.jittered(effect.delayMs, effect.jitterMs); break;
        case 'status': return { ruleIds, delayMs, end: effect };
        case 'drop': return { ruleIds, delayMs, end: effect };
        case 'stale': return { ruleIds, delayMs, end: { type: 'stale', revision: this.#revisionOf(state) } };
      }
    }
    return { ruleIds, delayMs };
  }

  watch(facts: RequestFacts): WatchFaults {
    return new WatchFaults(facts, this.#nowMs, () => this.#active());
  }
}

/** Whether an API server may ever answer such a request so. */
function canMeet({ effect }: ApiFaultRule, { verb, resumes, mayBeStale, isLongRunning }: RequestFacts): boolean {
  if (effect.type === 'status' && effect.code === 409) return WRITES.has(verb);
  if (effect.type === 'status' && effect.code === 410) return resumes;
  if (effect.type === 'drop') return effect.when === 'before' || !isLongRunning;
  return effect.type !== 'stale' || mayBeStale;
}

/** One watch, which rules may come to while it runs. */
export class WatchFaults {
  readonly #facts: RequestFacts;
  readonly #nowMs: () => number;
  readonly #active: () => readonly RuleState[];
  readonly #openedMs: number;
  /** Drawn once for a watch. */
  readonly #drawn = new Map<RuleState, boolean>();
  readonly #spared = new Set<RuleState>();

  constructor(facts: RequestFacts, nowMs: () => number, active: () => readonly RuleState[]) {
    this.#facts = facts;
    this.#nowMs = nowMs;
    this.#active = active;
    this.#openedMs = nowMs();
  }

  /** Whether a rule may hold up events at all. */
  get delays(): boolean {
    return this.#active().some(({ rule, fits }) => rule.effect.type === 'watch-delay' && fits(this.#facts));
  }

  /** How long the next event is held up. Counts hits. */
  eventDelayMs(): number {
    const nowMs = this.#nowMs();
    let delayMs = 0;
    for (const state of this.#active()) {
      const { effect } = state.rule;
      if (effect.type === 'watch-delay' && state.fits(this.#facts) && state.applies(nowMs)) delayMs += state.jittered(effect.delayMs, effect.jitterMs);
    }
    return delayMs;
  }

  /** The first rule that is to end this watch, if there is one. */
  nextCut(): WatchCut | undefined {
    let first: WatchCut | undefined;
    for (const state of this.#active()) {
      const { effect } = state.rule;
      if (effect.type !== 'watch-cut' || this.#spared.has(state) || !state.fits(this.#facts)) continue;
      let isPicked = this.#drawn.get(state);
      if (isPicked === undefined) this.#drawn.set(state, (isPicked = state.draw()));
      const leftMs = this.#openedMs + effect.afterMs - this.#nowMs();
      if (!isPicked || (first && first.leftMs <= leftMs)) continue;
      const take = (): boolean => {
        const isTaken = state.take(this.#nowMs());
        if (!isTaken) this.#spared.add(state);
        return isTaken;
      };
      first = { leftMs, expired: effect.expired, take };
    }
    return first;
  }
}
