// Users by service account token: signature, issuer, time, audience, and that what the token is bound to still exists.
// Source: pkg/serviceaccount/claims.go, legacy.go, Kubernetes 1.36.
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import type { User } from '../core/access.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import {
  hasValidSignature, readClaims, SECRET_TOKEN_ISSUER, serviceAccountGroups, serviceAccountUserName,
  type BoundClaims, type SecretTokenClaims, type TokenClaims, type VerificationKey,
} from './service-account-token.ts';

/** Clocks may differ, and what is being deleted may still speak, for this long. Milliseconds. Source: go-jose DefaultLeeway. */
const LEEWAY_MS = 60_000;
/** Signatures remembered; a token is about 1 kB. */
const MAX_REMEMBERED = 256;

export interface ServiceAccountTokenOptions {
  readonly keys: readonly VerificationKey[];
  /** The first one issues; the others are still believed. */
  readonly issuers: readonly string[];
  readonly objects: ObjectReader;
  readonly nowMs: () => number;
}

export class TokenError extends Error {
  override readonly name = 'TokenError';
}

export interface TokenIdentity {
  readonly user: User;
  readonly audiences: readonly string[];
}

export class ServiceAccountTokens {
  readonly #options: ServiceAccountTokenOptions;
  /** Tokens whose signature held, oldest first. Their claims do not change; everything else is checked each time. */
  readonly #signed = new Map<string, Readonly<Record<string, unknown>>>();

  constructor(options: ServiceAccountTokenOptions) {
    this.#options = options;
  }

  /**
   * Undefined: not a token of ours. Throws TokenError for one of ours that does not hold.
   * `audiences`: one of these must be among the token's.
   */
  async authenticate(token: string, audiences: readonly string[]): Promise<TokenIdentity | undefined> {
    const claims = this.#signed.get(token) ?? readClaims(token);
    if (!claims || typeof claims['iss'] !== 'string') return undefined;
    const isFromSecret = claims['iss'] === SECRET_TOKEN_ISSUER;
    if (!isFromSecret && !this.#options.issuers.includes(claims['iss'])) return undefined;
    this.#requireSignature(token, claims);
    if (isFromSecret) return await this.#bySecret(token, claims as unknown as SecretTokenClaims, audiences);
    return await this.#byBoundToken(claims as unknown as TokenClaims, audiences);
  }

  #requireSignature(token: string, claims: Readonly<Record<string, unknown>>): void {
    if (this.#signed.has(token)) return;
    if (!hasValidSignature(token, this.#options.keys)) throw new TokenError('invalid bearer token, square/go-jose: error in cryptographic primitive');
    this.#signed.set(token, claims);
    if (this.#signed.size > MAX_REMEMBERED) this.#signed.delete(this.#signed.keys().next().value ?? '');
  }

  async #byBoundToken(claims: TokenClaims, audiences: readonly string[]): Promise<TokenIdentity> {
    const nowMs = this.#options.nowMs();
    if (nowMs > claims.exp * 1000 + LEEWAY_MS) throw new TokenError('service account token has expired');
    if (nowMs < claims.nbf * 1000 - LEEWAY_MS) throw new TokenError('service account token is not valid yet');
    const common = [claims.aud].flat().filter((audience) => audiences.includes(audience));
    if (common.length === 0) throw new TokenError(`token audiences ${goList([claims.aud].flat())} is invalid for the target audiences ${goList(audiences)}`);
    const bound = claims['kubernetes.io'];
    const { namespace } = bound;
    const account = await this.#mustExist(serviceAccountKind, namespace, bound.serviceaccount);
    if (account !== bound.serviceaccount.uid) {
      throw new TokenError(`service account UID (${account}) does not match claim (${bound.serviceaccount.uid})`);
    }
    if (bound.secret) await this.#mustBeBound(secretKind, namespace, bound.secret, 'secret');
    if (bound.pod) await this.#mustBeBound(podKind, namespace, bound.pod, 'pod');
    // A node in a token bound to a pod only informs; bound to a node alone, it must exist.
    if (bound.node?.uid && !bound.pod && !bound.secret) await this.#mustBeBound(nodeKind, '', { name: bound.node.name, uid: bound.node.uid }, 'node');
    return { user: userOf(bound, claims.jti), audiences: common };
  }

  async #bySecret(token: string, claims: SecretTokenClaims, audiences: readonly string[]): Promise<TokenIdentity> {
    const namespace = claims['kubernetes.io/serviceaccount/namespace'];
    const secret = await this.#find(secretKind, namespace, claims['kubernetes.io/serviceaccount/secret.name']);
    const stored = secret?.data?.['token'];
    if (stored === undefined || Buffer.from(stored, 'base64').toString('utf8') !== token) throw new TokenError('service account token has been invalidated');
    const serviceaccount = { name: claims['kubernetes.io/serviceaccount/service-account.name'], uid: claims['kubernetes.io/serviceaccount/service-account.uid'] };
    const uid = await this.#mustExist(serviceAccountKind, namespace, serviceaccount);
    if (uid !== serviceaccount.uid) throw new TokenError(`service account UID (${uid}) does not match claim (${serviceaccount.uid})`);
    return { user: userOf({ namespace, serviceaccount }, ''), audiences };
  }

  /** Returns the uid of the account as it is now. */
  async #mustExist(kind: Kind<typeof serviceAccountKind extends Kind<infer T> ? T : never>, namespace: string, { name, uid }: { name: string; uid: string }): Promise<string> {
    const account = await this.#find(kind, namespace, name, uid);
    if (!account) throw new TokenError(`serviceaccounts "${name}" not found`);
    if (this.#isLongDeleted(account)) throw new TokenError(`service account ${namespace}/${name} has been deleted`);
    return account.metadata.uid ?? '';
  }

  async #mustBeBound<T extends KubernetesObject>(kind: Kind<T>, namespace: string, { name, uid }: { name: string; uid: string }, what: string): Promise<void> {
    const object = await this.#find(kind, namespace, name, uid);
    if (!object || this.#isLongDeleted(object)) throw new TokenError('service account token has been invalidated');
    if (object.metadata.uid !== uid) {
      throw new TokenError(`${what} UID (${object.metadata.uid ?? ''}) does not match service account ${what} ref claim (${uid})`);
    }
  }

  /** From memory when it is there as expected; else from storage, since a token may be newer than memory. */
  async #find<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string, uid?: string): Promise<Readonly<T> | undefined> {
    const { objects } = this.#options;
    const cached = objects.cached(kind, namespace, name);
    if (cached && (uid === undefined || cached.metadata.uid === uid)) return cached;
    return await objects.read(kind, namespace, name);
  }

  #isLongDeleted({ metadata }: KubernetesObject): boolean {
    return metadata.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null
      && Date.parse(metadata.deletionTimestamp) < this.#options.nowMs() - LEEWAY_MS;
  }
}

function userOf(bound: BoundClaims, tokenId: string): User {
  const extra: Record<string, readonly string[]> = {};
  if (tokenId) extra['authentication.kubernetes.io/credential-id'] = [`JTI=${tokenId}`];
  if (bound.node) {
    extra['authentication.kubernetes.io/node-name'] = [bound.node.name];
    if (bound.node.uid) extra['authentication.kubernetes.io/node-uid'] = [bound.node.uid];
  }
  if (bound.pod) {
    extra['authentication.kubernetes.io/pod-name'] = [bound.pod.name];
    extra['authentication.kubernetes.io/pod-uid'] = [bound.pod.uid];
  }
  const { namespace, serviceaccount } = bound;
  return {
    name: serviceAccountUserName(namespace, serviceaccount.name), uid: serviceaccount.uid, groups: serviceAccountGroups(namespace),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

const goList = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(' ')}]`;
