import assert from 'node:assert/strict';
import { test } from 'node:test';
import { junitText } from './junit.ts';
import { laneGroups } from './lanes.ts';
import { pageOf } from './page.ts';
import type { DrillReport } from './report.ts';
import { lineOf, Timeline, type Entry } from './timeline.ts';

const TIMELINE: readonly Entry[] = [
  { atMs: 0, kind: 'node', lane: 'node/w1-k8s', state: 'Ready', text: 'is Ready', tone: 'good', isInitial: true },
  { atMs: 10, kind: 'pod', lane: 'pod/quiet', state: 'Running 1/1', text: 'is Running 1/1', tone: 'good', isInitial: true },
  { atMs: 1000, kind: 'step', lane: 'steps', text: '1/2 break it' },
  { atMs: 1000, kind: 'fault', lane: 'isolate w1-k8s', state: 'broken', text: 'isolate w1-k8s', tone: 'bad' },
  { atMs: 5000, kind: 'node', lane: 'node/w1-k8s', state: 'Unknown', text: 'is Unknown', tone: 'bad' },
  { atMs: 5100, kind: 'event', lane: 'node/w1-k8s', text: 'NodeNotReady: <b>', tone: 'plain' },
  { atMs: 6000, kind: 'missed', lane: 'steps', text: 'too late' },
  { atMs: 8000, kind: 'heal', lane: 'isolate w1-k8s', state: 'mended', text: 'isolate w1-k8s' },
];
const REPORT: DrillReport = {
  drill: 'a-drill', title: 'A <drill>', description: 'Lines\nof one paragraph.\n\nAnother.', status: 'failed', problem: 'step 2: "late" & more', isWithoutFault: false, startedAt: '2026-01-02T03:04:05.678Z', durationMs: 10_000,
  cluster: { mode: 'local', hosts: ['m-k8s', 'w1-k8s'] },
  steps: [{ number: 1, text: 'break it', status: 'done', startMs: 1000, endMs: 2000 }, { number: 2, text: 'see it', status: 'failed', startMs: 2000, endMs: 6000, detail: 'late\u0007' }, { number: 3, text: 'more', status: 'not reached' }],
  clients: [], timeline: TIMELINE, droppedEntries: 0,
};

test('states last until the next one, faults until they are mended, and pods that said nothing are not drawn', () => {
  const groups = laneGroups(REPORT);
  assert.deepEqual(groups.map(({ name, lanes }) => [name, lanes.map((lane) => lane.name)]), [['steps', ['steps']], ['broken', ['isolate w1-k8s']], ['nodes', ['node/w1-k8s']]]);
  const node = groups[2]?.lanes[0];
  assert.deepEqual(node?.spans.map(({ fromMs, toMs, label }) => [fromMs, toMs, label]), [[0, 5000, 'Ready'], [5000, 10_000, 'Unknown']]);
  assert.deepEqual(node?.moments.map(({ atMs }) => atMs), [5100]);
  assert.deepEqual(groups[1]?.lanes[0]?.spans.map(({ fromMs, toMs }) => [fromMs, toMs]), [[1000, 8000]]);
});

test('the page needs nothing else, and shows what others wrote as text', () => {
  const page = pageOf(REPORT);
  assert.doesNotMatch(page, /<b>(?!a-drill)|<drill>|https?:|<script|<link|\ssrc=/);
  assert.match(page, /A &lt;drill&gt;/);
  assert.match(page, /Lines of one paragraph\.\n\nAnother\./);
  assert.match(page, /<svg /);
  assert.match(page, /NOT SO: too late/);
  assert.match(page, /prefers-color-scheme: dark/);
  assert.doesNotMatch(page, /NaN|undefined/);
});

test('JUnit counts failures, errors and what was skipped, in XML that can be read', () => {
  const text = junitText([REPORT, { ...REPORT, drill: 'other', status: 'skipped', problem: 'needs 3 masters', steps: [] }, { ...REPORT, drill: 'third', status: 'error', problem: 'no cluster', steps: [] }]);
  assert.match(text, /<testsuites name="kubreak drills" tests="5" failures="1" errors="1" skipped="2" /);
  assert.match(text, /<failure message="late\ufffd"\/>/);
  assert.match(text, /<skipped message="needs 3 masters"\/>/);
  assert.match(text, /<error message="no cluster"\/>/);
  assert.match(text, /timestamp="2026-01-02T03:04:05"/);
});

test('a state that is told again is no entry, and a flood of entries is counted, not kept', () => {
  const heard: Entry[] = [];
  const timeline = new Timeline(() => 5, (entry) => heard.push(entry));
  for (const state of ['a', 'a', 'b', 'a']) timeline.change({ kind: 'node', lane: 'x', state, text: state });
  assert.deepEqual(heard.map(({ state }) => state), ['a', 'b', 'a']);
  for (let count = 0; count < 20_000; count += 1) timeline.add({ kind: 'note', lane: 'x', text: 'y' });
  assert.deepEqual([timeline.entries.length, timeline.dropped], [20_000, 3]);
});

test('lines of a terminal say what is a step, a fault and a voice of the cluster', () => {
  assert.deepEqual(TIMELINE.slice(2).map(lineOf), [
    '    1.0s  1/2 break it', '    1.0s  * BROKEN: isolate w1-k8s', '    5.0s    | node/w1-k8s is Unknown', '    5.1s    | node/w1-k8s NodeNotReady: <b>',
    '    6.0s    NOT SO: too late', '    8.0s  * mended: isolate w1-k8s',
  ]);
});
