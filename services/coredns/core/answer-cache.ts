// Remembers answers for as long as their records last, within the limits that the Corefile sets.
import { isInZone, type CacheConfig } from './configuration.ts';
import type { DnsRecord, Question, Reply } from './message.ts';

/** Entries kept for answers, and as many for denials. Source: CoreDNS plugin/cache. */
const CAPACITY = 9984;
/** Seconds a failure to answer is remembered. */
const SERVFAIL_SECONDS = 5;
/** Nothing is kept for less, whatever its records say, nor what has no records for longer. Source: plugin/cache minTTL, plugin/pkg/dnsutil. */
const MINIMAL_SECONDS = 5;

interface Entry {
  readonly reply: Reply;
  readonly storedMs: number;
  readonly expiresMs: number;
}

export class AnswerCache {
  readonly #config: CacheConfig;
  readonly #successes = new Map<string, Entry>();
  readonly #denials = new Map<string, Entry>();

  constructor(config: CacheConfig) {
    this.#config = config;
  }

  get sizes(): { readonly success: number; readonly denial: number } {
    return { success: this.#successes.size, denial: this.#denials.size };
  }

  /** The answer with what is left of its records' time. */
  get(question: Question, nowMs: number): Reply | undefined {
    const key = keyOf(question);
    const entry = this.#successes.get(key) ?? this.#denials.get(key);
    if (!entry || entry.expiresMs <= nowMs) return undefined;
    const ageSeconds = Math.floor((nowMs - entry.storedMs) / 1000);
    const aged = (records: readonly DnsRecord[]): DnsRecord[] => records.map((record) => ({ ...record, ttl: Math.max(0, record.ttl - ageSeconds) }));
    const { reply } = entry;
    // Some clients throw away what is not authoritative; CoreDNS says so of everything in its cache.
    return { ...reply, isAuthoritative: true, answers: aged(reply.answers), authorities: aged(reply.authorities), additionals: aged(reply.additionals) };
  }

  /** Returns the answer as it should be given now: no record lasts longer than the cache allows. */
  put(question: Question, reply: Reply, nowMs: number): Reply {
    const name = question.name.toLowerCase();
    const { zones, successSeconds, denialSeconds, disabledSuccess, disabledDenial } = this.#config;
    if (!zones.some((zone) => isInZone(name, zone))) return reply;
    const isSuccess = reply.rcode === 'NOERROR' && reply.answers.length > 0;
    const isDenial = reply.rcode === 'NXDOMAIN' || (reply.rcode === 'NOERROR' && !isSuccess);
    if (!isSuccess && !isDenial && reply.rcode !== 'SERVFAIL') return reply;
    if ((isSuccess ? disabledSuccess : disabledDenial).some((zone) => isInZone(name, zone))) return reply;
    const limit = isSuccess ? successSeconds : isDenial ? denialSeconds : SERVFAIL_SECONDS;
    const records = [...reply.answers, ...reply.authorities, ...reply.additionals];
    const wish = !isSuccess && !isDenial ? limit : records.length === 0 ? MINIMAL_SECONDS : Math.min(...records.map(({ ttl }) => ttl));
    const seconds = Math.min(limit, Math.max(MINIMAL_SECONDS, wish));
    if (seconds <= 0) return reply;
    const timed = (list: readonly DnsRecord[]): DnsRecord[] => list.map((record) => ({ ...record, ttl: seconds }));
    const kept = { ...reply, answers: timed(reply.answers), authorities: timed(reply.authorities), additionals: timed(reply.additionals) };
    const store = isSuccess ? this.#successes : this.#denials;
    const key = keyOf(question);
    store.delete(key);
    store.set(key, { reply: kept, storedMs: nowMs, expiresMs: nowMs + seconds * 1000 });
    if (store.size > CAPACITY) for (const oldest of store.keys()) return store.delete(oldest), kept;
    return kept;
  }
}

const keyOf = ({ name, type, class: group }: Question): string => `${name.toLowerCase()} ${type} ${group}`;
