// The text of a drill to a drill, or to what is wrong with it and where.
import { Ajv, type ErrorObject } from 'ajv';
import { isMap, isPair, isScalar, LineCounter, parseDocument, type Document, type Node, type Pair } from 'yaml';
import schema from '../../../drills/schema.json' with { type: 'json' };
import { allKinds } from '#lib/kinds/registry.ts';
import { durationMs, type ClusterTimes } from './durations.ts';
import { describeStep, isFault, type Drill, type Step } from './drill.ts';
import { nearest } from './nearest.ts';
import { pathSteps } from './rules.ts';
import { variablesIn } from './variables.ts';

export const MAX_DRILL_BYTES = 256 * 1024;
/** Beyond these, a file is broken in one way that shows as many. */
const MAX_PROBLEMS = 20;
/** Values that every drill has. */
export const GIVEN_VARIABLES = ['namespace', 'drill', 'mode'] as const;
/** A cluster's times have these names; see cluster-times.ts. */
type TimeNames = ReadonlySet<string>;

export interface DrillProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}
export type Parsed = { readonly drill: Drill; readonly problems?: undefined } | { readonly drill?: undefined; readonly problems: readonly DrillProblem[] };

type Path = readonly (string | number)[];

const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, strictRequired: false, strictTypes: false, formats: { regex: isRegExp } });
const validate = ajv.compile<Drill>(schema);

function isRegExp(text: string): boolean {
  try {
    return new RegExp(text, 'm') instanceof RegExp;
  } catch {
    return false;
  }
}

/** `timeNames`: of the times of a cluster that durations may use. */
export function parseDrill(text: string, timeNames: TimeNames): Parsed {
  if (Buffer.byteLength(text) > MAX_DRILL_BYTES) return { problems: [{ line: 1, column: 1, message: `a drill is at most ${MAX_DRILL_BYTES / 1024} KiB long` }] };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (document.errors.length > 0) return { problems: document.errors.slice(0, MAX_PROBLEMS).map(({ pos, message }) => ({ ...at(pos[0]), message })) };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    return { problems: [{ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) }] }; // aliases of nothing, or of too much
  }
  const problem = (path: Path, message: string, ofKey = false): DrillProblem => ({ ...at(offsetOf(document, path, ofKey)), message });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problems: [problem([], 'a drill is a mapping with name, title, description and steps')] };
  if (!validate(value)) return { problems: schemaProblems(validate.errors ?? [], value, problem) };
  const problems = meaningProblems(value, timeNames, problem);
  return problems.length > 0 ? { problems } : { drill: value };
}

/** Where a value, or its key, stands in the text. */
function offsetOf(document: Document, path: Path, ofKey: boolean): number {
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const here = path.slice(0, depth);
    const key = path[depth - 1];
    const parent = depth === 0 ? undefined : document.getIn(here.slice(0, -1), true);
    if (isMap(parent) && (ofKey || depth < path.length)) {
      const pair = parent.items.find((each): each is Pair => isPair(each) && isScalar(each.key) && each.key.value === key);
      const keyNode = pair?.key as Node | undefined;
      if (keyNode?.range) return keyNode.range[0];
    }
    const node = (depth === 0 ? document.contents : document.getIn(here, true)) as Node | null | undefined;
    if (node?.range) return node.range[0];
  }
  return 0;
}

type MakeProblem = (path: Path, message: string, ofKey?: boolean) => DrillProblem;

/** Errors of branches that were not meant are dropped; one problem a place. */
function schemaProblems(errors: readonly ErrorObject[], value: object, problem: MakeProblem): DrillProblem[] {
  const stepsWithoutKind = new Set<string>();
  for (const { keyword, instancePath } of errors) if (keyword === 'anyOf' && /^\/steps\/\d+$/.test(instancePath) && stepKeys(inside(value, pathOf(instancePath))).length === 0) stepsWithoutKind.add(instancePath);
  const problems = new Map<string, DrillProblem>();
  for (const error of errors) {
    const path = pathOf(error.instancePath);
    const found = stepsWithoutKind.has(error.instancePath)
      ? problem(path, stepWithoutKind(inside(value, path)))
      : schemaProblem(error, path, value, problem);
    if (found && !problems.has(`${found.line}:${found.column}`)) problems.set(`${found.line}:${found.column}`, found);
  }
  return [...problems.values()].sort((a, b) => a.line - b.line || a.column - b.column).slice(0, MAX_PROBLEMS);
}

const STEP_KEYS = schema.definitions.step.anyOf.map(({ required }) => required[0] ?? '');
const stepKeys = (step: unknown): string[] => (typeof step === 'object' && step !== null ? STEP_KEYS.filter((key) => Object.hasOwn(step, key)) : []);
const pathOf = (pointer: string): (string | number)[] => pointer.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
const inside = (value: unknown, path: Path): unknown => path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

function stepWithoutKind(step: unknown): string {
  const keys = typeof step === 'object' && step !== null ? Object.keys(step) : [];
  const meant = keys.map((key) => ({ key, near: nearest(key, STEP_KEYS) })).find(({ near }) => near !== undefined);
  return meant ? `no step is called "${meant.key}": is ${meant.near ?? ''} meant?` : `a step has one of the keys ${STEP_KEYS.join(', ')}`;
}

function schemaProblem({ keyword, params, parentSchema, schemaPath }: ErrorObject, path: Path, value: object, problem: MakeProblem): DrillProblem | undefined {
  const given = inside(value, path);
  const part = parentSchema as SchemaPart;
  const name = path.length === 0 ? 'the drill' : typeof path.at(-1) === 'number' ? (path.at(-2) === 'steps' ? `step ${Number(path.at(-1)) + 1}` : `item ${Number(path.at(-1)) + 1}`) : String(path.at(-1));
  switch (keyword) {
    case 'if': case 'allOf': return undefined;
    case 'required': return /\/(anyOf|oneOf)\//.test(schemaPath) ? undefined : problem(path, `${name} lacks ${String(params['missingProperty'])}`);
    case 'additionalProperties': {
      const key = String(params['additionalProperty']);
      const others = stepKeys(given);
      if (path[0] === 'steps' && path.length === 2 && STEP_KEYS.includes(key) && others.length > 1) return problem([...path, others[1] ?? key], `a step does one thing: this one has ${others.join(' and ')}`, true);
      const properties = Object.keys(part.properties ?? {});
      const near = nearest(key, properties);
      return problem([...path, key], `${others[0] === undefined ? name : `a step with ${others[0]}`} has no key "${key}"${near === undefined ? `; there are ${properties.join(', ')}` : `: is ${near} meant?`}`, true);
    }
    case 'enum': case 'const': return problem(path, `${name} must be ${keyword === 'const' ? String(params['allowedValue']) : (params['allowedValues'] as unknown[]).join(' or ')}, not ${JSON.stringify(given)}`);
    case 'type': return problem(path, `${name} must be ${articled(params['type'])}, not ${JSON.stringify(given)?.slice(0, 60) ?? 'nothing'}`);
    case 'format': return problem(path, `${name} is no regular expression: ${String(given)}`);
    case 'pattern': return problem(path, patternMessage(name, given, String(params['pattern'])));
    case 'dependencies': return problem(path, `${String(params['property'])} needs ${String(params['deps'])} beside it`);
    case 'not': return problem(path, 'a command runs on a host or in a pod, not both');
    case 'anyOf': case 'oneOf': {
      const branches = ((keyword === 'anyOf' ? part.anyOf : part.oneOf) ?? []).map(({ required }) => required?.join(' with ')).filter((each) => each !== undefined);
      return branches.length === 0 ? undefined : problem(path, `${stepKeys(given)[0] ?? name} needs ${keyword === 'oneOf' ? 'one' : 'at least one'} of: ${branches.join(', ')}`);
    }
    case 'minLength': case 'minItems': case 'minProperties': return problem(path, `${name} is empty`);
    case 'maxLength': case 'maxItems': return problem(path, `${name} is longer than ${String(params['limit'])}`);
    case 'minimum': return problem(path, `${name} must be at least ${String(params['limit'])}`);
    case 'maximum': return problem(path, `${name} must be at most ${String(params['limit'])}`);
    default: return problem(path, `${name}: ${keyword} ${JSON.stringify(params)}`);
  }
}

const articled = (type: unknown): string => (Array.isArray(type) ? type.join(' or ') : type === 'object' ? 'a mapping' : type === 'array' ? 'a list' : type === 'string' ? 'a text' : type === 'integer' ? 'a whole number' : `a ${String(type)}`);

interface SchemaPart {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly anyOf?: readonly { readonly required?: readonly string[] }[];
  readonly oneOf?: readonly { readonly required?: readonly string[] }[];
}
function patternMessage(name: string, given: unknown, pattern: string): string {
  if (pattern === schema.definitions.duration.pattern) return `${name}: "${String(given)}" is no duration such as 30s, 1m30s or \${node-monitor-grace-period} + 10s`;
  if (pattern === schema.definitions.id.pattern) return `${name}: "${String(given)}" is no name: small letters, digits and dashes`;
  if (pattern === schema.definitions.expect.properties.condition.pattern) return `condition is written Ready or Ready=False, not "${String(given)}"`;
  return `${name}: "${String(given)}" does not match ${pattern}`;
}

const RESOURCES = new Set(allKinds.flatMap(({ plural, singular, shortNames, kind, group }) => [plural, singular, kind.toLowerCase(), ...(shortNames ?? []), ...(group === '' ? [] : [`${plural}.${group}`])]));

/** What a schema cannot say: names that mean something else in the drill, values out of bounds. */
function meaningProblems(drill: Drill, timeNames: TimeNames, problem: MakeProblem): DrillProblem[] {
  const problems: DrillProblem[] = [];
  const times: ClusterTimes = new Map([...timeNames].map((name) => [name, 0]));
  const known = { variables: new Set<string>(GIVEN_VARIABLES), ids: new Set<string>(), faults: new Set<string>(['all']), traffic: new Set<string>(), writes: new Set<string>() };
  const say = (path: Path, message: string): void => void problems.push(problem(path, message));
  const durations = (path: Path, holder: object): void => {
    for (const key of ['within', 'after', 'stays', 'for', 'timeout', 'every', 'max-gap', 'recovers-within']) {
      const text = (holder as Record<string, unknown>)[key];
      if (typeof text !== 'string') continue;
      try {
        // Times of the cluster are not known yet: only that there are such, and that the rest is within bounds.
        if (!(text.includes('${') && text.includes(' - '))) durationMs(text, times);
        for (const name of variablesIn(text)) if (!timeNames.has(name)) say([...path, key], `no time of a cluster is called "${name}"; there are ${[...timeNames].join(', ')}`);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        say([...path, key], error.message);
      }
    }
  };
  durations([], drill);
  drill.steps.forEach((step, index) => {
    const path = ['steps', index];
    durations(path, step);
    for (const [key, text] of Object.entries(step)) {
      if (['within', 'after', 'stays', 'for', 'timeout', 'every', 'max-gap'].includes(key)) continue;
      for (const text2 of typeof text === 'string' ? [text] : typeof text === 'object' ? Object.values(text as object).filter((each) => typeof each === 'string') : []) {
        for (const name of variablesIn(text2)) if (!known.variables.has(name)) say([...path, key], `no step before this one remembers "${name}"${key === 'command' || key === 'undo' || key === 'output-of' ? `; for the shell's own write $$\{${name}}` : ''}`);
      }
    }
    stepProblems(step, known, (key, message) => say([...path, key], message));
    if (step.as !== undefined) {
      if (known.ids.has(step.as)) say([...path, 'as'], `an earlier step is called ${step.as}, too`);
      if (step.as === 'all') say([...path, 'as'], '"all" means all faults');
      known.ids.add(step.as);
      if (isFault(step)) known.faults.add(step.as);
    }
    if ('remember' in step) known.variables.add(step.remember);
    if ('traffic' in step) known.traffic.add(step.traffic);
    if ('writes' in step) known.writes.add(step.writes);
  });
  if (!drill.steps.some(isFault)) say(['steps'], 'a drill breaks something: it needs a step with fault, or one with is-fault: true');
  const outside = drill.scope === 'namespace' ? drill.steps.findIndex((step) => 'fault' in step) : -1;
  if (outside >= 0) say(['steps', outside, 'fault'], 'this breaks something outside the namespace of the drill: leave out scope: namespace');
  const lastFault = drill.steps.findLastIndex(isFault);
  const checks = (step: Step): boolean => 'expect' in step || 'expect-event' in step || 'expect-traffic' in step || 'expect-writes' in step || ('command' in step && !isFault(step));
  if (lastFault >= 0 && !drill.steps.slice(drill.steps.findIndex(isFault)).some(checks)) say(['steps', lastFault], `nothing is expected after "${describeStep(drill.steps[lastFault] as Step)}": a drill that cannot fail shows nothing`);
  return problems.slice(0, MAX_PROBLEMS);
}

interface Known {
  readonly ids: ReadonlySet<string>;
  readonly faults: ReadonlySet<string>;
  readonly traffic: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
}

function stepProblems(step: Step, known: Known, say: (key: string, message: string) => void): void {
  const listed = (names: ReadonlySet<string>): string => (names.size === 0 ? 'there is none' : `there are ${[...names].join(', ')}`);
  if ('since' in step && step.since !== undefined && !known.ids.has(step.since)) say('since', `no step before this one has "as: ${step.since}"; ${listed(known.ids)}`);
  if ('heal' in step && !known.faults.has(step.heal)) say('heal', `no step before this one breaks something and has "as: ${step.heal}"; ${listed(known.faults)}`);
  if ('expect-traffic' in step && !known.traffic.has(step['expect-traffic'])) say('expect-traffic', `no step before this one starts the traffic "${step['expect-traffic']}"; ${listed(known.traffic)}`);
  if ('expect-writes' in step && !known.writes.has(step['expect-writes'])) say('expect-writes', `no step before this one starts the writes "${step['expect-writes']}"; ${listed(known.writes)}`);
  if ('expect-traffic' in step && step.since !== undefined && step.passes !== undefined && Object.keys(step).some((key) => /^(max|min)-/.test(key))) say('passes', 'passes and figures do not go together with since: make two steps');
  if ('undo' in step && step['is-fault'] !== true) say('undo', 'only a step with is-fault: true has something to undo');
  if ('path' in step && step.path !== undefined && pathSteps(step.path) === undefined) say('path', `"${step.path}" is no path: fields, [0], [*] and [?(@.type=="Ready")] are understood`);
  for (const key of ['expect', 'of', 'delete'] as const) {
    const object = (step as { readonly [Key in typeof key]?: string })[key];
    if (object === undefined || ('expect-event' in step)) continue;
    const resource = object.split('/')[0] ?? '';
    if (!resource.includes('${') && !RESOURCES.has(resource.toLowerCase())) say(key, `no resource is called "${resource}"${hint(resource)}`);
    if (object.includes('/') && 'selector' in step && step.selector !== undefined) say('selector', 'either one object by its name or several by a selector');
    if (key === 'delete' && !object.includes('/') && !('selector' in step)) say(key, 'delete needs kind/NAME, or a selector');
  }
}

function hint(resource: string): string {
  const near = nearest(resource.toLowerCase(), [...RESOURCES].filter((each): each is string => each !== undefined));
  return near === undefined ? '' : `: is ${near} meant?`;
}
