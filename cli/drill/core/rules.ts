// Whether objects, events and outputs are as a step says.
import { parsePath, valuesAt } from '#lib/machinery/json-path.ts';
import type { EventRules, ObjectRules, OutputRules } from './drill.ts';
import type { Sight } from './timing.ts';

export interface AnyObject {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[] };
}

const MAX_SHOWN = 200;
export const short = (text: string): string => (text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text);

/** A path of a drill, with or without kubectl's braces. Undefined: it is not understood. */
export function pathSteps(path: string): ReturnType<typeof parsePath> {
  const inner = /^\{(.*)\}$/.exec(path)?.[1] ?? path;
  return parsePath(inner.startsWith('.') || inner.startsWith('[') ? inner : `.${inner}`);
}

/** The values at a path as one text; undefined: there are none. */
export function valueAt(object: unknown, path: string): string | undefined {
  const values = valuesAt(object, pathSteps(path) ?? []);
  return values.length === 0 ? undefined : values.map((value) => (typeof value === 'object' ? JSON.stringify(value) : String(value))).join(' ');
}

/** `objects` undefined: nobody answered, and `error` says why. */
export function seeObjects(objects: readonly AnyObject[] | undefined, rules: ObjectRules, error = ''): Sight {
  if (objects === undefined) return { holds: 'unknown', text: error };
  const { count, 'min-count': minCount, exists, path } = rules;
  if (exists !== undefined && path === undefined && count === undefined && minCount === undefined) {
    return { holds: exists === objects.length > 0, text: objects.length === 0 ? 'not there' : `${names(objects)} there` };
  }
  const seen = objects.map((object) => ({ name: object.metadata.name, ...seeObject(object, rules) }));
  const good = seen.filter(({ holds }) => holds).length;
  const text = objects.length === 0 ? 'none is there' : short(seen.map(({ name, text: own }) => (own === '' ? name : `${name} ${own}`)).join(', '));
  if (count !== undefined) return { holds: good === count, text: `${good}: ${text}` };
  if (minCount !== undefined) return { holds: good >= minCount, text: `${good}: ${text}` };
  return { holds: objects.length > 0 && good === objects.length, text };
}

function seeObject(object: AnyObject, rules: ObjectRules): { holds: boolean; text: string } {
  const { condition, path, exists } = rules;
  let holds = true;
  const texts: string[] = [];
  if (condition !== undefined) {
    const [type = '', wanted = 'True'] = condition.split('=');
    const found = object.status?.conditions?.find((each) => each.type === type);
    holds &&= found?.status === wanted;
    texts.push(found ? `${type}=${found.status}${found.reason ? ` (${found.reason})` : ''}` : `has no condition ${type}`);
  }
  if (path !== undefined) {
    const value = valueAt(object, path);
    holds &&= isValue(value, { ...rules, ...(exists === undefined ? {} : { exists }) });
    texts.push(`${path}=${value ?? '(none)'}`);
  }
  return { holds, text: texts.join(' ') };
}

function isValue(value: string | undefined, rules: ObjectRules): boolean {
  if (rules.exists !== undefined && rules.exists !== (value !== undefined)) return false;
  if (rules.equals !== undefined && value !== String(rules.equals)) return false;
  if (rules['not-equals'] !== undefined && value === String(rules['not-equals'])) return false;
  if (rules.matches !== undefined && !new RegExp(rules.matches, 'm').test(value ?? '')) return false;
  // A number that is left out stands for 0: readyReplicas, restartCount.
  if (rules['at-least'] !== undefined && !(Number(value ?? 0) >= rules['at-least'])) return false;
  if (rules['at-most'] !== undefined && !(Number(value ?? 0) <= rules['at-most'])) return false;
  return true;
}

const names = (objects: readonly AnyObject[]): string => short(objects.map(({ metadata }) => metadata.name).join(', '));

/** An event in either of the API's forms. */
export interface SeenEvent {
  readonly uid: string;
  readonly reason: string;
  readonly object: string;
  readonly message: string;
  readonly type: string;
  readonly from: string;
  readonly count: number;
  readonly lastMs: number;
}

/** `events` are those that were seen or counted on since the time the step counts from. */
export function seeEvents(events: readonly SeenEvent[] | undefined, reason: string, rules: EventRules, error = ''): Sight {
  if (events === undefined) return { holds: 'unknown', text: error };
  const found = events.filter((event) => event.reason === reason && isEvent(event, rules));
  const seen = found.reduce((sum, { count }) => sum + count, 0);
  const [first] = found;
  if (!first) {
    const others = [...new Set(events.filter(({ object }) => rules.of === undefined || matchesGlob(object, rules.of)).map((event) => event.reason))];
    return { holds: false, text: others.length === 0 ? 'no event' : short(`other events: ${others.join(', ')}`) };
  }
  return { holds: seen >= (rules['min-count'] ?? 1), text: short(`${first.object}: ${first.message}${seen > 1 ? ` (x${seen})` : ''}`) };
}

/**
 * Those of a time, without what stood already, with the same count, when the drill began: who reports by a clock that is ahead leaves
 * events that are later than everything for as long as that.
 */
export function eventsSince(events: readonly SeenEvent[], sinceMs: number, countsBefore: ReadonlyMap<string, number>): SeenEvent[] {
  return events.filter(({ uid, count, lastMs }) => lastMs >= sinceMs && count > (countsBefore.get(uid) ?? 0));
}

function isEvent(event: SeenEvent, { of, message, type, from }: EventRules): boolean {
  return (of === undefined || matchesGlob(event.object, of)) && (message === undefined || new RegExp(message, 'm').test(event.message))
    && (type === undefined || event.type === type) && (from === undefined || event.from === from);
}

const matchesGlob = (text: string, glob: string): boolean =>
  new RegExp(`^${glob.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 'i').test(text);

/** What is wrong with an output; undefined: nothing. */
export function outputProblem(output: string, { equals, contains, matches, 'not-matches': notMatches }: OutputRules): string | undefined {
  const text = output.trim();
  const seen = short(JSON.stringify(text));
  if (equals !== undefined && text !== equals.trim()) return `printed ${seen}, not ${JSON.stringify(equals.trim())}`;
  if (contains !== undefined && !text.includes(contains)) return `printed ${seen}, without ${JSON.stringify(contains)}`;
  if (matches !== undefined && !new RegExp(matches, 'm').test(text)) return `printed ${seen}, which does not match ${matches}`;
  if (notMatches !== undefined && new RegExp(notMatches, 'm').test(text)) return `printed ${seen}, which matches ${notMatches}`;
  return undefined;
}
