// One request to a server behind an APIService: whom to dial, and what it is told about the user.
// Source: kube-aggregator pkg/apiserver/handler_proxy.go, client-go transport.SetAuthProxyHeaders.
import type { IncomingMessage } from 'node:http';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { APIService } from '#lib/kinds/types/apiregistration-v1.ts';
import { systemAuthorities } from '#lib/pki/system-authorities.ts';
import { withDeadline } from '#lib/service/abort.ts';
import type { User } from '../core/access.ts';
import { openRequest, answerOf } from '../access/proxy/http-proxy.ts';
import { dialErrorText, hostPort, type Backend } from '../access/proxy/backend.ts';
import { forwardedHeaders, hostOf } from '../access/proxy/headers.ts';

/** --proxy-client-cert-file and --proxy-client-key-file, as PEM; empty: none is shown. */
export interface ProxyClient {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Longest time for a server to answer the aggregator's own question. Milliseconds. */
const PROBE_TIMEOUT_MS = 5_000;
const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;

/** `trust` false: whoever answers is believed, as for the aggregator's own probes. Throws for a caBundle that is none. */
export function secureContextFor({ spec }: Readonly<APIService>, client: ProxyClient, trust: boolean): SecureContext {
  return createSecureContext({
    ...(client.certPem === '' ? {} : { cert: client.certPem, key: client.keyPem }),
    ...(trust && spec.caBundle ? { ca: Buffer.from(spec.caBundle, 'base64') } : trust && !spec.insecureSkipTLSVerify ? { ca: [...systemAuthorities()] } : {}),
  });
}

export function backendOf(apiService: Readonly<APIService>, address: { readonly host: string; readonly port: number }, secureContext: SecureContext, trust: boolean): Backend {
  const { name = '', namespace = '' } = apiService.spec.service ?? {};
  return { scheme: 'https', ...address, secureContext, verify: trust && !apiService.spec.insecureSkipTLSVerify, serverName: `${name}.${namespace}.svc` };
}

/** node takes header values as Latin-1; this way the bytes on the wire are UTF-8. */
const onWire = (value: string): string => Buffer.from(value, 'utf8').toString('latin1');

export function userHeaders({ name, uid, groups, extra = {} }: User): Record<string, string | string[]> {
  return {
    'x-remote-user': onWire(name), ...(groups.length === 0 ? {} : { 'x-remote-group': groups.map(onWire) }), ...(uid === undefined ? {} : { 'x-remote-uid': onWire(uid) }),
    ...Object.fromEntries(Object.entries(extra).map(([key, values]) => [`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`, values.map(onWire)])),
  };
}

/** Who the user is, is said by this server alone: what a client claims in such headers ends here. */
export function remoteHeaders(request: IncomingMessage, user: User): Record<string, string | string[]> {
  const own = Object.entries(forwardedHeaders(request)).filter(([name]) => !name.startsWith('x-remote-'));
  return { ...Object.fromEntries(own), ...userHeaders(user), 'x-forwarded-uri': (request.url ?? '').split('?')[0] ?? '', 'x-forwarded-host': hostOf(request), 'x-forwarded-proto': 'https' };
}

const AGGREGATOR: User = { name: 'system:kube-aggregator', groups: ['system:masters'] };

/** Throws an Error that says what went wrong, in upstream's words. */
export async function fetchDocument(backend: Backend, path: string, signal: AbortSignal): Promise<unknown> {
  const url = `https://${hostPort(backend)}${path}`;
  let status: number;
  let body = '';
  let isLate = false;
  try {
    status = await withDeadline(PROBE_TIMEOUT_MS, signal, async (deadline) => {
      deadline.addEventListener('abort', () => (isLate = !signal.aborted), { once: true });
      const outgoing = await openRequest(backend, { method: 'GET', target: path, headers: { ...userHeaders(AGGREGATOR), accept: 'application/json', connection: 'close' }, signal: deadline });
      outgoing.end();
      const answer = await answerOf(outgoing);
      for await (const chunk of answer.setEncoding('utf8')) {
        body += String(chunk);
        if (body.length > MAX_DOCUMENT_BYTES) throw new Error('the answer is too large');
      }
      return answer.statusCode ?? 0;
    });
  } catch (error) {
    const text = isLate ? `Get "${url}": context deadline exceeded` : `Get "${url}": ${dialErrorText(backend, error)}`;
    throw new Error(`failing or missing response from ${url}: ${text}`, { cause: error });
  }
  if (status < 200 || status >= 300) throw new Error(`failing or missing response from ${url}: bad status from ${url}: ${status}`);
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined; // it answers, which is what was asked; it just publishes nothing that can be read
  }
}
