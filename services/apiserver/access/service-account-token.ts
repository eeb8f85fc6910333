// JSON web tokens of service accounts: signing, checking a signature, claims.
// Source: pkg/serviceaccount (claims.go, jwt.go), Kubernetes 1.36; RFC 7515, 7518, 7519.
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

export interface ObjectReference {
  readonly name: string;
  readonly uid: string;
}

export interface BoundClaims {
  readonly namespace: string;
  readonly serviceaccount: ObjectReference;
  readonly pod?: ObjectReference;
  readonly secret?: ObjectReference;
  readonly node?: { readonly name: string; readonly uid?: string };
  /** Seconds since the epoch. */
  readonly warnafter?: number;
}

export interface TokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: readonly string[];
  /** Seconds since the epoch. */
  readonly exp: number;
  readonly iat: number;
  readonly nbf: number;
  readonly jti: string;
  readonly 'kubernetes.io': BoundClaims;
}

/** Claims of the tokens that secrets of type kubernetes.io/service-account-token hold; these never expire. */
export interface SecretTokenClaims {
  readonly iss: typeof SECRET_TOKEN_ISSUER;
  readonly sub: string;
  readonly 'kubernetes.io/serviceaccount/namespace': string;
  readonly 'kubernetes.io/serviceaccount/secret.name': string;
  readonly 'kubernetes.io/serviceaccount/service-account.name': string;
  readonly 'kubernetes.io/serviceaccount/service-account.uid': string;
}

export const SECRET_TOKEN_ISSUER = 'kubernetes/serviceaccount';

export interface VerificationKey {
  readonly id: string;
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
}
export interface SigningKey extends VerificationKey {
  readonly privateKey: KeyObject;
}
export type Algorithm = 'RS256' | 'ES256' | 'ES384' | 'ES512';

/** Public or private keys in PEM. The id is upstream's: SHA-256 of the public key. */
export function verificationKeys(pem: string): VerificationKey[] {
  const blocks = pem.match(/-----BEGIN (?:[A-Z]+ )*(?:PUBLIC KEY|PRIVATE KEY|CERTIFICATE)-----[^-]+-----END [A-Z ]+-----/g) ?? [];
  return blocks.map((block) => verificationKey(createPublicKey(block)));
}

function verificationKey(key: KeyObject): VerificationKey {
  const der = key.export({ type: 'spki', format: 'der' });
  return { id: createHash('sha256').update(der).digest('base64url'), algorithm: algorithmOf(key), key };
}

export function signingKey(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem);
  return { ...verificationKey(createPublicKey(privateKey)), privateKey };
}

function algorithmOf(key: KeyObject): Algorithm {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  switch (key.asymmetricKeyDetails?.namedCurve) {
    case 'prime256v1': return 'ES256';
    case 'secp384r1': return 'ES384';
    case 'secp521r1': return 'ES512';
    default: throw new Error(`cannot sign tokens with a key of type ${key.asymmetricKeyType ?? 'unknown'}`);
  }
}

const HASH: Readonly<Record<Algorithm, string>> = { RS256: 'sha256', ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' };
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export function signToken(claims: TokenClaims | SecretTokenClaims, { id, algorithm, privateKey }: SigningKey): string {
  const content = `${encode({ alg: algorithm, kid: id })}.${encode(claims)}`;
  const signature = sign(HASH[algorithm], Buffer.from(content), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${content}.${signature.toString('base64url')}`;
}

/** Claims of a token, not checked in any way; undefined for what is no JWT. */
export function readClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? claims as Record<string, unknown> : undefined;
  } catch {
    return undefined; // not ours: another kind of token
  }
}

/** True when one of the keys has signed the token. */
export function hasValidSignature(token: string, keys: readonly VerificationKey[]): boolean {
  const at = token.lastIndexOf('.');
  const content = Buffer.from(token.slice(0, at));
  const signature = Buffer.from(token.slice(at + 1), 'base64url');
  const header = readHeader(token);
  const matching = keys.filter(({ id }) => id === header?.kid);
  return (matching.length > 0 ? matching : keys).some(({ key, algorithm }) =>
    header?.alg === algorithm && verify(HASH[algorithm], content, { key, dsaEncoding: 'ieee-p1363' }, signature));
}

function readHeader(token: string): { readonly alg?: string; readonly kid?: string } | undefined {
  try {
    return JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('utf8')) as { alg?: string; kid?: string };
  } catch {
    return undefined;
  }
}

/** The document at /openid/v1/jwks. */
export function jsonWebKeySet(keys: readonly VerificationKey[]): object {
  return { keys: keys.map(({ id, algorithm, key }) => ({ use: 'sig', kid: id, alg: algorithm, ...key.export({ format: 'jwk' }) })) };
}

export const serviceAccountUserName = (namespace: string, name: string): string => `system:serviceaccount:${namespace}:${name}`;
export const serviceAccountGroups = (namespace: string): string[] => ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];

/** Namespace and name of a service account by its user name. */
export function splitServiceAccountUserName(userName: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace, name] = /^system:serviceaccount:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?):([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)$/.exec(userName) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}
