// Who is asking: front proxy headers, client certificate, bearer token, in upstream's order; else anonymous.
// Source: pkg/kubeapiserver/authenticator/config.go; apiserver pkg/authentication/request.
import type { X509Certificate } from 'node:crypto';
import { unauthorized } from '#lib/machinery/status-error.ts';
import { ANONYMOUS, type AuthenticationRequest, type Authenticator, type User } from '../core/access.ts';
import { userOfCertificate, verifyCertificateChain, type VerifiedCertificate } from './certificate-authentication.ts';
import { TokenError, type ServiceAccountTokens } from './service-account-authentication.ts';

export interface RequestHeaderOptions {
  readonly authorities: readonly X509Certificate[];
  /** Common names that may speak for others; empty: every certificate of the authorities. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
  readonly uidHeaders: readonly string[];
}

export interface AuthenticatorOptions {
  readonly clientAuthorities: readonly X509Certificate[];
  readonly requestHeader?: RequestHeaderOptions | undefined;
  readonly tokens: ServiceAccountTokens;
  readonly audiences: readonly string[];
  /** --enable-bootstrap-token-auth */
  readonly bootstrapTokens?: ((token: string) => User | undefined) | undefined;
  readonly anonymousAuth: boolean;
  readonly nowMs: () => number;
}

type Headers = AuthenticationRequest['headers'];
/** One way of telling who it is. `failed`: credentials were shown and are bad. */
type Attempt = { readonly user: User } | 'none' | 'failed';

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const clients = chainVerifier(options.clientAuthorities);
  const proxies = chainVerifier(options.requestHeader?.authorities ?? []);
  const holds = (certificate: VerifiedCertificate) => certificate.validFromMs <= options.nowMs() && options.nowMs() <= certificate.validToMs;

  const byRequestHeader = (request: AuthenticationRequest): Attempt => {
    const rules = options.requestHeader;
    if (!rules || request.clientCertificates().length === 0) return 'none';
    const name = rules.usernameHeaders.map((header) => single(request.headers, header)).find((value) => value !== '') ?? '';
    if (name === '') return 'none';
    const proxy = proxies(request);
    if (!proxy || !holds(proxy)) return 'failed';
    if (rules.allowedNames.length > 0 && !rules.allowedNames.includes(proxy.commonName)) return 'failed';
    return { user: userOfHeaders(request.headers, name, rules) };
  };
  const byCertificate = (request: AuthenticationRequest): Attempt => {
    if (request.clientCertificates().length === 0) return 'none';
    const certificate = clients(request);
    if (!certificate || !holds(certificate)) return 'failed';
    return certificate.commonName === '' ? 'none' : { user: userOfCertificate(certificate) };
  };
  const byToken = async (request: AuthenticationRequest): Promise<Attempt> => {
    const token = bearerToken(request.headers);
    if (token === undefined) return 'none';
    try {
      const identity = await options.tokens.authenticate(token, options.audiences);
      const user = identity?.user ?? options.bootstrapTokens?.(token);
      return user ? { user } : 'failed';
    } catch (error) {
      if (error instanceof TokenError) return 'failed';
      throw error;
    }
  };

  return {
    async authenticate(request) {
      let hasFailed = false;
      for (const attempt of [byRequestHeader, byCertificate, byToken]) {
        const outcome = await attempt(request);
        if (outcome === 'failed') hasFailed = true;
        else if (outcome !== 'none') return withAuthenticatedGroup(outcome.user);
      }
      if (hasFailed) throw unauthorized();
      return options.anonymousAuth ? ANONYMOUS : undefined;
    },
  };
}

/** A chain is followed once a connection. */
function chainVerifier(authorities: readonly X509Certificate[]): (request: AuthenticationRequest) => VerifiedCertificate | undefined {
  const known = new WeakMap<object, VerifiedCertificate | 'bad'>();
  return ({ connection, clientCertificates }) => {
    let verified = known.get(connection);
    if (verified === undefined) {
      verified = verifyCertificateChain(clientCertificates(), authorities) ?? 'bad';
      known.set(connection, verified);
    }
    return verified === 'bad' ? undefined : verified;
  };
}

/** Source: apiserver pkg/authentication/group/authenticated_group_adder.go. */
export function withAuthenticatedGroup(user: User): User {
  if (user.name === ANONYMOUS.name || user.groups.some((group) => group === 'system:authenticated' || group === 'system:unauthenticated')) return user;
  return { ...user, groups: [...user.groups, 'system:authenticated'] };
}

const WEBSOCKET_TOKEN_PREFIX = 'base64url.bearer.authorization.k8s.io.';

/** From the Authorization header, or from the subprotocols of a WebSocket, which a browser can set. */
export function bearerToken(headers: Headers): string | undefined {
  const [scheme = '', token = ''] = single(headers, 'authorization').trim().split(' ');
  if (scheme.toLowerCase() === 'bearer' && token !== '') return token;
  if (single(headers, 'upgrade').toLowerCase() !== 'websocket') return undefined;
  const protocol = webSocketProtocols(headers).find((name) => name.startsWith(WEBSOCKET_TOKEN_PREFIX));
  return protocol === undefined ? undefined : Buffer.from(protocol.slice(WEBSOCKET_TOKEN_PREFIX.length), 'base64url').toString('utf8');
}

export const webSocketProtocols = (headers: Headers): string[] =>
  valuesOf(headers, 'sec-websocket-protocol').flatMap((value) => value.split(',')).map((name) => name.trim()).filter((name) => name !== '');
export const isCredentialProtocol = (protocol: string): boolean => protocol.startsWith(WEBSOCKET_TOKEN_PREFIX);

export function valuesOf(headers: Headers, name: string): string[] {
  const value = headers[name.toLowerCase()];
  return value === undefined ? [] : [value].flat();
}
const single = (headers: Headers, name: string): string => valuesOf(headers, name)[0] ?? '';

function userOfHeaders(headers: Headers, name: string, rules: RequestHeaderOptions): User {
  const uid = rules.uidHeaders.map((header) => single(headers, header)).find((value) => value !== '');
  const extra = extraOfHeaders(headers, rules.extraHeaderPrefixes);
  return {
    name, groups: rules.groupHeaders.flatMap((header) => splitList(headers, header)),
    ...(uid === undefined ? {} : { uid }), ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

/** node joins what was sent in several headers of one name with a comma and a space. */
export const splitList = (headers: Headers, name: string): string[] =>
  valuesOf(headers, name).flatMap((value) => value.split(', ')).filter((value) => value !== '');

/** `X-Remote-Extra-Scopes: a` becomes `{ scopes: ['a'] }`; keys may be percent-encoded. */
export function extraOfHeaders(headers: Headers, prefixes: readonly string[]): Record<string, string[]> {
  const extra: Record<string, string[]> = {};
  for (const prefix of prefixes.map((text) => text.toLowerCase())) {
    for (const header of Object.keys(headers).filter((header) => header.startsWith(prefix))) {
      const key = decodeKey(header.slice(prefix.length));
      extra[key] = [...(extra[key] ?? []), ...splitList(headers, header)];
    }
  }
  return extra;
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key).toLowerCase();
  } catch {
    return key; // upstream: a malformed escape stays as it is
  }
}
