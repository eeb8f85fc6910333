// api-fault add ...: the API servers misbehave by a rule. See services/apiserver/core/faults for what rules do.
import { parseRule, RuleError, type ApiFaultRule, type RuleEffect } from '#lib/api-fault/rule.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { hasRule, putRule, removeRule, requireRules } from '../api-fault/api-servers.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultWords } from './fault.ts';

const LISTS = {
  user: 'users', group: 'groups', 'user-agent': 'userAgents', verb: 'verbs', resource: 'resources', namespace: 'namespaces', name: 'names',
} as const;
const EFFECTS = ['latency', 'status', 'drop', 'stale-lists', 'watch-delay', 'watch-cut'] as const;
/** The same rule gives the same draws, unless another seed is asked for. */
const DEFAULT_SEED = 1;

type Options = FaultWords['options'];

export const apiFault: FaultKind<ApiFaultRule> = {
  name: 'api-fault',
  description: 'let the API servers misbehave by a rule (add), list rules with their hits, remove them',
  arguments: '[add]',
  options: [
    { flags: '--user <names>', description: 'whose requests, comma separated; * stands for anything, as in all of these: system:serviceaccount:default:*' },
    { flags: '--group <names>', description: 'of users in one of these groups' },
    { flags: '--user-agent <texts>', description: 'of clients that call themselves so: kubectl, my-operator/v1' },
    { flags: '--verb <verbs>', description: 'get, list, watch, create, update, patch, delete, deletecollection' },
    { flags: '--resource <resources>', description: 'pods, core/pods, apps/deployments/scale; without subresource: the resource itself; core/pods/*: and all of its subresources' },
    { flags: '--namespace <names>', description: 'requests in these namespaces' },
    { flags: '--name <names>', description: 'requests for these objects' },
    { flags: '--percent <number>', description: 'only so many of a hundred, drawn by chance' },
    { flags: '--first <count>', description: 'only the first ones' },
    { flags: '--per-second <count>', description: 'at most so many in a second' },
    { flags: '--seed <number>', description: `of chance (default: ${DEFAULT_SEED})` },
    { flags: '--latency <duration>', description: 'effect: look at the request only after so long' },
    { flags: '--jitter <duration>', description: 'of --latency and --watch-delay: up to so much more or less' },
    { flags: '--status <code>', description: 'effect: refuse with 409 (writes), 410 (pages, exact lists, watches from a revision), 429, 500 or 503' },
    { flags: '--retry-after <seconds>', description: 'of --status 429 (default: 1) and 503' },
    { flags: '--drop <when>', description: 'effect: cut the connection "before" anything is done, or "after" all is done but the answer' },
    { flags: '--stale-lists <duration>', description: 'effect: answer lists that allow it (resourceVersion=0 and the like) as of so long ago; "frozen": as of now' },
    { flags: '--watch-delay <duration>', description: 'effect: hold up events of watches, also of those that run' },
    { flags: '--watch-cut <age>', description: 'effect: cut watches as soon as they are so old: 0s, 30s' },
    { flags: '--gone', description: 'of --watch-cut: with a last event that says 410 Gone' },
  ],
  async plan(cluster, words, id) {
    const rule = ruleOf(words, id);
    await requireRules(cluster);
    return rule;
  },
  async apply(cluster, rule) {
    const masters = await putRule(cluster, rule);
    return masters.length === cluster.hosts.filter(({ role }) => role === 'control-plane').length ? undefined : `only on ${masters.join(', ')}: no API server runs on the others`;
  },
  undo: (cluster, { id }) => removeRule(cluster, id),
  isInForce: (cluster, { id }) => hasRule(cluster, id),
};

/** Throws UserError (exit code 2). */
export function ruleOf({ args, options }: FaultWords, id: string): ApiFaultRule {
  if (args.length > 1 || (args[0] ?? 'add') !== 'add') throw new UserError('api-fault takes add, list, remove, clear, enable or disable', 2);
  const match = Object.fromEntries(Object.entries(LISTS).flatMap(([option, key]) => {
    const value = textOf(options, option);
    return value === undefined ? [] : [[key, value.split(',')]];
  }));
  const rate = {
    seed: numberOf(options, 'seed') ?? DEFAULT_SEED,
    ...given('percent', numberOf(options, 'percent')), ...given('first', numberOf(options, 'first')), ...given('perSecond', numberOf(options, 'per-second')),
  };
  try {
    return parseRule({ id, match, rate, effect: effectOf(options) });
  } catch (error) {
    if (error instanceof RuleError) throw new UserError(error.message, 2);
    throw error;
  }
}

function effectOf(options: Options): RuleEffect | object {
  const chosen = EFFECTS.filter((effect) => options[effect] !== undefined);
  const [effect] = chosen;
  if (effect === undefined || chosen.length > 1) throw new UserError(`a rule has one effect: ${EFFECTS.map((one) => `--${one}`).join(', ')}${effect === undefined ? '' : `; not ${chosen.length} of them`}`, 2);
  requireFor(options, 'jitter', ['latency', 'watch-delay'], effect);
  requireFor(options, 'retry-after', ['status'], effect);
  requireFor(options, 'gone', ['watch-cut'], effect);
  const jitter = given('jitterMs', durationOf(options, 'jitter'));
  switch (effect) {
    case 'latency': return { type: 'latency', delayMs: durationOf(options, effect), ...jitter };
    case 'watch-delay': return { type: 'watch-delay', delayMs: durationOf(options, effect), ...jitter };
    case 'status': return { type: 'status', code: numberOf(options, effect), ...given('retryAfterSeconds', numberOf(options, 'retry-after')) };
    case 'drop': return { type: 'drop', when: textOf(options, effect) };
    case 'stale-lists': return { type: 'stale', ...(options[effect] === 'frozen' ? {} : { behindMs: durationOf(options, effect) }) };
    case 'watch-cut': return { type: 'watch-cut', afterMs: durationOf(options, effect), expired: options['gone'] === true };
  }
}

const given = <T>(key: string, value: T | undefined): Record<string, T> => (value === undefined ? {} : { [key]: value });

function requireFor(options: Options, option: string, effects: readonly string[], effect: string): void {
  if (options[option] !== undefined && !effects.includes(effect)) throw new UserError(`--${option} goes with ${effects.map((one) => `--${one}`).join(' and ')}`, 2);
}

function textOf(options: Options, option: string): string | undefined {
  const value = options[option];
  if (value === undefined || typeof value === 'string') return value;
  throw new UserError(`--${option} takes a value`, 2);
}

function numberOf(options: Options, option: string): number | undefined {
  const text = textOf(options, option);
  if (text === undefined) return undefined;
  if (!/^\d+(\.\d+)?$/.test(text)) throw new UserError(`--${option} must be a number, not "${text}"`, 2);
  return Number(text);
}

function durationOf(options: Options, option: string): number | undefined {
  const text = textOf(options, option);
  try {
    return text === undefined ? undefined : parseDurationMs(text);
  } catch (error) {
    if (error instanceof FlagError) throw new UserError(`--${option} must be a duration such as 30s, 1m30s or 500ms, not "${text ?? ''}"`, 2);
    throw error;
  }
}
