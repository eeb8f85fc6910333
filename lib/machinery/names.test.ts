import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asPrefix, configKeyProblems, dnsLabelProblems, dnsSubdomainProblems, environmentNameProblems, labelValueProblems, pathSegmentProblems, portNameProblems, qualifiedNameProblems } from './names.ts';

const LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

for (const [what, check, value, problems] of [
  ['label', dnsLabelProblems, 'web-0', []],
  ['label', dnsLabelProblems, 'Web', [LABEL]],
  ['label', dnsLabelProblems, 'a.b', ['must not contain dots']],
  ['label', dnsLabelProblems, `${'a'.repeat(62)}.b`, ['must be no more than 63 characters', 'must not contain dots']],
  ['subdomain', dnsSubdomainProblems, 'a.b-c', []],
  ['subdomain', dnsSubdomainProblems, 'a_b', [SUBDOMAIN]],
  ['label key', qualifiedNameProblems, 'app.kubernetes.io/name', []],
  ['label key', qualifiedNameProblems, '/name', ['prefix part must be non-empty']],
  ['label key', qualifiedNameProblems, `a/${'b'.repeat(64)}`, ['name part must be no more than 63 bytes']],
  ['label value', labelValueProblems, '', []],
  ['label value', labelValueProblems, 'x'.repeat(64), ['must be no more than 63 bytes']],
  ['port name', portNameProblems, 'http', []],
  ['port name', portNameProblems, '80', ['must contain at least one letter (a-z)']],
  ['port name', portNameProblems, '-a--b', ['must not contain consecutive hyphens', 'must not begin or end with a hyphen']],
  ['config key', configKeyProblems, '..a', ["must not start with '..'"]],
  ['environment name', environmentNameProblems, 'A=B', ["a valid environment variable name must consist only of printable ASCII characters other than '='"]],
  ['environment name', environmentNameProblems, '1-odd name', []],
  ['path segment', pathSegmentProblems, 'a/b%', ["may not contain '/'", "may not contain '%'"]],
] as const) {
  test(`the ${what} ${JSON.stringify(value.slice(0, 20))} has ${problems.length} problems`, () => {
    assert.deepEqual(check(value), problems);
  });
}

test('a generateName may end in a dash', () => {
  assert.deepEqual(asPrefix(dnsSubdomainProblems)('web-'), []);
});
