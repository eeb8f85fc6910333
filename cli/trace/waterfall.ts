// A story as text: one line a step, below each other in the order of time, what follows from what set in.
import type { Step, Story, StoryObject } from './story.ts';

export interface WaterfallOptions {
  readonly columns: number;
  readonly color: boolean;
}

const LEAST_COLUMNS = 80;
/** A silence that is worth a line; milliseconds. */
const SILENCE_MS = 5_000;
const STEP_WIDTH = 3;
const TIME_WIDTH = 10;
const VERSION_WIDTH = 8;
const DELAY_WIDTH = 10;

const SHORT_NAMES: Readonly<Record<string, string>> = {
  'kube-apiserver': 'apiserver', 'kube-controller-manager': 'controller-manager', 'kube-scheduler': 'scheduler',
};

const paint = (color: boolean, code: number, text: string): string => (color && text !== '' ? `\u001B[${code}m${text}\u001B[0m` : text);

/** `12.3 ms`; `1.23 s` from `secondsFromMs` on; `3m12s`. */
export function timeText(ms: number, secondsFromMs = 10_000): string {
  if (Math.abs(ms) < secondsFromMs) return `${ms.toFixed(1)} ms`;
  if (Math.abs(ms) < 120_000) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
}

const plural = ({ resource, namespace, name }: StoryObject): string => `${resource.split('/').at(-1) ?? resource}/${name}${namespace === undefined ? '' : ` in ${namespace}`}`;

export function heading({ subject, objects, steps, earlier }: Story): string[] {
  const first = steps[0]?.atMs;
  const others = (relation: StoryObject['relation']): string[] => objects.filter((one) => one.relation === relation).map(({ resource, name }) => `${resource.split('/').at(-1) ?? ''}/${name}`);
  const line = (title: string, names: readonly string[]): string[] => (names.length === 0 ? [] : [`${title}: ${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`]);
  return [
    `${plural(subject)}, uid ${subject.uid}${first === undefined ? '' : `, from ${new Date(first).toISOString()}`}`,
    ...(earlier > 0 ? [`${earlier} earlier of that name ${earlier === 1 ? 'is' : 'are'} left out`] : []),
    ...line('because of', others('cause')), ...line('with', others('descendant')), ...line('endpoint in', others('endpoints')), ...line('on', others('node')),
  ];
}

/** Words of a text in lines of a width; a word that is longer is cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    let rest = word;
    if (line !== '' && line.length + 1 + rest.length > width) {
      lines.push(line);
      line = '';
    }
    while (rest.length > width) {
      const room = line === '' ? width : width - line.length - 1;
      lines.push(line === '' ? rest.slice(0, room) : `${line} ${rest.slice(0, room)}`);
      line = '';
      rest = rest.slice(room);
    }
    line = line === '' ? rest : `${line} ${rest}`;
  }
  return [...lines, line];
}

export function waterfall(story: Story, { columns, color }: WaterfallOptions): string {
  const { steps } = story;
  const width = Math.max(LEAST_COLUMNS, columns);
  const hostWidth = Math.max(4, ...steps.map(({ host }) => host.length)) + 1;
  const whoWidth = Math.max(9, ...steps.map(({ component, depth }) => nameOf(component).length + 2 * depth)) + 1;
  const whatWidth = Math.max(20, width - STEP_WIDTH - TIME_WIDTH - 1 - hostWidth - whoWidth - VERSION_WIDTH - DELAY_WIDTH);
  const row = (number: string, time: string, host: string, who: string, what: string, version: string, delay: string): string =>
    `${number.padEnd(STEP_WIDTH)}${time.padStart(TIME_WIDTH)} ${host.padEnd(hostWidth)}${who.padEnd(whoWidth)}${what.padEnd(whatWidth)}${version.padStart(VERSION_WIDTH)}${delay.padStart(DELAY_WIDTH)}`.trimEnd();

  const startMs = steps[0]?.atMs ?? 0;
  const lines = [...heading(story), '', paint(color, 1, row('', 'time', 'host', 'who', 'what', 'version', 'delay'))];
  let quietSinceMs = startMs;
  for (const step of steps) {
    if (step.depth === 0 && step.atMs - quietSinceMs > SILENCE_MS) lines.push(paint(color, 2, `${' '.repeat(STEP_WIDTH)}${'···'.padStart(TIME_WIDTH)} nothing for ${timeText(step.atMs - quietSinceMs)}`));
    const [first = '', ...more] = wrap(textOf(step), whatWidth - 1);
    const number = step.step === undefined ? '' : `(${step.step})`;
    const version = step.resourceVersionWritten ?? (step.depth === 0 && step.resourceVersionRead !== undefined ? `<${step.resourceVersionRead}` : '');
    const line = row(number, timeText(step.atMs - startMs), step.host, `${'  '.repeat(step.depth)}${nameOf(step.component)}`, first, version, step.delayMs === undefined ? '' : `+${timeText(Math.max(0, step.delayMs), 1_000).replace(' ', '')}`);
    const code = step.error !== undefined ? 31 : step.depth === 0 ? 36 : 0;
    lines.push(...[line, ...more.map((rest) => `${' '.repeat(STEP_WIDTH + TIME_WIDTH + 1 + hostWidth + whoWidth)}${rest}`)].map((one) => (code === 0 ? one : paint(color, code, one))));
    quietSinceMs = Math.max(quietSinceMs, step.atMs + step.durationMs);
  }
  return `${lines.join('\n')}\n`;
}

const nameOf = (component: string): string => SHORT_NAMES[component] ?? component;

function textOf({ what, error }: Step): string {
  return error === undefined ? what : `${what}: ${error}`;
}
