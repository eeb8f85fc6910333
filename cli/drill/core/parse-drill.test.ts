import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TIME_NAMES } from './cluster-times.ts';
import { needsApiFaults } from './drill.ts';
import { parseDrill } from './parse-drill.ts';

const HEAD = 'name: a-drill\ntitle: A drill\ndescription: What one sees.\n';
const STEPS = 'steps:\n  - fault: kill etcd\n  - expect: pods\n    count: 1\n';
const problemsOf = (text: string): string[] => (parseDrill(text, TIME_NAMES).problems ?? []).map(({ line, column, message }) => `${line}:${column}: ${message}`);

test('a drill that is one has no problems', () => {
  assert.deepEqual(problemsOf(HEAD + STEPS), []);
});

test('every shipped drill is one, named as its file', () => {
  const folder = new URL('../../../drills/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  assert.ok(files.length >= 10);
  for (const file of files) {
    const text = readFileSync(new URL(file, folder), 'utf8');
    assert.deepEqual(problemsOf(text).map((problem) => `${file}:${problem}`), []);
    assert.equal(parseDrill(text, TIME_NAMES).drill?.name, file.replace(/\.yaml$/, ''));
    assert.match(text, /^# yaml-language-server: \$schema=\.\/schema\.json\n/, `editors do not check ${file}`);
  }
});

test('what is wrong is told with its place, and with what was meant', () => {
  const wrong: readonly (readonly [steps: string, problem: string])[] = [
    ['- aply: x', '5:5: no step is called "aply": is apply meant?'],
    ['- title: nothing', '5:5: a step has one of the keys apply, delete, command, fault, heal, remember, expect, expect-event, traffic, expect-traffic, writes, expect-writes'],
    ['- expect: pods\n    conditon: Ready\n    count: 1', '6:5: a step with expect has no key "conditon": is condition meant?'],
    ['- fault: kill etcd\n    heal: x', '6:5: a step does one thing: this one has fault and heal'],
    ['- expect: pods', '5:5: expect needs at least one of: exists, condition, path with equals, path with not-equals, path with matches, path with at-least, path with at-most, count, min-count'],
    ['- expect: pods\n    count: many', '6:12: count must be a whole number, not "many"'],
    ['- expect: pods\n    count: -1', '6:12: count must be at least 0'],
    ['- expect: pods\n    count: 1\n    within: 30 s', '7:13: within: "30 s" is no duration such as 30s, 1m30s or ${node-monitor-grace-period} + 10s'],
    ['- expect: pods\n    count: 1\n    within: 2h', '7:13: "2h" is 7200 s: a duration of a drill is between 0 and 1h'],
    ['- expect: pods\n    count: 1\n    within: ${grace} + 10s', '7:13: no time of the cluster is called "grace"'],
    ['- expect: pdos\n    count: 1', '5:13: no resource is called "pdos": is pods meant?'],
    ['- expect: pod/a\n    condition: Ready=Maybe', '6:16: condition is written Ready or Ready=False, not "Ready=Maybe"'],
    ['- expect: pod/a\n    path: .status..x\n    equals: 1', '6:11: ".status..x" is no path'],
    ['- expect: pod/a\n    path: .x\n    matches: "["', '7:14: matches is no regular expression: ['],
    ['- command: echo ${who}', '5:14: no step before this one remembers "who"; for the shell\'s own write $${who}'],
    ['- heal: nothing', '5:11: no step before this one breaks something and has "as: nothing"; there are all'],
    ['- expect-traffic: visitors\n    passes: true', '5:21: no step before this one starts the traffic "visitors"; there is none'],
    ['- expect: pods\n    count: 1\n    since: cut', '7:12: no step before this one has "as: cut"; there is none'],
    ['- command: x\n    on: w1-k8s\n    in: pod/a', '5:5: a command runs on a host or in a pod, not both'],
    ['- command: x\n    undo: y', '5:5: undo needs is-fault beside it'],
    ['- delete: pods', '5:13: delete needs kind/NAME, or a selector'],
    ['- expect-event: X\n    absent: true', '5:5: absent needs stays beside it'],
  ];
  for (const [steps, problem] of wrong) {
    const problems = problemsOf(`${HEAD}steps:\n  ${steps}\n  - fault: kill etcd\n  - expect: pods\n    count: 1\n`);
    assert.equal(problems.length, 1, `${steps}: ${problems.join(' | ')}`);
    assert.ok(problems[0]?.startsWith(problem), `${steps}: ${problems[0] ?? ''}`);
  }
});

test('texts that are no drill at all are refused', () => {
  assert.match(problemsOf('- a\n- b\n').join(), /^1:1: a drill is a mapping/);
  assert.match(problemsOf(`${HEAD}name: twice\n${STEPS}`).join(), /^4:1: .*unique/);
  assert.match(problemsOf('a: [\n').join(), /^2:1: /);
  assert.match(problemsOf(`# ${'x'.repeat(300_000)}`).join(), /at most 256 KiB/);
  assert.match(problemsOf(`a: &a [x]\nb: &b [${'*a,'.repeat(200)}]\nc: [${'*b,'.repeat(200)}]\n`).join(), /alias/);
});

test('a drill that cannot fail is refused', () => {
  assert.match(problemsOf(`${HEAD}steps:\n  - expect: pods\n    count: 1\n`).join(), /^5:3: a drill breaks something/);
  assert.match(problemsOf(`${HEAD}steps:\n  - expect: pods\n    count: 1\n  - fault: kill etcd\n`).join(), /^7:5: nothing is expected after "kill etcd"/);
});

test('a drill that says it stays in its own namespace has no levers', () => {
  assert.match(problemsOf(`${HEAD}scope: namespace\n${STEPS}`).join(), /^6:12: this breaks something outside the namespace of the drill/);
});

test('a drill in which the API servers misbehave by rules is known by its faults', () => {
  const needs = (fault: string): boolean => needsApiFaults({ steps: [{ fault }] });
  assert.deepEqual(['api-fault add --status 500', 'api-fault --status 500', 'kill api-faulty', 'partition api-fault w1-k8s'].map(needs), [true, true, false, false]);
});
