// A rule by which an API server misbehaves on demand: which requests, how often, and what becomes of them. Sent by kubreak, obeyed by
// services/apiserver.

/** Where an API server that was started with --emulator-api-fault-client-ca-file takes rules. */
export const API_FAULT_PATH = '/emulator/api-faults';
/** Names the rule that touched an answer. */
export const API_FAULT_HEADER = 'x-emulator-api-fault';

/** Each list: one of them must fit; absent: whatever it is. `*` in a pattern stands for any characters. */
export interface RuleMatch {
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  /** Anywhere in the User-Agent header. */
  readonly userAgents?: readonly string[];
  /** get list watch create update patch delete deletecollection */
  readonly verbs?: readonly string[];
  /** RESOURCE (of any group), GROUP/RESOURCE or GROUP/RESOURCE/SUBRESOURCE; `core` is the group without a name. Without a subresource: the resource itself alone. */
  readonly resources?: readonly string[];
  readonly namespaces?: readonly string[];
  /** A create has its name in the body and fits no name. */
  readonly names?: readonly string[];
}

/** All limits that are given hold; none: every request. */
export interface RuleRate {
  /** Of the requests that fit, drawn by `seed`; more than 0, at most 100. */
  readonly percent?: number;
  /** Only so many requests, then never again. */
  readonly first?: number;
  readonly perSecond?: number;
  readonly seed: number;
}

export const STATUS_CODES = [409, 410, 429, 500, 503] as const;
export type StatusCode = (typeof STATUS_CODES)[number];

export type RuleEffect =
  /** The request is looked at only after a while. */
  | { readonly type: 'latency'; readonly delayMs: number; readonly jitterMs: number }
  /** Refused with this code and upstream's Status. 409 meets writes only; 410 lists that go on from a page or ask for an exact revision, and watches from a revision. */
  | { readonly type: 'status'; readonly code: StatusCode; readonly retryAfterSeconds?: number }
  /** The client's connection is cut, with all that goes on over it: before anything was done, or when all was done but not said. */
  | { readonly type: 'drop'; readonly when: 'before' | 'after' }
  /** Lists that allow it (resourceVersion=0, or not older than one) are answered as things were so long ago, or when the rule came. */
  | { readonly type: 'stale'; readonly behindMs?: number }
  /** Events of a watch come late, in their order. */
  | { readonly type: 'watch-delay'; readonly delayMs: number; readonly jitterMs: number }
  /** Watches end when they are so old; `expired`: with a last event that says 410. */
  | { readonly type: 'watch-cut'; readonly afterMs: number; readonly expired: boolean };

export interface ApiFaultRule {
  readonly id: string;
  readonly match: RuleMatch;
  readonly rate: RuleRate;
  readonly effect: RuleEffect;
  /** The server forgets the rule by itself after so long. */
  readonly forMs?: number;
}

/** What a server tells about a rule. */
export interface ApiFaultState {
  readonly rule: ApiFaultRule;
  /** Requests, watches or watch events that the rule was applied to. */
  readonly hits: number;
  /** Those that it fitted, whatever the rate let through. */
  readonly matched: number;
  readonly leftMs?: number;
}

export class RuleError extends Error {
  override readonly name = 'RuleError';
}

const VERBS: ReadonlySet<string> = new Set(['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']);
const MATCH_KEYS = ['users', 'groups', 'userAgents', 'verbs', 'resources', 'namespaces', 'names'] as const;
const MAX_PATTERNS = 64;
const MAX_PATTERN_LENGTH = 512;
/** A day: nobody waits longer, and timers do not reach much further. */
const MAX_DELAY_MS = 24 * 3600 * 1000;
const MAX_BEHIND_MS = 600_000;

type Raw = Readonly<Record<string, unknown>>;

function objectAt(value: unknown, path: string, allowed: readonly string[]): Raw {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RuleError(`${path} must be an object`);
  const unknown = Object.keys(value).find((key) => !allowed.includes(key));
  if (unknown !== undefined) throw new RuleError(`${path} has a field "${unknown}" that is not known; there are ${allowed.join(', ')}`);
  return value as Raw;
}

function numberAt(raw: Raw, key: string, { min, max, isInteger = true, fallback }: { min: number; max: number; isInteger?: boolean; fallback?: number }): number {
  const value = raw[key] ?? fallback;
  if (typeof value !== 'number' || !(value >= min && value <= max) || (isInteger && !Number.isInteger(value))) {
    throw new RuleError(`${key} must be ${isInteger ? 'a whole number' : 'a number'} from ${min} to ${max}`);
  }
  return value;
}

function patternsAt(raw: Raw, key: string): readonly string[] {
  const value = raw[key];
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_PATTERNS) throw new RuleError(`match.${key} must be a list of 1 to ${MAX_PATTERNS} texts`);
  return value.map((one: unknown) => {
    if (typeof one !== 'string' || one.length > MAX_PATTERN_LENGTH) throw new RuleError(`match.${key} must hold texts of at most ${MAX_PATTERN_LENGTH} characters`);
    return one;
  });
}

function parseMatch(value: unknown): RuleMatch {
  const raw = objectAt(value ?? {}, 'match', MATCH_KEYS);
  const match = Object.fromEntries(MATCH_KEYS.filter((key) => raw[key] !== undefined).map((key) => [key, patternsAt(raw, key)])) as RuleMatch;
  const verb = match.verbs?.find((one) => one !== '*' && !VERBS.has(one));
  if (verb !== undefined) throw new RuleError(`"${verb}" is no verb; there are ${[...VERBS].join(', ')}`);
  const resource = match.resources?.find((one) => !/^[^/]+(\/[^/]+){0,2}$/.test(one));
  if (resource !== undefined) throw new RuleError(`"${resource}" is not RESOURCE, GROUP/RESOURCE or GROUP/RESOURCE/SUBRESOURCE`);
  return match;
}

function parseRate(value: unknown): RuleRate {
  const raw = objectAt(value ?? {}, 'rate', ['percent', 'first', 'perSecond', 'seed']);
  return {
    seed: numberAt(raw, 'seed', { min: 0, max: 2 ** 32 - 1, fallback: 0 }),
    ...(raw['percent'] === undefined ? {} : { percent: numberAt(raw, 'percent', { min: Number.MIN_VALUE, max: 100, isInteger: false }) }),
    ...(raw['first'] === undefined ? {} : { first: numberAt(raw, 'first', { min: 1, max: 1_000_000_000 }) }),
    ...(raw['perSecond'] === undefined ? {} : { perSecond: numberAt(raw, 'perSecond', { min: 1, max: 1_000_000 }) }),
  };
}

const DELAY = { min: 0, max: MAX_DELAY_MS, isInteger: false };

function parseEffect(value: unknown): RuleEffect {
  const type = (value as { type?: unknown } | null | undefined)?.type;
  const fields = (...names: string[]): Raw => objectAt(value, 'effect', ['type', ...names]);
  switch (type) {
    case 'latency':
    case 'watch-delay': {
      const raw = fields('delayMs', 'jitterMs');
      return { type, delayMs: numberAt(raw, 'delayMs', DELAY), jitterMs: numberAt(raw, 'jitterMs', { ...DELAY, fallback: 0 }) };
    }
    case 'status': {
      const raw = fields('code', 'retryAfterSeconds');
      const code = STATUS_CODES.find((one) => one === raw['code']);
      if (code === undefined) throw new RuleError(`effect.code must be one of ${STATUS_CODES.join(', ')}`);
      if (raw['retryAfterSeconds'] !== undefined && code !== 429 && code !== 503) throw new RuleError('retryAfterSeconds goes with 429 and 503');
      return { type, code, ...(raw['retryAfterSeconds'] === undefined ? {} : { retryAfterSeconds: numberAt(raw, 'retryAfterSeconds', { min: 1, max: 86_400 }) }) };
    }
    case 'drop': {
      const { when } = fields('when');
      if (when !== 'before' && when !== 'after') throw new RuleError('effect.when must be before or after');
      return { type, when };
    }
    case 'stale': {
      const raw = fields('behindMs');
      return { type, ...(raw['behindMs'] === undefined ? {} : { behindMs: numberAt(raw, 'behindMs', { min: 1, max: MAX_BEHIND_MS, isInteger: false }) }) };
    }
    case 'watch-cut': {
      const raw = fields('afterMs', 'expired');
      if (typeof (raw['expired'] ?? false) !== 'boolean') throw new RuleError('effect.expired must be true or false');
      return { type, afterMs: numberAt(raw, 'afterMs', { ...DELAY, fallback: 0 }), expired: raw['expired'] === true };
    }
    default: throw new RuleError('effect.type must be one of latency, status, drop, stale, watch-delay, watch-cut');
  }
}

/** Throws RuleError. */
export function parseRule(value: unknown): ApiFaultRule {
  const raw = objectAt(value, 'a rule', ['id', 'match', 'rate', 'effect', 'forMs']);
  const { id } = raw;
  if (typeof id !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(id)) throw new RuleError('id must be small letters, digits and dashes, at most 63');
  return {
    id, match: parseMatch(raw['match']), rate: parseRate(raw['rate']), effect: parseEffect(raw['effect']),
    ...(raw['forMs'] === undefined ? {} : { forMs: numberAt(raw, 'forMs', { ...DELAY, min: 1 }) }),
  };
}
