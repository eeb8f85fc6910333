import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { test } from 'node:test';
import type { Secret } from '#lib/kinds/types/core-v1.ts';
import { missingFrom } from './controller.ts';
import { tokenSigner } from './secret-token.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signer = tokenSigner(privateKey.export({ type: 'pkcs1', format: 'pem' }) as string);
const account = { namespace: 'default', name: 'robot', uid: 'u1' };
const secret: Secret = { metadata: { name: 'robot-token', namespace: 'default', annotations: { 'kubernetes.io/service-account.name': 'robot' } }, type: 'kubernetes.io/service-account-token' };

test('a token secret gets token, authority, namespace and the uid of its account', () => {
  const filled = missingFrom(secret, account, { signer, rootCaPem: 'CA' });
  assert.deepEqual(filled?.annotations, { 'kubernetes.io/service-account.name': 'robot', 'kubernetes.io/service-account.uid': 'u1' });
  const text = (key: string): string => Buffer.from(filled?.data?.[key] ?? '', 'base64').toString();
  assert.deepEqual([text('ca.crt'), text('namespace')], ['CA', 'default']);
  const [header = '', claims = '', signature = ''] = text('token').split('.');
  assert.equal(verify('sha256', Buffer.from(`${header}.${claims}`), createPublicKey(privateKey), Buffer.from(signature, 'base64url')), true);
  assert.deepEqual(JSON.parse(Buffer.from(claims, 'base64url').toString()), {
    iss: 'kubernetes/serviceaccount', 'kubernetes.io/serviceaccount/namespace': 'default', 'kubernetes.io/serviceaccount/secret.name': 'robot-token',
    'kubernetes.io/serviceaccount/service-account.name': 'robot', 'kubernetes.io/serviceaccount/service-account.uid': 'u1', sub: 'system:serviceaccount:default:robot',
  });
});

test('a filled secret needs nothing', () => {
  const { data, annotations } = missingFrom(secret, account, { signer, rootCaPem: 'CA' }) ?? assert.fail();
  assert.equal(missingFrom({ ...secret, metadata: { ...secret.metadata, annotations }, data }, account, { signer, rootCaPem: 'CA' }), undefined);
});
