import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everything, FieldSelector, labelSelector, labelSelectorText, matchesNodeSelectorTerm, nothing, parseFieldSelector, parseLabelSelector, podAllowsNode } from './selectors.ts';

const labels = { app: 'web', tier: 'front', size: '12', empty: '' };

for (const [text, expected] of [
  ['', true], ['app=web', true], ['app==web', true], ['app = web , tier=front', true], ['app!=web', false], ['app', true], ['!app', false],
  ['!other', true], ['app in (web,api)', true], ['app notin (web)', false], ['other notin (web)', true], ['other!=x', true], ['other=x', false],
  ['size>11', true], ['size>12', false], ['size<13', true], ['app>1', false], ['in in (in)', false], ['empty=', true], ['empty in (,x)', true],
] as const) {
  test(`the label selector "${text}" ${expected ? 'matches' : 'does not match'}`, () => {
    assert.equal(parseLabelSelector(text).matches(labels), expected);
  });
}

const QUALIFIED = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
for (const [text, message] of [
  ['app=web,', "found '', expected: identifier after ','"],
  [',app', "found ',', expected: !, identifier, or 'end of string'"],
  ['app web', "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt"],
  ['app in web', "unable to parse requirement: found 'web' expected: '('"],
  ['app in (web', "unable to parse requirement: found '', expected: ',' or ')'"],
  ['!app=web', "found '=', expected: ',' or 'end of string'"],
  ['app==(', "unable to parse requirement: found '(', expected: identifier"],
  ['a@b=c', `unable to parse requirement: <nil>: Invalid value: "a@b": ${QUALIFIED}`],
  ['size>x', `unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer`],
] as const) {
  test(`the label selector "${text}" is refused in upstream's words`, () => {
    assert.throws(() => parseLabelSelector(text), { name: 'SelectorError', message });
  });
}

test('a label selector is written with sorted keys and values', () => {
  assert.equal(parseLabelSelector('z in (b,a),!y,x,w!=1').toString(), 'w!=1,x,!y,z in (a,b)');
});

test('an absent LabelSelector selects nothing and an empty one everything', () => {
  assert.equal(labelSelector(undefined), nothing);
  assert.equal(nothing.matches({}), false);
  assert.equal(labelSelector({}), everything);
  assert.equal(everything.matches(undefined), true);
});

test('matchLabels and matchExpressions must all hold', () => {
  const selector = labelSelector({ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['front', 'back'] }, { key: 'x', operator: 'DoesNotExist' }] });
  assert.equal(selector.matches(labels), true);
  assert.equal(selector.matches({ app: 'web' }), false);
});

test('a LabelSelector is shown as kubectl shows it', () => {
  assert.equal(labelSelectorText({ matchLabels: { b: '2', a: '1' } }), 'a=1,b=2');
  assert.equal(labelSelectorText({ matchExpressions: [{ key: 'a', operator: 'In', values: ['1'] }] }), 'a in (1)');
  assert.equal(labelSelectorText({}), '<none>');
});

test('a key such as "constructor" is no label of an object without labels', () => {
  assert.equal(parseLabelSelector('constructor').matches({}), false);
});

test('a field selector compares texts and knows the escapes', () => {
  const selector = parseFieldSelector('status.phase=Running,spec.nodeName!=w1-k8s');
  const fields: Record<string, string> = { 'status.phase': 'Running', 'spec.nodeName': 'w2-k8s' };
  assert.equal(selector.matches((field) => fields[field] ?? ''), true);
  assert.equal(selector.exactValue('status.phase'), 'Running');
  assert.equal(selector.exactValue('spec.nodeName'), undefined);
  assert.deepEqual(parseFieldSelector('a=x\\,y').terms, [{ field: 'a', operator: '=', value: 'x,y' }]);
  assert.equal(new FieldSelector([{ field: 'a', operator: '=', value: 'x,y' }]).toString(), 'a=x\\,y');
  assert.throws(() => parseFieldSelector('metadata.name'), { message: "invalid selector: 'metadata.name'; can't understand 'metadata.name'" });
});

const node = { metadata: { name: 'w1-k8s', labels: { disk: 'ssd', cores: '4' } }, spec: {} };
for (const [operator, key, values, expected] of [
  ['In', 'disk', ['ssd'], true], ['NotIn', 'disk', ['ssd'], false], ['NotIn', 'other', ['ssd'], true], ['Exists', 'disk', [], true],
  ['DoesNotExist', 'disk', [], false], ['Gt', 'cores', ['3'], true], ['Lt', 'cores', ['4'], false], ['Gt', 'disk', ['3'], false],
] as const) {
  test(`node affinity ${key} ${operator} [${values.join()}] is ${expected}`, () => {
    assert.equal(matchesNodeSelectorTerm({ matchExpressions: [{ key, operator, values: [...values] }] }, node), expected);
  });
}

test('an empty node selector term matches no node', () => {
  assert.equal(matchesNodeSelectorTerm({}, node), false);
});

test('nodeSelector and required affinity must both allow a node', () => {
  const pod = { metadata: { name: 'p' }, spec: { containers: [], nodeSelector: { disk: 'ssd' } } };
  assert.equal(podAllowsNode(pod, node), true);
  const term = { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['w2-k8s'] }] };
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } } };
  assert.equal(podAllowsNode({ ...pod, spec: { ...pod.spec, affinity } }, node), false);
});
