// Connecting subresources over real sockets: a small API server in front of a kubelet that speaks TLS, and of a pod.
import assert from 'node:assert/strict';
import { createServer, request as requestHttp, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { parseRequestInfo } from '../../core/request-info.ts';
import type { ResourceCall } from '../../edge/extension.ts';
import { MemoryObjects } from '../memory-objects.ts';
import { kubeletAddress, serviceEndpoint, splitSchemeNamePort } from './addresses.ts';
import { dial } from './backend.ts';
import { connectHandlers, splitProxyPath } from './connect-handlers.ts';
import { chooseContainer, logTarget, streamTarget } from './pod-target.ts';

const nowMs = Date.now();
const ca = await createCertificateAuthority({ commonName: 'kubernetes', nowMs });
const kubeletCertificate = await issueCertificate({ ca, commonName: 'w1', ipAddresses: ['127.0.0.1'], usages: ['server'], nowMs });
const client = await issueCertificate({ ca, commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'], usages: ['client'], nowMs });
const objects = new MemoryObjects();
const seen: { url: string; headers: IncomingMessage['headers']; user: string }[] = [];
let mayCreate = true;
let kubelet: HttpsServer;
let front: Server;
let frontPort: number;

const listen = async (server: Server | HttpsServer): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

const note = (request: IncomingMessage) => {
  const user = String((request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? '');
  seen.push({ url: request.url ?? '', headers: request.headers, user });
};

const kubeletRoutes: RequestListener = (request, response) => {
  note(request);
  if (request.url?.includes('/waiting')) response.writeHead(400).end('container "waiting" in pod "p" is waiting to start: ContainerCreating');
  else if (request.url?.startsWith('/containerLogs/')) response.writeHead(200, { 'content-type': 'text/plain' }).write('line 1\n', () => setImmediate(() => response.end('line 2\n')));
  else response.end(`kubelet ${request.method ?? ''} ${request.url ?? ''}`);
};

/** Echoes after the handshake; refuses the container `gone`. */
function kubeletUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
  note(request);
  if (request.url?.includes('/gone?')) {
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\ncontainer not found!');
    return;
  }
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello ');
  socket.write(head);
  socket.on('data', (chunk: Buffer) => (chunk.toString() === 'bye' ? socket.end('done') : socket.write(chunk)));
}

before(async () => {
  kubelet = createHttpsServer({ cert: kubeletCertificate.certPem, key: kubeletCertificate.keyPem, ca: ca.certPem, requestCert: true }, kubeletRoutes);
  kubelet.on('upgrade', kubeletUpgrade);
  const kubeletPort = await listen(kubelet);
  const handlers = connectHandlers({
    certPem: client.certPem, keyPem: client.keyPem, caPem: ca.certPem, preferredAddressTypes: ['InternalIP'], fraction: () => 0,
    authorizer: { authorize: () => ({ allowed: mayCreate, reason: '' }) },
  });
  const callOf = (request: IncomingMessage, signal: AbortSignal): ResourceCall => {
    const url = new URL(request.url ?? '', 'http://x');
    return { info: parseRequestInfo(request.method ?? '', url.pathname, url.searchParams), user: { name: 'jane', groups: [] }, query: url.searchParams, objects, signal };
  };
  const handlerOf = ({ info }: ResourceCall) => {
    const handler = handlers.find((one) => one.resource === info.resource && one.subresource === info.subresource);
    assert.ok(handler);
    return handler;
  };
  front = createServer((request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client went away')));
    const call = callOf(request, gone.signal);
    handlerOf(call).handle(call, request, response).catch((error: unknown) => {
      if (error instanceof StatusError && !response.headersSent) response.writeHead(error.code).end(JSON.stringify(error.status));
      else response.destroy();
    });
  });
  front.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const call = callOf(request, new AbortController().signal);
    handlerOf(call).upgrade?.(call, request, socket, head).catch((error: unknown) => {
      socket.end(error instanceof StatusError ? `HTTP/1.1 ${error.code} X\r\n\r\n${error.message}` : `HTTP/1.1 500 X\r\n\r\n${String(error)}`);
    });
  });
  frontPort = await listen(front);

  objects.put(nodeKind, { metadata: { name: 'w1' }, spec: {}, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } } } });
  objects.put(nodeKind, { metadata: { name: 'down' }, spec: {}, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: 1 } } } });
  const pod = (name: string, nodeName: string | undefined, containers: string[]) => objects.put(podKind, {
    metadata: { name, namespace: 'default' }, spec: { ...(nodeName === undefined ? {} : { nodeName }), containers: containers.map((one) => ({ name: one })) },
  });
  pod('p', 'w1', ['c']);
  pod('two', 'w1', ['a', 'b']);
  pod('waiting', 'w1', ['waiting']);
  pod('pending', undefined, ['c']);
  pod('lost', 'down', ['c']);
});

after(() => {
  front.closeAllConnections();
  kubelet.closeAllConnections();
  front.close();
  kubelet.close();
});

async function get(path: string, method = 'GET', body?: string): Promise<{ status: number; headers: IncomingMessage['headers']; text: string }> {
  return await new Promise((resolve, reject) => {
    const outgoing = requestHttp({ host: '127.0.0.1', port: frontPort, path, method, headers: { authorization: 'Bearer secret' } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    });
    outgoing.on('error', reject).end(body);
  });
}
const message = async (path: string): Promise<string> => (JSON.parse((await get(path)).text) as { message: string }).message;
const POD = '/api/v1/namespaces/default/pods';

test('a log comes from the kubelet with the options that were asked for', async () => {
  const answer = await get(`${POD}/p/log?container=c&tailLines=5&follow=true`);
  assert.deepEqual([answer.status, answer.text, answer.headers['content-type']], [200, 'line 1\nline 2\n', 'text/plain']);
  const last = seen.at(-1);
  assert.deepEqual([last?.url, last?.user, last?.headers.authorization], ['/containerLogs/default/p/c?follow=true&tailLines=5', 'kube-apiserver-kubelet-client', undefined]);
});

test('what a kubelet refuses, and what is asked wrongly, is said in a Status', async () => {
  assert.equal(await message(`${POD}/waiting/log`), 'container "waiting" in pod "p" is waiting to start: ContainerCreating');
  assert.equal(await message(`${POD}/two/log`), 'a container name must be specified for pod two, choose one of: [a b]');
  assert.equal(await message(`${POD}/p/log?container=x`), 'container x is not valid for pod p');
  assert.equal(await message(`${POD}/p/log?tailLines=-1`), 'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0');
  assert.equal(await message(`${POD}/none/log`), 'pods "none" not found');
  assert.equal(await message(`${POD}/lost/log`), 'Get "https://127.0.0.1:1/containerLogs/default/lost/c": dial tcp 127.0.0.1:1: connect: connection refused');
  assert.equal((await get(`${POD}/pending/log`)).status, 204);
  assert.equal(await message(`${POD}/p/exec?command=ls`), 'Upgrade request required');
});

/** Sends a request to upgrade and collects what comes back until the connection ends. */
async function upgrade(path: string, thenSend: readonly string[], method = 'POST'): Promise<string> {
  const socket = connect(frontPort, '127.0.0.1');
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nAuthorization: Bearer secret\r\n\r\n`);
  let text = '';
  const pending = [...thenSend];
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    const next = text.includes('hello') ? pending.shift() : undefined;
    if (next !== undefined) socket.write(next);
  });
  await new Promise((resolve) => socket.once('close', resolve).once('error', resolve));
  return text;
}

test('exec is a tunnel: bytes go both ways until one side ends', async () => {
  const text = await upgrade(`${POD}/p/exec?command=sh&command=-c&stdin=true&stdout=true&tty=true`, ['ping', 'bye']);
  assert.match(text, /^HTTP\/1\.1 101 .*hello pingdone$/s);
  const last = seen.at(-1);
  assert.equal(last?.url, '/exec/default/p/c?command=sh&command=-c&input=1&output=1&tty=1');
  assert.equal(last.headers['x-stream-protocol-version'], 'v4.channel.k8s.io');
  assert.equal(last.headers.authorization, undefined);
  assert.equal(last.user, 'kube-apiserver-kubelet-client');
});

test('attach and port-forward go to their places at the kubelet', async () => {
  assert.match(await upgrade(`${POD}/p/attach?stdout=true`, ['bye']), /done$/);
  assert.equal(seen.at(-1)?.url, '/attach/default/p/c?output=1');
  assert.match(await upgrade(`${POD}/p/portforward?ports=80`, ['bye']), /done$/);
  assert.equal(seen.at(-1)?.url, '/portForward/default/p?port=80');
});

test('a kubelet that refuses or cannot be reached is heard', async () => {
  objects.put(podKind, { metadata: { name: 'g', namespace: 'default' }, spec: { nodeName: 'w1', containers: [{ name: 'gone' }] } });
  assert.match(await upgrade(`${POD}/g/exec?command=ls`, []), /^HTTP\/1\.1 404 Not Found.*container not found!$/s);
  assert.match(await upgrade(`${POD}/lost/exec?command=ls`, []), /^HTTP\/1\.1 500 .*error dialing backend: dial tcp 127\.0\.0\.1:1: connect: connection refused$/s);
  assert.match(await upgrade(`${POD}/pending/exec?command=ls`, []), /pod pending does not have a host assigned$/);
});

test('a WebSocket that comes as GET needs the right to create', async () => {
  mayCreate = false;
  assert.match(await upgrade(`${POD}/p/exec?command=ls`, [], 'GET'), /403 .*User "jane" cannot create resource "pods\/exec" in API group "" in the namespace "default"$/s);
  mayCreate = true;
});

test('nodes are proxied to their kubelet', async () => {
  assert.equal((await get('/api/v1/nodes/w1/proxy/stats/summary?x=1')).text, 'kubelet GET /stats/summary?x=1');
  assert.equal((await get('/api/v1/nodes/w1/proxy/run', 'POST', 'body')).text, 'kubelet POST /run');
  const redirect = await get('/api/v1/nodes/w1/proxy');
  assert.deepEqual([redirect.status, redirect.headers.location], [301, '/api/v1/nodes/w1/proxy/']);
});

test('a pod or service that does not answer is 503, and loopback is no pod', async () => {
  objects.put(podKind, { metadata: { name: 'web', namespace: 'default' }, spec: { containers: [{ name: 'c' }] }, status: { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] } });
  assert.equal(await message(`${POD}/web:80/proxy/`), 'address not allowed');
  objects.put(serviceKind, { metadata: { name: 'web', namespace: 'default' }, spec: { ports: [{ name: 'http', port: 80 }] } });
  assert.equal(await message('/api/v1/namespaces/default/services/web:http/proxy/'), 'no endpoints available for service "web"');
  assert.equal(await message('/api/v1/namespaces/default/services/web:81/proxy/'), 'no service port 81 found for service "web"');
  objects.put(endpointSliceKind, {
    metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } }, addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }], endpoints: [{ addresses: ['172.16.0.9'], conditions: { ready: false } }, { addresses: ['172.16.0.10'] }],
  });
  const service = objects.cached(serviceKind, 'default', 'web');
  assert.ok(service);
  assert.deepEqual(serviceEndpoint(service, objects.listCached(endpointSliceKind), '80', 0.99), { host: '172.16.0.10', port: 8080 });
});

test('a backend that never answers the dial is given up after a deadline', async () => {
  const silent = createTcpServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  await assert.rejects(dial({ scheme: 'https', host: '127.0.0.1', port }, new AbortController().signal, 50), { message: `dial tcp 127.0.0.1:${port}: i/o timeout` });
  silent.close();
});

test('names, containers and targets are read as upstream reads them', () => {
  assert.deepEqual(splitSchemeNamePort('https:web:443'), { scheme: 'https', name: 'web', port: '443' });
  assert.equal(splitSchemeNamePort('ftp:web:21'), undefined);
  assert.deepEqual(splitProxyPath('/api/v1/namespaces/a/pods/web:80/proxy/x%2Fy?z=1'), { prefix: '/api/v1/namespaces/a/pods/web:80/proxy', path: '/x%2Fy', query: '?z=1' });
  const pod = { metadata: { name: 'p', namespace: 'n' }, spec: { initContainers: [{ name: 'i' }], containers: [{ name: 'c' }] } };
  assert.equal(chooseContainer(pod, ''), 'c');
  assert.equal(chooseContainer(pod, 'i'), 'i');
  assert.deepEqual(logTarget(pod, new URLSearchParams('previous=true&timestamps=true')), { target: '/containerLogs/n/p/c?previous=true&timestamps=true', follows: false });
  assert.equal(streamTarget('exec', pod, new URLSearchParams('command=a%20b&stdout=1&stderr=true&stdin=false')), '/exec/n/p/c?command=a+b&error=1&output=1');
  assert.throws(() => kubeletAddress({ metadata: { name: 'x' }, spec: {} }, ['InternalIP']), /no preferred addresses found; known addresses: \[\]/);
});
