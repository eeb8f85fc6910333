// The OCI distribution API, as far as pulling needs it: manifests and blobs, tokens and passwords, mirrors.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { join } from 'node:path';
import type { AuthConfig, Sent } from '#lib/cri/messages.ts';
import { systemAuthorities } from '#lib/pki/system-authorities.ts';
import { parseHostsToml, type RegistryHost } from '../../core/hosts-toml.ts';
import { readAll } from '../content/image-content.ts';
import { ImageError } from '../images.ts';

/** Time until a connection stands, name service included: a network that is not there must not hold up a pod. Milliseconds. */
const CONNECT_TIMEOUT_MS = 4_000;
/** Longest silence in an answer; milliseconds. */
const IDLE_TIMEOUT_MS = 60_000;
const REDIRECT_LIMIT = 5;
const TOKEN_LIMIT_BYTES = 1024 * 1024;

/** Nobody answers: no name, no route, no listener, or silence. */
export class RegistryUnreachable extends Error {
  override readonly name = 'RegistryUnreachable';
}

export interface Endpoint extends RegistryHost {
  /** The name in the image reference, for mirrors. */
  readonly namespace: string;
  readonly agent: HttpAgent | HttpsAgent;
  /** The scheme's answer to 401, once it was given. */
  authorization: string | undefined;
}

const isLocal = (host: string): boolean => /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host);

/** Where images of a registry come from, in the order to be asked. `folder` has HOST/hosts.toml or HOST/*.crt. */
export function endpointsOf(host: string, folder: string): Endpoint[] {
  const server = `${isLocal(host) ? 'http' : 'https'}://${host === 'docker.io' ? 'registry-1.docker.io' : host}`;
  const own = [host, '_default'].map((name) => join(folder, name)).find((path) => existsSync(path));
  const file = own === undefined ? '' : join(own, 'hosts.toml');
  const certificates = own === undefined ? [] : readdirSync(own).filter((name) => name.endsWith('.crt')).map((name) => join(own, name));
  const hosts = existsSync(file) ? parseHostsToml(readFileSync(file, 'utf8'), server) : parseHostsToml('', certificates.length > 0 ? server.replace('http:', 'https:') : server).map((each) => ({ ...each, ca: certificates }));
  return hosts.filter(({ canPull }) => canPull).map((each) => ({ ...each, namespace: host, agent: agentOf(each, own ?? folder), authorization: undefined }));
}

function agentOf({ url, ca, client, skipVerify }: RegistryHost, folder: string): HttpAgent | HttpsAgent {
  if (url.startsWith('http:')) return new HttpAgent({ keepAlive: true });
  const read = (path: string): string => readFileSync(path.startsWith('/') ? path : join(folder, path), 'utf8');
  return new HttpsAgent({
    keepAlive: true, rejectUnauthorized: !skipVerify, ca: [...systemAuthorities(), ...ca.map(read)],
    ...(client.length > 0 ? { cert: client.map(({ certificate }) => read(certificate)), key: client.map(({ key }) => read(key)) } : {}),
  });
}

interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One exchange. Throws RegistryUnreachable, or ImageError for a certificate that is not trusted. */
function exchange(url: URL, agent: HttpAgent | HttpsAgent, { method, headers = {}, body = '' }: Request): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'http:' ? requestHttp : requestHttps)(url, { method, agent: (url.protocol === 'http:') === agent instanceof HttpsAgent ? undefined : agent, headers: { 'user-agent': 'containerd/v2.1.0-kubreak', ...headers } });
    const timer = setTimeout(() => request.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })), CONNECT_TIMEOUT_MS);
    request.once('socket', (socket) => {
      if (!socket.connecting) clearTimeout(timer);
      socket.once(url.protocol === 'http:' ? 'connect' : 'secureConnect', () => clearTimeout(timer));
    });
    request.setTimeout(IDLE_TIMEOUT_MS, () => request.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })));
    request.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const verb = `${method[0] ?? ''}${method.slice(1).toLowerCase()}`;
      const text = `failed to do request: ${verb} "${url.href}": ${networkText(error, url)}`;
      reject(isUnreachable(error) ? new RegistryUnreachable(text, { cause: error }) : new ImageError('failed', text, { cause: error }));
    });
    request.once('response', resolve);
    request.end(body);
  });
}

const UNREACHABLE = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EPIPE', 'EADDRNOTAVAIL']);
const isUnreachable = ({ code = '' }: NodeJS.ErrnoException): boolean => UNREACHABLE.has(code);

/** In Go's words, which is how people know them. */
function networkText(error: NodeJS.ErrnoException & { address?: string; port?: number }, url: URL): string {
  const dial = `dial tcp ${error.address ?? url.hostname}:${error.port ?? (url.port || (url.protocol === 'http:' ? '80' : '443'))}`;
  switch (error.code) {
    case 'ENOTFOUND': return `dial tcp: lookup ${url.hostname}: no such host`;
    case 'EAI_AGAIN': return `dial tcp: lookup ${url.hostname}: Temporary failure in name resolution`;
    case 'ECONNREFUSED': return `${dial}: connect: connection refused`;
    case 'EHOSTUNREACH': return `${dial}: connect: no route to host`;
    case 'ENETUNREACH': return `${dial}: connect: network is unreachable`;
    case 'ETIMEDOUT': return `${dial}: i/o timeout`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT': case 'SELF_SIGNED_CERT_IN_CHAIN': case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE': case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    case 'CERT_HAS_EXPIRED': return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
    case 'ERR_TLS_CERT_ALTNAME_INVALID': return `tls: failed to verify certificate: x509: certificate is not valid for ${url.hostname}`;
    default: return error.code === 'EPROTO' || /wrong version number/.test(error.message) ? 'http: server gave HTTP response to HTTPS client' : error.message;
  }
}

/** One repository on one endpoint. */
export class Repository {
  readonly endpoint: Endpoint;
  readonly #path: string;
  readonly #auth: Sent<AuthConfig> | undefined;

  constructor(endpoint: Endpoint, path: string, auth: Sent<AuthConfig> | undefined) {
    this.endpoint = endpoint;
    this.#path = path;
    this.#auth = auth;
  }

  url(rest: string): URL {
    const { url, overridePath, namespace } = this.endpoint;
    const full = new URL(`${url}${overridePath || url.endsWith('/v2') ? '' : '/v2'}/${this.#path}/${rest}`);
    if (full.host !== namespace && !(namespace === 'docker.io' && full.host === 'registry-1.docker.io')) full.searchParams.set('ns', namespace);
    return full;
  }

  /** Follows redirects and answers one challenge. The caller reads or discards the body. */
  async send(rest: string, request: Request): Promise<IncomingMessage> {
    const { endpoint } = this;
    if (endpoint.authorization === undefined && this.#auth?.registryToken) endpoint.authorization = `Bearer ${this.#auth.registryToken}`;
    for (let attempt = 0; ; attempt += 1) {
      const headers = { ...endpoint.headers, ...request.headers, ...(endpoint.authorization === undefined ? {} : { authorization: endpoint.authorization }) };
      const response = await this.#follow(this.url(rest), { ...request, headers });
      if (response.statusCode !== 401 || attempt > 0) return response;
      response.resume();
      endpoint.authorization = await this.#answer(String(response.headers['www-authenticate'] ?? ''));
    }
  }

  async #follow(start: URL, request: Request): Promise<IncomingMessage> {
    let url = start;
    for (let count = 0; count <= REDIRECT_LIMIT; count += 1) {
      const { authorization, ...others } = request.headers ?? {};
      // What the registry may know is not for the storage it sends us to.
      const headers = url.host === start.host && authorization !== undefined ? { ...others, authorization } : others;
      const response = await exchange(url, this.endpoint.agent, { ...request, headers });
      const { statusCode = 0, headers: { location } } = response;
      if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return response;
      response.resume();
      url = new URL(location, url);
    }
    throw new ImageError('failed', `failed to do request: ${start.href}: stopped after ${REDIRECT_LIMIT} redirects`);
  }

  get #credentials(): { readonly user: string; readonly password: string } | undefined {
    const { username = '', password = '', auth = '' } = this.#auth ?? {};
    if (username !== '' || password !== '') return { user: username, password };
    const [user = '', ...rest] = auth === '' ? [] : Buffer.from(auth, 'base64').toString('utf8').split(':');
    return auth === '' ? undefined : { user, password: rest.join(':').replace(/\0+$/, '') };
  }

  /** The Authorization header that a challenge asks for. */
  async #answer(challenge: string): Promise<string> {
    const credentials = this.#credentials;
    const basic = credentials && `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`;
    const denied = 'pull access denied, repository does not exist or may require authorization';
    if (/^basic\b/i.test(challenge)) {
      if (basic === undefined) throw new ImageError('failed', `${denied}: authorization failed: no basic auth credentials`);
      return basic;
    }
    const parameters = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]));
    const { realm = '', service = '' } = parameters;
    if (!/^bearer\b/i.test(challenge) || !/^https?:\/\//.test(realm)) throw new ImageError('failed', `${denied}: the registry asks for an authorization that is not known: ${challenge.slice(0, 200)}`);
    const scope = `repository:${this.#path}:pull`;
    const url = new URL(realm);
    const identity = this.#auth?.identityToken ?? '';
    if (identity === '') {
      if (service !== '') url.searchParams.set('service', service);
      url.searchParams.set('scope', scope);
    }
    const method = identity === '' ? 'GET' : 'POST';
    const response = await this.#follow(url, identity === '' ? { method, headers: basic === undefined ? {} : { authorization: basic } }
      : { method, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ grant_type: 'refresh_token', service, scope, client_id: 'containerd-client', refresh_token: identity }).toString() });
    if (response.statusCode !== 200) {
      response.resume();
      throw new ImageError('failed', `failed to authorize: failed to fetch ${basic === undefined && identity === '' ? 'anonymous' : 'oauth'} token: unexpected status from ${method} request to ${url.href}: ${statusText(response)}`);
    }
    const { token, access_token: access } = JSON.parse((await readAll(response, TOKEN_LIMIT_BYTES, 'the token')).toString('utf8')) as { token?: string; access_token?: string };
    const bearer = token ?? access;
    if (bearer === undefined) throw new ImageError('failed', `failed to authorize: ${url.host} sent no token`);
    return `Bearer ${bearer}`;
  }
}

export const statusText = ({ statusCode = 0, statusMessage = '' }: IncomingMessage): string => `${statusCode} ${statusMessage}`;
