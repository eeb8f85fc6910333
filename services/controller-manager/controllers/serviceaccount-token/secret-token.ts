// The tokens that Secrets of type kubernetes.io/service-account-token hold: without expiry, bound to their Secret by name.
// Source: pkg/serviceaccount/legacy.go and jwt.go.
import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';

export interface TokenSigner {
  readonly sign: (claims: Readonly<Record<string, string>>) => string;
}

const ES_ALGORITHMS: Readonly<Record<string, readonly [string, string]>> = { prime256v1: ['ES256', 'sha256'], secp384r1: ['ES384', 'sha384'], secp521r1: ['ES512', 'sha512'] };

/** Throws for a key that is neither RSA nor a NIST curve. */
export function tokenSigner(privateKeyPem: string): TokenSigner {
  const key = createPrivateKey(privateKeyPem);
  const [algorithm, hash] = algorithmOf(key);
  const kid = createHash('sha256').update(createPublicKey(key).export({ type: 'spki', format: 'der' })).digest('base64url');
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return {
    sign: (claims) => {
      const content = `${encode({ alg: algorithm, kid })}.${encode(claims)}`;
      return `${content}.${sign(hash, Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    },
  };
}

function algorithmOf(key: KeyObject): readonly [string, string] {
  if (key.asymmetricKeyType === 'rsa') return ['RS256', 'sha256'];
  const known = ES_ALGORITHMS[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (!known) throw new Error(`cannot sign tokens with a key of type ${key.asymmetricKeyType ?? 'unknown'}`);
  return known;
}

export function secretTokenClaims(account: { readonly namespace: string; readonly name: string; readonly uid: string }, secretName: string): Record<string, string> {
  return {
    iss: 'kubernetes/serviceaccount',
    'kubernetes.io/serviceaccount/namespace': account.namespace,
    'kubernetes.io/serviceaccount/secret.name': secretName,
    'kubernetes.io/serviceaccount/service-account.name': account.name,
    'kubernetes.io/serviceaccount/service-account.uid': account.uid,
    sub: `system:serviceaccount:${account.namespace}:${account.name}`,
  };
}
