// A drill as drills/schema.json describes it, once it has been checked.

interface StepCommon {
  readonly title?: string;
  readonly as?: string;
}
interface MaybeFault {
  readonly 'is-fault'?: boolean;
}
/** Durations are texts until the cluster's times are known; see durations.ts. */
interface Timed {
  readonly within?: string;
  readonly after?: string;
  readonly since?: string;
  readonly stays?: string;
}
/** Which objects: one by name, or all of a resource. */
export interface ObjectSelection {
  readonly selector?: string;
  readonly namespace?: string;
}
interface Place {
  readonly on?: string;
  readonly in?: string;
}
export interface OutputRules {
  readonly equals?: string;
  readonly contains?: string;
  readonly matches?: string;
  readonly 'not-matches'?: string;
}
export interface ObjectRules {
  readonly exists?: boolean;
  readonly condition?: string;
  readonly path?: string;
  readonly equals?: string | number | boolean;
  readonly 'not-equals'?: string | number | boolean;
  readonly matches?: string;
  readonly 'at-least'?: number;
  readonly 'at-most'?: number;
  readonly count?: number;
  readonly 'min-count'?: number;
}
export interface EventRules {
  readonly of?: string;
  readonly message?: string;
  readonly type?: 'Normal' | 'Warning';
  readonly from?: string;
  readonly 'min-count'?: number;
}

export interface ApplyStep extends StepCommon, MaybeFault { readonly apply: string }
export interface DeleteStep extends StepCommon, MaybeFault, ObjectSelection { readonly delete: string; readonly 'grace-seconds'?: number }
export interface CommandStep extends StepCommon, MaybeFault, Place {
  readonly command: string;
  readonly exit?: number | 'nonzero' | 'any' | 'timeout';
  readonly output?: OutputRules;
  readonly timeout?: string;
  readonly within?: string;
  readonly undo?: string;
}
export interface FaultStep extends StepCommon { readonly fault: string; readonly for?: string }
export interface HealStep extends StepCommon { readonly heal: string }
export interface RememberStep extends StepCommon, ObjectSelection, Place {
  readonly remember: string;
  readonly of?: string;
  readonly path?: string;
  readonly 'output-of'?: string;
  readonly within?: string;
}
export interface ExpectStep extends StepCommon, ObjectSelection, ObjectRules, Timed { readonly expect: string }
export interface ExpectEventStep extends StepCommon, EventRules, Timed { readonly 'expect-event': string; readonly namespace?: string; readonly absent?: boolean }
export interface TrafficStep extends StepCommon { readonly traffic: string; readonly from: string; readonly to: string; readonly every?: string; readonly timeout?: string }
export interface FigureRules {
  readonly 'max-failed'?: number;
  readonly 'min-failed'?: number;
  readonly 'min-answered'?: number;
  readonly 'max-answered'?: number;
  readonly 'max-gap'?: string;
}
export interface ExpectTrafficStep extends StepCommon, Timed, FigureRules { readonly 'expect-traffic': string; readonly passes?: boolean }
export interface WritesStep extends StepCommon { readonly writes: string; readonly clients?: number; readonly every?: string; readonly timeout?: string }
export interface ExpectWritesStep extends StepCommon, Timed, Pick<FigureRules, 'max-failed' | 'min-failed' | 'max-gap'> {
  readonly 'expect-writes': string;
  readonly passes?: boolean;
  readonly 'none-lost'?: true;
  readonly 'min-acknowledged'?: number;
}
export type Step = ApplyStep | DeleteStep | CommandStep | FaultStep | HealStep | RememberStep | ExpectStep | ExpectEventStep | TrafficStep | ExpectTrafficStep | WritesStep | ExpectWritesStep;

export interface Requirements {
  readonly masters?: number;
  readonly 'max-masters'?: number;
  readonly workers?: number;
  readonly mode?: 'local' | 'compose';
  readonly root?: boolean;
  readonly 'fast-failure-detection'?: boolean;
  readonly programs?: readonly string[];
}

export interface Drill {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly experiment?: string;
  readonly requires?: Requirements;
  readonly scope?: 'namespace' | 'cluster';
  readonly timeout?: string;
  readonly 'recovers-within'?: string;
  readonly steps: readonly Step[];
}

/** What a step breaks is left out of a drill that is run without its fault. */
export const isFault = (step: Step): boolean => 'fault' in step || ('is-fault' in step && step['is-fault'] === true);

/** Whether the API servers have to take rules for it, which they do only when asked to. */
export const needsApiFaults = ({ steps }: Pick<Drill, 'steps'>): boolean => steps.some((step) => 'fault' in step && /^\s*api-fault(\s|$)/.test(step.fault));

/** Whether it looks for events outside its own namespace, where there may be some already. */
export const looksForOthersEvents = ({ steps }: Pick<Drill, 'steps'>): boolean => steps.some((step) => 'expect-event' in step && step.namespace !== undefined);

const quoted = (text: string): string => text.trim().split('\n')[0] ?? '';

/** In one line, when the author gave it no title. */
export function describeStep(step: Step): string {
  if (step.title !== undefined) return step.title;
  if ('apply' in step) return `apply ${[...step.apply.matchAll(/^kind:\s*(\S+)/gm)].map(([, kind]) => kind).join(', ')}`;
  if ('delete' in step) return `delete ${step.delete}${step.selector === undefined ? '' : ` -l ${step.selector}`}`;
  if ('command' in step) return `${step.on ?? step.in ?? ''}$ ${quoted(step.command)}`;
  if ('fault' in step) return `${step.fault}${step.for === undefined ? '' : ` for ${step.for}`}`;
  if ('heal' in step) return `heal ${step.heal}`;
  if ('remember' in step) return `remember ${step.remember}: ${step.of === undefined ? quoted(step['output-of'] ?? '') : `${step.of} ${step.path ?? ''}`}`;
  if ('expect' in step) return `${step.expect}${step.selector === undefined ? '' : ` -l ${step.selector}`} ${describeRules(step)}${describeTimes(step)}`;
  if ('expect-event' in step) return `${step.absent === true ? 'no ' : ''}event ${step['expect-event']}${step.of === undefined ? '' : ` of ${step.of}`}${describeTimes(step)}`;
  if ('traffic' in step) return `traffic ${step.traffic}: from ${step.from} to ${step.to}`;
  if ('writes' in step) return `writes ${step.writes}`;
  const [what, name, answered] = 'expect-traffic' in step ? ['traffic', step['expect-traffic'], 'passes'] : ['writes', step['expect-writes'], 'are acknowledged'];
  const figures = Object.entries(step).filter(([key]) => /^(max|min|none)-/.test(key)).map(([key, value]) => (value === true ? key : `${key} ${String(value)}`));
  return `${what} ${name} ${[...(step.passes === undefined ? [] : [step.passes ? answered : 'fail']), ...figures].join(', ')}${describeTimes(step)}`;
}

const describeTimes = ({ within, after, stays, since }: Timed): string =>
  [...(after === undefined ? [] : [` not before ${after}`]), ...(within === undefined ? [] : [` within ${within}`]), ...(stays === undefined ? [] : [` for ${stays}`]), ...(since === undefined ? [] : [` since ${since}`])].join('');

export function describeRules(rules: ObjectRules): string {
  const words: string[] = [];
  const { exists, condition, path, count } = rules;
  if (path !== undefined) words.push(path);
  if (exists !== undefined) words.push(exists ? 'is there' : 'is gone');
  if (condition !== undefined) words.push(condition);
  if (rules.equals !== undefined) words.push(`is ${String(rules.equals)}`);
  if (rules['not-equals'] !== undefined) words.push(`is not ${String(rules['not-equals'])}`);
  if (rules.matches !== undefined) words.push(`matches ${rules.matches}`);
  if (rules['at-least'] !== undefined) words.push(`>= ${rules['at-least']}`);
  if (rules['at-most'] !== undefined) words.push(`<= ${rules['at-most']}`);
  if (count !== undefined) words.push(`(${count} of them)`);
  if (rules['min-count'] !== undefined) words.push(`(at least ${rules['min-count']})`);
  return words.join(' ');
}
