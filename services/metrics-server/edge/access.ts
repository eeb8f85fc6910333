// Who calls, and whether it may: the API server in front tells the user in headers and proves itself by certificate;
// others are known by certificate or token. Permissions are asked of the API server.
// Source: k8s.io/apiserver, delegating authentication and authorization (requestheader, x509, webhook).
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { AccessReviews, ANONYMOUS, bearerToken, type ReviewedUser } from '#lib/api-client/access-reviews.ts';
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { GROUP } from '../core/objects.ts';
import { parseApiPath, pathOf } from '../core/request.ts';

/** id-kp-clientAuth. Source: RFC 5280 §4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** The ConfigMap kube-system/extension-apiserver-authentication. */
export interface AuthenticationSettings {
  readonly clientCaPem: string;
  readonly requestHeaderCaPem: string;
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

export async function readAuthenticationSettings(api: ApiClient, signal: AbortSignal): Promise<AuthenticationSettings> {
  const { data = {} } = await api.request<{ data?: Record<string, string> }>('GET', '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication', undefined, { signal });
  const list = (key: string): string[] => JSON.parse(data[key] ?? '[]') as string[];
  return {
    clientCaPem: data['client-ca-file'] ?? '', requestHeaderCaPem: data['requestheader-client-ca-file'] ?? '', allowedNames: list('requestheader-allowed-names'),
    usernameHeaders: list('requestheader-username-headers'), uidHeaders: list('requestheader-uid-headers'),
    groupHeaders: list('requestheader-group-headers'), extraHeaderPrefixes: list('requestheader-extra-headers-prefix'),
  };
}

export type Verdict = { readonly status: 200; readonly user: ReviewedUser } | { readonly status: 401 | 403 | 500; readonly message: string };

export class Access {
  readonly #reviews: AccessReviews;
  readonly #clock: Clock;
  readonly #settings: AuthenticationSettings;
  readonly #requestHeaderCas: readonly X509Certificate[];
  readonly #clientCas: readonly X509Certificate[];

  constructor({ api, clock, settings }: { readonly api: ApiClient; readonly clock: Clock; readonly settings: AuthenticationSettings }) {
    this.#reviews = new AccessReviews({ api, clock });
    this.#clock = clock;
    this.#settings = settings;
    this.#requestHeaderCas = certificatesIn(settings.requestHeaderCaPem);
    this.#clientCas = certificatesIn(settings.clientCaPem);
  }

  async check(request: IncomingMessage): Promise<Verdict> {
    try {
      const user = await this.#userOf(request);
      if (!user) return { status: 401, message: 'Unauthorized' };
      const path = pathOf(request.url);
      if (await this.#mayDo(user, path, (request.method ?? 'GET').toLowerCase())) return { status: 200, user };
      return { status: 403, message: forbiddenText(user, path, request.method ?? 'GET') };
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      return { status: 500, message: `Internal error occurred: ${error.message}` };
    }
  }

  async #userOf(request: IncomingMessage): Promise<ReviewedUser | undefined> {
    const certificate = (request.socket as TLSSocket).getPeerX509Certificate();
    const subject = certificate === undefined ? '' : certificate.subject;
    const names = (field: string): string[] => [...subject.matchAll(new RegExp(`^${field}=(.*)$`, 'gm'))].map(([, value = '']) => value);
    const [commonName = ''] = names('CN');
    const { allowedNames } = this.#settings;
    if (certificate && isIssuedBy(certificate, this.#requestHeaderCas, this.#clock.nowMs()) && (allowedNames.length === 0 || allowedNames.includes(commonName))) {
      const user = this.#userInHeaders(request);
      if (user) return user;
    }
    if (certificate && commonName !== '' && isIssuedBy(certificate, this.#clientCas, this.#clock.nowMs())) {
      return { name: commonName, uid: '', groups: [...names('O'), 'system:authenticated'], extra: {} };
    }
    const token = bearerToken(request);
    return token === undefined ? ANONYMOUS : this.#reviews.userOf(token);
  }

  #userInHeaders({ headersDistinct }: IncomingMessage): ReviewedUser | undefined {
    const { usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes } = this.#settings;
    const first = (names: readonly string[]): string => names.map((name) => headersDistinct[name.toLowerCase()]?.[0] ?? '').find((value) => value !== '') ?? '';
    const name = first(usernameHeaders);
    if (name === '') return undefined;
    const extra: Record<string, readonly string[]> = {};
    for (const prefix of extraHeaderPrefixes.map((one) => one.toLowerCase())) {
      for (const [header, values] of Object.entries(headersDistinct)) if (header.startsWith(prefix) && values) extra[unescaped(header.slice(prefix.length))] = values;
    }
    return { name, uid: first(uidHeaders), groups: groupHeaders.flatMap((header) => headersDistinct[header.toLowerCase()] ?? []), extra };
  }

  async #mayDo(user: ReviewedUser, path: string, method: string): Promise<boolean> {
    if (user.groups.includes('system:masters')) return true;
    const asked = parseApiPath(path);
    return this.#reviews.allows(user, asked
      ? { resourceAttributes: { group: GROUP, version: 'v1beta1', resource: asked.resource, verb: asked.verb, namespace: asked.namespace, name: asked.name } }
      : { nonResourceAttributes: { path, verb: method } });
  }
}

/** As it is when it is not escaped well. Source: requestheader.go, unescapeExtraKey. */
function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)].map(([text]) => new X509Certificate(text));
}

function isIssuedBy(certificate: X509Certificate, authorities: readonly X509Certificate[], nowMs: number): boolean {
  // The certificate of a server does not make its holder a user.
  if (!(certificate.keyUsage as readonly string[] | undefined)?.includes(CLIENT_AUTH)) return false;
  return Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo)
    && authorities.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
}

function forbiddenText(user: ReviewedUser, path: string, method: string): string {
  const asked = parseApiPath(path);
  if (!asked) return `forbidden: User ${JSON.stringify(user.name)} cannot ${method.toLowerCase()} path ${JSON.stringify(path)}`;
  const where = asked.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(asked.namespace)}`;
  const what = `${asked.resource}.${GROUP}${asked.name === '' ? '' : ` ${JSON.stringify(asked.name)}`}`;
  return `${what} is forbidden: User ${JSON.stringify(user.name)} cannot ${asked.verb} resource ${JSON.stringify(asked.resource)} in API group ${JSON.stringify(GROUP)} ${where}`;
}
