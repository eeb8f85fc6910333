// What etcd promises of watches: events come in the order of revisions, each once, none is left out, all of a revision together;
// a watch resumes where it was; progress means that nothing up to there is outstanding.
// Source: etcd.io/docs/v3.6/learning/api_guarantees.
import type { Reference, StoreEvent, WatchRecord, WatchStreamRecord } from './history.ts';

export function checkWatch(watch: WatchRecord, { events, firstRevision, lastRevision }: Reference): string[] {
  const expected = events.filter(({ key, type }) => key.startsWith(watch.prefix) && !(watch.noDeletes && type === 'DELETE'));
  const problems = watch.streams.flatMap((stream, at) => checkStream(stream, expected, watch.withPrevKv, firstRevision).map((problem) => `watch ${watch.name}, stream ${at} at member ${stream.member}: ${problem}`));
  const reached = Math.max(0, ...watch.streams.flatMap(({ messages }) => messages.map(({ kind, headerRevision, events: told }) => (kind === 'events' ? told.at(-1)?.revision ?? 0 : kind === 'progress' ? headerRevision : 0))));
  const missing = expected.find(({ revision }) => revision > reached && revision <= lastRevision);
  if (watch.streams.length > 0 && missing !== undefined && missing.revision >= beginningOf(watch.streams[0] as WatchStreamRecord)) problems.push(`watch ${watch.name}: was never told of ${describe(missing)}`);
  return problems;
}

/** The first revision that the stream owes. */
const beginningOf = ({ startRevision, messages }: WatchStreamRecord): number => startRevision || (messages.find(({ kind }) => kind === 'created')?.headerRevision ?? 0) + 1;

function checkStream(stream: WatchStreamRecord, expected: readonly StoreEvent[], withPrevKv: boolean, firstRevision: number): string[] {
  const problems: string[] = [];
  const start = beginningOf(stream);
  let at = expected.findIndex(({ revision }) => revision >= start);
  if (at < 0) at = expected.length;
  let told = start - 1;
  let isOpen = false; // in the middle of a revision that comes in fragments
  for (const message of stream.messages) {
    if (message.kind === 'created') continue;
    if (message.kind === 'progress') {
      const outstanding = expected[at];
      if (outstanding !== undefined && outstanding.revision <= message.headerRevision) {
        problems.push(`progress up to ${message.headerRevision} was told before ${describe(outstanding)}`);
        return problems;
      }
      told = Math.max(told, message.headerRevision);
      continue;
    }
    const first = message.events[0]?.revision ?? 0;
    if (first < told || (first === told && !isOpen)) problems.push(`revision ${first} came after ${told}`);
    for (const event of message.events) {
      const next = expected[at];
      if (next === undefined || !isSameEvent(next, event)) {
        problems.push(`told ${describe(event)}, where ${next === undefined ? 'nothing more' : describe(next)} was to come`);
        return problems;
      }
      if (withPrevKv && next.revision > firstRevision && JSON.stringify(event.prevKv) !== JSON.stringify(next.prevKv)) problems.push(`${describe(event)} was told with ${JSON.stringify(event.prevKv)} as the value before, which was ${JSON.stringify(next.prevKv)}`);
      at += 1;
    }
    const last = message.events.at(-1)?.revision ?? 0;
    if (message.headerRevision < last) problems.push(`an answer at revision ${message.headerRevision} told revision ${last}`);
    isOpen = message.fragment;
    if (!isOpen && expected[at]?.revision === last) problems.push(`revision ${last} was told in part, without ${describe(expected[at] as StoreEvent)}`);
    told = last;
  }
  return problems;
}

const isSameEvent = (a: StoreEvent, b: StoreEvent): boolean => a.type === b.type && a.key === b.key && a.revision === b.revision && JSON.stringify(a.kv) === JSON.stringify(b.kv) && a.lease === b.lease;
const describe = ({ type, key, revision, kv }: StoreEvent): string => `${type} ${key}${kv === undefined ? '' : `=${kv.value}`} at ${revision}`;

/** Puts together what watches of everything, each staying with one member, were told; they must agree. */
export function referenceFrom(watches: readonly WatchRecord[], firstRevision: number, lastRevision: number): { reference: Reference; problems: string[] } {
  const told = watches.map((watch) => watch.streams.flatMap((stream) => stream.messages.flatMap(({ events }) => events)).filter(({ revision }) => revision >= firstRevision && revision <= lastRevision));
  const [events = []] = [...told].sort((a, b) => b.length - a.length);
  const problems: string[] = [];
  told.forEach((others, at) => {
    const different = events.findIndex((event, index) => others[index] === undefined || !isSameEvent(event, others[index]));
    if (different >= 0) problems.push(`members disagree: watch ${watches[at]?.name} was told ${others[different] === undefined ? 'nothing' : describe(others[different])} where another was told ${describe(events[different] as StoreEvent)}`);
  });
  const before = new Map<string, StoreEvent>();
  const withPrevious = events.map((event): StoreEvent => {
    const { prevKv: _, ...plain } = event;
    const previous = before.get(event.key)?.kv;
    before.set(event.key, event);
    return previous === undefined ? plain : { ...plain, prevKv: previous };
  });
  return { reference: { firstRevision, lastRevision, events: withPrevious }, problems: [...problems, ...checkVersions(withPrevious)] };
}

/** Within itself: versions count up by one, the create revision is that of version 1, and no revision is used twice for a key. */
function checkVersions(events: readonly StoreEvent[]): string[] {
  const problems: string[] = [];
  let last = 0;
  const seen = new Set<string>();
  for (const event of events) {
    const { revision, key, kv, prevKv } = event;
    if (revision < last) problems.push(`${describe(event)} came after revision ${last}`);
    if (seen.has(`${revision} ${key}`)) problems.push(`${describe(event)} came twice`);
    seen.add(`${revision} ${key}`);
    last = revision;
    if (event.type === 'DELETE' && prevKv === undefined) problems.push(`${describe(event)}: there was nothing to delete`);
    if (kv === undefined) continue;
    if (kv.modRevision !== revision || kv.version !== (prevKv?.version ?? 0) + 1 || kv.createRevision !== (prevKv?.createRevision ?? revision)) problems.push(`${describe(event)}: ${JSON.stringify(kv)} does not follow ${JSON.stringify(prevKv)}`);
  }
  return problems;
}
