// The entries of a timeline as lanes to be drawn: states that last, and moments.
import type { DrillReport } from './report.ts';
import type { Entry, Tone } from './timeline.ts';

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly label: string;
  readonly text: string;
  readonly tone: Tone;
}
export interface Moment {
  readonly atMs: number;
  readonly text: string;
  readonly tone: Tone;
}
export interface Lane {
  readonly name: string;
  readonly spans: readonly Span[];
  readonly moments: readonly Moment[];
}
export interface LaneGroup {
  readonly name: string;
  readonly lanes: readonly Lane[];
}

const GROUPS: readonly { readonly name: string; readonly holds: (entry: Entry) => boolean }[] = [
  { name: 'broken', holds: ({ kind }) => kind === 'fault' || kind === 'heal' },
  { name: 'clients', holds: ({ kind }) => kind === 'traffic' },
  { name: 'API server and leaders', holds: ({ kind }) => kind === 'api' || kind === 'lease' },
  { name: 'nodes', holds: ({ lane }) => lane.startsWith('node/') },
  { name: 'pods', holds: ({ lane }) => lane.startsWith('pod/') },
  { name: 'other objects', holds: ({ kind }) => kind === 'event' },
];
/** Lanes of a group beyond these are left out: a page is for reading. */
const MAX_LANES = 40;

export function laneGroups({ steps, timeline, durationMs }: Pick<DrillReport, 'steps' | 'timeline' | 'durationMs'>): LaneGroup[] {
  const drawn = steps.filter(({ startMs }) => startMs !== undefined);
  const spans = drawn.map(({ number, text, status, startMs = 0, endMs = durationMs, detail = '' }): Span => ({
    fromMs: startMs, toMs: endMs, label: String(number), text: `${number}. ${text}${detail === '' ? '' : `: ${detail}`}`, tone: status === 'done' ? 'good' : status === 'left out' ? 'plain' : 'bad',
  }));
  const groups: LaneGroup[] = [{ name: 'steps', lanes: [{ name: 'steps', spans, moments: [] }] }];
  const left = timeline.filter(({ lane }) => lane !== 'steps');
  for (const { name, holds } of GROUPS) {
    const names = [...new Set(left.filter(holds).map(({ lane }) => lane))];
    const lanes = names.filter((lane) => !groups.some((group) => group.lanes.some((each) => each.name === lane)))
      .map((lane) => laneOf(lane, left.filter((entry) => entry.lane === lane), durationMs)).filter(isWorthwhile);
    if (lanes.length > 0) groups.push({ name, lanes: lanes.slice(0, MAX_LANES) });
  }
  return groups;
}

function laneOf(name: string, entries: readonly Entry[], durationMs: number): Lane {
  const spans: Span[] = [];
  const moments: Moment[] = [];
  const states = entries.filter(({ state }) => state !== undefined && state !== 'mended');
  for (const entry of entries) {
    if (entry.state === undefined) moments.push({ atMs: entry.atMs, text: entry.text, tone: entry.tone ?? 'plain' });
    if (entry.state === undefined || entry.state === 'mended' || entry.state === 'gone') continue;
    const next = entries.find((other) => other.state !== undefined && (other.atMs > entry.atMs || entries.indexOf(other) > entries.indexOf(entry)));
    const isFirst = states[0] === entry && entry.isInitial === true;
    spans.push({ fromMs: isFirst ? 0 : entry.atMs, toMs: next?.atMs ?? durationMs, label: entry.state, text: `${name} ${entry.text}`, tone: entry.tone ?? 'plain' });
  }
  return { name, spans, moments };
}

/** What was well all the time and said nothing is left out, but for nodes and the control plane. */
const isWorthwhile = ({ name, spans, moments }: Lane): boolean => !name.startsWith('pod/') || moments.length > 0 || spans.length > 1 || spans.some(({ tone }) => tone !== 'good');
