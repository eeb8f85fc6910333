// Tokens of service accounts for projected volumes, asked for and renewed in time.
// Source: pkg/kubelet/token/token_manager.go.
import type { ApiClient } from '#lib/api-client/client.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import type { TokenRequest } from '#lib/kinds/types/authentication-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { parseTime } from '#lib/machinery/time.ts';
import { namespaceOf, uidOf } from '../core/pod-spec.ts';
import { tokenKey, VolumeError, type TokenRequestSpec } from '../core/volume-payload.ts';

/** Renewed when 80 % of its life or 24 h are over, and in the last minute whatever its length. */
const RENEW_AT = 0.8;
const LONGEST_USE_MS = 24 * 3600 * 1000;

interface Token {
  readonly value: string;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

export class ServiceAccountTokens {
  readonly #api: ApiClient;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Map<string, Token>>();

  constructor(api: ApiClient, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** A token that holds; an old one while it is still good and the server cannot be reached. Throws VolumeError. */
  async get(pod: Pod, spec: TokenRequestSpec): Promise<string> {
    const ofPod = this.#tokens.get(uidOf(pod)) ?? new Map<string, Token>();
    const key = tokenKey(spec);
    const known = ofPod.get(key);
    const nowMs = this.#clock.nowMs();
    if (known && !needsRenewal(known, nowMs)) return known.value;
    try {
      const token = await this.#request(pod, spec);
      ofPod.set(key, token);
      this.#tokens.set(uidOf(pod), ofPod);
      return token.value;
    } catch (error) {
      if (known && known.expiresMs > nowMs) return known.value;
      throw new VolumeError(`failed to fetch token: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  forget(uid: string): void {
    this.#tokens.delete(uid);
  }

  async #request(pod: Pod, { audience, expirationSeconds }: TokenRequestSpec): Promise<Token> {
    const account = pod.spec.serviceAccountName ?? 'default';
    const issuedMs = this.#clock.nowMs();
    const { status } = await this.#api.createSubresource<TokenRequest>(serviceAccountKind, namespaceOf(pod), account, 'token', {
      apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest',
      spec: {
        ...(audience === '' ? { audiences: [] } : { audiences: [audience] }), expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: uidOf(pod) },
      },
    });
    if (status?.token === undefined || status.expirationTimestamp === undefined) throw new Error('the server answered without a token');
    return { value: status.token, issuedMs, expiresMs: parseTime(status.expirationTimestamp) };
  }
}

function needsRenewal({ issuedMs, expiresMs }: Token, nowMs: number): boolean {
  const lifeMs = expiresMs - issuedMs;
  return nowMs > issuedMs + lifeMs * RENEW_AT || nowMs > issuedMs + LONGEST_USE_MS;
}
