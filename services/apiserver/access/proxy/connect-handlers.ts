// The connecting subresources: logs, exec, attach, port-forward through kubelets; proxies to pods, services and nodes.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SecureContext } from 'node:tls';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { badRequest, failure, internalError, notFound, type StatusError } from '#lib/machinery/status-error.ts';
import type { Authorizer } from '../../core/access.ts';
import type { ConnectHandler, ResourceCall } from '../../edge/extension.ts';
import { refused } from '../forbidden.ts';
import { kubeletAddress, KUBELET_PORT, podAddress, serviceEndpoint, splitSchemeNamePort } from './addresses.ts';
import { dialErrorText, hostPort, kubeletSecureContext, type Backend, type KubeletClientFiles } from './backend.ts';
import { answerOf, forward, moveBody, openRequest } from './http-proxy.ts';
import { logTarget, portForwardTarget, streamTarget } from './pod-target.ts';
import { tunnel } from './tunnel.ts';

/** Longest time for a kubelet to begin with a log that is not followed. Milliseconds. */
const LOG_TIMEOUT_MS = 30_000;
/** Bytes of a kubelet's error that are read. Source: GenericHttpResponseChecker. */
const MAX_ERROR_BYTES = 100_000;

export interface ConnectOptions extends KubeletClientFiles {
  /** --kubelet-preferred-address-types */
  readonly preferredAddressTypes: readonly string[];
  readonly authorizer: Authorizer;
  /** In [0, 1): which endpoint of a service. */
  readonly fraction: () => number;
}

export function connectHandlers(options: ConnectOptions): ConnectHandler[] {
  let context: SecureContext | undefined;
  const kubelet: KubeletOf = async (call, nodeName) => {
    const node = await mustRead(call, nodeKind, '', nodeName);
    context ??= kubeletSecureContext(options);
    return { scheme: 'https', ...kubeletAddress(node, options.preferredAddressTypes), secureContext: context, verify: options.caPem !== '' };
  };
  return [
    { group: '', resource: 'pods', subresource: 'log', handle: (call, request, response) => sendLog(kubelet, call, request, response) },
    streaming('exec', (pod, query) => streamTarget('exec', pod, query), kubelet, options.authorizer),
    streaming('attach', (pod, query) => streamTarget('attach', pod, query), kubelet, options.authorizer),
    streaming('portforward', portForwardTarget, kubelet, options.authorizer),
    proxying('pods', podBackend),
    proxying('services', (call) => serviceBackend(call, options.fraction())),
    proxying('nodes', (call) => nodeBackend(call, kubelet)),
  ];
}

type KubeletOf = (call: ResourceCall, nodeName: string) => Promise<Backend>;

async function mustRead<T extends KubernetesObject>({ objects }: ResourceCall, kind: Kind<T>, namespace: string, name: string): Promise<Readonly<T>> {
  const object = await objects.read(kind, namespace, name);
  if (!object) throw notFound(kind, name);
  return object;
}

async function sendLog(kubelet: KubeletOf, call: ResourceCall, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET') throw failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
  const pod = await mustRead(call, podKind, call.info.namespace, call.info.name);
  const { target, follows } = logTarget(pod, call.query);
  const nodeName = pod.spec?.nodeName;
  if (!nodeName) {
    response.writeHead(204).end();
    return;
  }
  const backend = await kubelet(call, nodeName);
  const opening = new AbortController();
  const timer = follows ? undefined : setTimeout(() => opening.abort(new Error('net/http: timeout awaiting response headers')), LOG_TIMEOUT_MS);
  let answer: IncomingMessage;
  try {
    const outgoing = await openRequest(backend, { method: 'GET', target, headers: {}, signal: AbortSignal.any([call.signal, opening.signal]) });
    outgoing.end();
    answer = await answerOf(outgoing);
  } catch (error) {
    if (call.signal.aborted) throw error;
    const text = opening.signal.aborted ? (opening.signal.reason as Error).message : dialErrorText(backend, error);
    throw failure(500, undefined, `Get "https://${hostPort(backend)}${target}": ${text}`);
  } finally {
    clearTimeout(timer);
  }
  const status = answer.statusCode ?? 500;
  if (status < 200 || status > 206) throw kubeletRefusal(status, await readText(answer), call.info.name);
  response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  await moveBody(answer, response);
}

/** Source: apiserver pkg/registry/generic/rest/response_checker.go. */
function kubeletRefusal(status: number, text: string, name: string): StatusError {
  const details = { name, kind: 'pods/log' };
  switch (status) {
    case 400: return badRequest(text);
    case 500: return internalError(text);
    case 404: return failure(404, 'NotFound', `the server could not find the requested resource ( pods/log ${name})`, details);
    case 401: return failure(401, 'Unauthorized', `the server has asked for the client to provide credentials ( pods/log ${name})`, details);
    case 403: return failure(403, 'Forbidden', text, details);
    case 503: return failure(503, 'ServiceUnavailable', 'the server is currently unable to handle the request', details);
    default: return failure(status, undefined, `the server responded with the status code ${status} but did not return more information ( pods/log ${name})`, details);
  }
}

async function readText(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_ERROR_BYTES) break;
  }
  return text;
}

function streaming(subresource: string, targetOf: (pod: Pod, query: URLSearchParams) => string, kubelet: KubeletOf, authorizer: Authorizer): ConnectHandler {
  return {
    group: '', resource: 'pods', subresource,
    handle: () => Promise.reject(badRequest('Upgrade request required')),
    async upgrade(call, request, socket, head) {
      await requireCreate(call, authorizer);
      const pod = await mustRead(call, podKind, call.info.namespace, call.info.name);
      const target = targetOf(pod, call.query);
      const nodeName = pod.spec?.nodeName;
      if (!nodeName) throw badRequest(`pod ${call.info.name} does not have a host assigned`);
      await tunnel(request, socket, head, { backend: await kubelet(call, nodeName), target, signal: call.signal });
    },
  };
}

/** A WebSocket comes as GET, but what it does is more than reading. Source: feature AuthorizePodWebsocketUpgradeCreatePermission. */
async function requireCreate({ info, user }: ResourceCall, authorizer: Authorizer): Promise<void> {
  if (info.verb === 'create') return;
  const attributes = { ...info, user, verb: 'create' };
  const { allowed, reason } = await authorizer.authorize(attributes);
  if (!allowed) throw refused(attributes, reason);
}

function proxying(resource: string, backendOf: (call: ResourceCall) => Promise<Backend>): ConnectHandler {
  return {
    group: '', resource, subresource: 'proxy',
    async handle(call, request, response) {
      const { prefix, path, query } = splitProxyPath(request.url ?? '');
      if (path === '' && (request.method === 'GET' || request.method === 'HEAD')) {
        response.writeHead(301, { location: `${prefix}/${query}` }).end();
        return;
      }
      await forward(request, response, { backend: await backendOf(call), target: `${path || '/'}${query}`, prefix, signal: call.signal });
    },
    async upgrade(call, request, socket, head) {
      const { path, query } = splitProxyPath(request.url ?? '');
      const host = request.headers.host;
      await tunnel(request, socket, head, { backend: await backendOf(call), target: `${path || '/'}${query}`, signal: call.signal, ...(host === undefined ? {} : { host }) });
    },
  };
}

/** What follows `/proxy` goes to the backend as the client wrote it, escapes included. */
export function splitProxyPath(url: string): { readonly prefix: string; readonly path: string; readonly query: string } {
  const [, prefix = '', path = '', query = ''] = /^(\/api\/v1\/(?:namespaces\/[^/?]+\/)?[^/?]+\/[^/?]+\/proxy)(\/[^?]*)?(\?.*)?$/.exec(url) ?? [];
  return { prefix, path, query };
}

function parsePort(port: string, scheme: 'http' | 'https'): number {
  if (port === '') return scheme === 'https' ? 443 : 80;
  const number = Number(port);
  if (!/^\d+$/.test(port) || number < 1 || number > 65535) throw badRequest(`invalid port ${JSON.stringify(port)}`);
  return number;
}

async function podBackend(call: ResourceCall): Promise<Backend> {
  const id = splitSchemeNamePort(call.info.name);
  if (!id) throw badRequest(`invalid pod request ${JSON.stringify(call.info.name)}`);
  const pod = await mustRead(call, podKind, call.info.namespace, id.name);
  const scheme = id.scheme || 'http';
  const { host, port } = podAddress(pod, id.port);
  return { scheme, host, port: parsePort(port, scheme) };
}

async function serviceBackend(call: ResourceCall, fraction: number): Promise<Backend> {
  const id = splitSchemeNamePort(call.info.name);
  if (!id) throw badRequest(`invalid service request ${JSON.stringify(call.info.name)}`);
  const { namespace } = call.info;
  const service = await mustRead(call, serviceKind, namespace, id.name);
  const slices = call.objects.listCached(endpointSliceKind, namespace).filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === id.name);
  return { scheme: id.scheme || 'http', ...serviceEndpoint(service, slices, id.port, fraction) };
}

async function nodeBackend(call: ResourceCall, kubelet: KubeletOf): Promise<Backend> {
  const id = splitSchemeNamePort(call.info.name);
  if (!id) throw badRequest(`invalid node request ${JSON.stringify(call.info.name)}`);
  const backend = await kubelet(call, id.name);
  if (id.port === '' || Number(id.port) === backend.port || Number(id.port) === KUBELET_PORT) return backend;
  const scheme = id.scheme || 'http';
  return { scheme, host: backend.host, port: parsePort(id.port, scheme) };
}
