import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { hasContext, withContext, withCurrentContext, withoutContext } from './kubeconfig-merge.ts';
import { UserError } from './user-error.ts';

const OTHERS = `# mine
apiVersion: v1
kind: Config
clusters:
- cluster: {server: https://work.example}
  name: work
contexts:
- context: {cluster: work, user: me, namespace: team}
  name: work
current-context: work
users:
- name: me
  user: {token: abc}
preferences: {colors: true}
`;
const parts = { cluster: { server: 'https://127.0.0.1:6443' }, user: { 'client-key-data': 'a2V5' } };

test('the context comes beside the others, which stay as they are', () => {
  const merged = withContext(OTHERS, 'f', parts);
  assert.match(merged, /^# mine\n/);
  const { clusters, contexts, users, ...rest } = parse(merged) as Record<string, { name: string }[]>;
  assert.deepEqual(rest, { apiVersion: 'v1', kind: 'Config', 'current-context': 'work', preferences: { colors: true } });
  assert.deepEqual(clusters, [{ cluster: { server: 'https://work.example' }, name: 'work' }, { cluster: parts.cluster, name: 'kubreak' }]);
  assert.deepEqual(contexts?.map(({ name }) => name), ['work', 'kubreak']);
  assert.deepEqual(users?.map(({ name }) => name), ['me', 'kubreak']);
});

test('a second time it replaces its own entries, and without it the file is as before', () => {
  const once = withContext(OTHERS, 'f', parts);
  const twice = withContext(once, 'f', { ...parts, cluster: { server: 'https://127.0.0.1:7443' } });
  assert.ok(hasContext(twice, 'f'));
  assert.equal(twice, once.replace('127.0.0.1:6443', '127.0.0.1:7443'));
  assert.deepEqual(parse(withoutContext(twice, 'f')), parse(OTHERS));
});

test('an empty file becomes a kubeconfig', () => {
  const text = withCurrentContext(withContext('', 'f', parts), 'f', 'kubreak');
  assert.equal((parse(text) as { 'current-context': string })['current-context'], 'kubreak');
  assert.equal((parse(text) as { kind: string }).kind, 'Config');
});

test('what is no kubeconfig is left alone', () => {
  assert.throws(() => withContext('a: [', '/x/config', parts), new UserError('/x/config is not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 5:'));
  assert.throws(() => withContext('- 1', '/x/config', parts), new UserError('/x/config is not a kubeconfig'));
});
