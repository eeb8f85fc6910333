// A client per controller that acts as the controller's own service account in kube-system, by tokens that are asked
// for and renewed here. Source: controller-manager's SAControllerClientBuilder (clientbuilder/client_builder_dynamic.go).
import type { Logger } from 'pino';
import { ApiClient, type ConnectionConfig } from '#lib/api-client/client.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';

const NAMESPACE = 'kube-system';
/** Source: defaultExpirationSeconds and the leeway of the dynamic client builder. */
const LIFETIME_SECONDS = 3600;
/** A token is renewed when this share of its life is left. */
const RENEWAL_SHARE = 0.2;
/** Writes of one controller in flight at once: enough for bursts, few enough for the memory of their TLS sessions. */
const MAX_CONNECTIONS = 4;
const EARLY_TOKENS = 3;

interface TokenRequest {
  readonly status?: { readonly token: string; readonly expirationTimestamp: string };
}

/** A function that gives a valid token of a service account, which is created when it is missing. */
export function tokenSource(root: ApiClient, name: string, { clock, log }: { readonly clock: Clock; readonly log: Logger }): () => Promise<string> {
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
  return async () => {
    const nowMs = clock.nowMs();
    if (current && nowMs < current.renewAtMs) return current.token;
    pending ??= renew().finally(() => (pending = undefined));
    try {
      return await pending;
    } catch (error) {
      if (!current || nowMs >= current.endsAtMs) throw error;
      log.warn({ err: error, serviceAccount: name }, 'cannot renew token, using the old one while it holds');
      return current.token;
    }
  };
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
  // The first controllers have the most urgent work in a new cluster: their tokens are fetched while the caches fill.
  // A failure shows again, and is handled, at the first write.
  const fetchEarly = (source: () => Promise<string>): void => {
    if (clients.size < EARLY_TOKENS) source().catch((error: unknown) => log.debug({ err: error }, 'cannot get a token yet'));
  };
  return (serviceAccount) => {
    let client = clients.get(serviceAccount);
    if (!client) {
      const { server, caPem, tlsServerName, insecureSkipTlsVerify } = access;
      const source = tokenSource(root, serviceAccount, { clock, log });
      fetchEarly(source);
      client = new ApiClient({
        server, caPem, tlsServerName, insecureSkipTlsVerify, maxConnections: MAX_CONNECTIONS, tokenSource: source,
      }, `kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/kubreak/${serviceAccount}`);
      clients.set(serviceAccount, client);
    }
    return client;
  };
}
