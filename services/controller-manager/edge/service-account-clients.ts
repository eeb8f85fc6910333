// A client per controller that acts as the controller's own service account in kube-system, by tokens that are asked
// for and renewed here. Source: controller-manager's SAControllerClientBuilder (clientbuilder/client_builder_dynamic.go).
import type { Logger } from 'pino';
import { ApiClient, TransportError, transportFor, type ConnectionConfig } from '#lib/api-client/client.ts';
import type { Transport } from '#lib/api-client/transport.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { isAlreadyExists, isNotFound, StatusError } from '#lib/machinery/status-error.ts';

const NAMESPACE = 'kube-system';
/** Source: defaultExpirationSeconds and the leeway of the dynamic client builder. */
const LIFETIME_SECONDS = 3600;
/** A token is renewed when this share of its life is left. */
const RENEWAL_SHARE = 0.2;
const EARLY_TOKENS = 3;

interface TokenRequest {
  readonly status?: { readonly token: string; readonly expirationTimestamp: string };
}

interface TokenSource {
  readonly get: () => Promise<string>;
  /** The server no longer takes the present token: its account was deleted, or the signing key changed. */
  readonly discard: () => void;
}

/** Gives valid tokens of a service account, which is created when it is missing. */
function tokenSource(root: ApiClient, name: string, { clock, log }: { readonly clock: Clock; readonly log: Logger }): TokenSource {
  let current: { readonly token: string; readonly renewAtMs: number; readonly endsAtMs: number } | undefined;
  let pending: Promise<string> | undefined;
  const request = (): Promise<TokenRequest> => root.createSubresource<TokenRequest>(serviceAccountKind, NAMESPACE, name, 'token', {
    apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: LIFETIME_SECONDS },
  });
  const renew = async (): Promise<string> => {
    let answer: TokenRequest;
    try {
      answer = await request();
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await root.create(serviceAccountKind, { metadata: { name, namespace: NAMESPACE } }).catch((failure: unknown) => {
        if (!isAlreadyExists(failure)) throw failure;
      });
      answer = await request();
    }
    if (!answer.status) throw new Error(`the server answered no token for service account ${NAMESPACE}/${name}`);
    const { token, expirationTimestamp } = answer.status;
    const endsAtMs = Date.parse(expirationTimestamp);
    current = { token, endsAtMs, renewAtMs: endsAtMs - (endsAtMs - clock.nowMs()) * RENEWAL_SHARE };
    return token;
  };
  const get = async (): Promise<string> => {
    const nowMs = clock.nowMs();
    if (current && nowMs < current.renewAtMs) return current.token;
    pending ??= renew().finally(() => (pending = undefined));
    try {
      return await pending;
    } catch (error) {
      // Not as the StatusError it may be: a caller would take «not found» for an answer about the object it asked for.
      if (!current || nowMs >= current.endsAtMs) throw new TransportError(`cannot get a token for service account ${NAMESPACE}/${name}`, { cause: error });
      log.warn({ err: error, serviceAccount: name }, 'cannot renew token, using the old one while it holds');
      return current.token;
    }
  };
  return { get, discard: () => (current = undefined) };
}

/** Asks for another token, once, when the server refuses the one it has. */
class ServiceAccountClient extends ApiClient {
  readonly #discardToken: () => void;
  constructor(config: ConnectionConfig, userAgent: string, discardToken: () => void, transport: Transport) {
    super(config, userAgent, transport);
    this.#discardToken = discardToken;
  }
  override async request<R>(...request: Parameters<ApiClient['request']>): Promise<R> {
    try {
      return await super.request<R>(...request);
    } catch (error) {
      if (!(error instanceof StatusError) || error.code !== 401) throw error;
      this.#discardToken();
      return super.request<R>(...request);
    }
  }
}

export interface ClientsOptions {
  readonly access: ConnectionConfig;
  readonly root: ApiClient;
  readonly useServiceAccounts: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Gives the client of a service account, or the process's own when those are not wanted. */
export function clientsByServiceAccount({ access, root, useServiceAccounts, clock, log }: ClientsOptions): (serviceAccount: string) => ApiClient {
  if (!useServiceAccounts) return () => root;
  const clients = new Map<string, ApiClient>();
  const { server, caPem, tlsServerName, insecureSkipTlsVerify } = access;
  const anonymous = { server, caPem, tlsServerName, insecureSkipTlsVerify };
  const transport = transportFor(anonymous); // they differ in their tokens only
  // The first controllers have the most urgent work in a new cluster: their tokens are fetched while the caches fill.
  // A failure shows again, and is handled, at the first write.
  const fetchEarly = (source: () => Promise<string>): void => {
    if (clients.size < EARLY_TOKENS) source().catch((error: unknown) => log.debug({ err: error }, 'cannot get a token yet'));
  };
  return (serviceAccount) => {
    let client = clients.get(serviceAccount);
    if (!client) {
      const source = tokenSource(root, serviceAccount, { clock, log });
      fetchEarly(source.get);
      client = new ServiceAccountClient({
        ...anonymous, tokenSource: source.get,
      }, `kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/kubreak/${serviceAccount}`, source.discard, transport);
      clients.set(serviceAccount, client);
    }
    return client;
  };
}
