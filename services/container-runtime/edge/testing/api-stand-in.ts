// The least of an API server that kubectl exec, attach and port-forward need, for tests of the streaming server: one pod per
// container of a runtime; upgrades are tunnelled to the runtime's URL as raw bytes, as apiserver and kubelet do.
// Arguments: CRI socket, port.
import { createServer, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { connectToRuntime } from '#lib/cri/client.ts';

const [, , socketPath = '', port = ''] = process.argv;
const { runtime } = connectToRuntime(socketPath);

async function containerOf(pod: string): Promise<{ containerId: string; podSandboxId: string; tty: boolean; stdin: boolean }> {
  const { containers } = await runtime.listContainers({});
  for (const { id, podSandboxId } of containers) {
    const { status } = await runtime.podSandboxStatus({ podSandboxId });
    if (status?.metadata?.name === pod) return { containerId: id, podSandboxId, tty: pod.includes('tty'), stdin: true };
  }
  throw new Error(`no pod ${pod}`);
}

/** Discovery: pods are all there is. */
const DISCOVERY: Readonly<Record<string, object>> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
  '/api/v1': { kind: 'APIResourceList', groupVersion: 'v1', resources: [{ name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'] }] },
};

const server = createServer((request, response) => {
  const found = DISCOVERY[(request.url ?? '').split('?')[0] ?? ''];
  if (found) return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
  const pod = /\/pods\/([^/?]+)/.exec(request.url ?? '')?.[1] ?? '';
  containerOf(pod).then(({ tty, stdin }) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({
      apiVersion: 'v1', kind: 'Pod', metadata: { name: pod, namespace: 'default' },
      spec: { containers: [{ name: 'main', image: 'x', tty, stdin }] }, status: { phase: 'Running', containerStatuses: [{ name: 'main', ready: true, state: { running: {} } }] },
    }));
  }, (error: Error) => response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message: error.message, code: 404 })));
});

async function urlFor(request: IncomingMessage): Promise<URL> {
  const asked = new URL(request.url ?? '/', 'http://localhost');
  const [, pod = '', verb = ''] = /\/pods\/([^/]+)\/(\w+)/.exec(asked.pathname) ?? [];
  const { containerId, podSandboxId } = await containerOf(pod);
  const has = (name: string): boolean => asked.searchParams.get(name) === 'true';
  const shape = { tty: has('tty'), stdin: has('stdin'), stdout: has('stdout'), stderr: has('stderr') };
  if (verb === 'exec') return new URL((await runtime.exec({ containerId, cmd: asked.searchParams.getAll('command'), ...shape })).url);
  if (verb === 'attach') return new URL((await runtime.attach({ containerId, ...shape })).url);
  return new URL((await runtime.portForward({ podSandboxId, port: asked.searchParams.getAll('ports').map(Number) })).url);
}

server.on('upgrade', (request, client, head: Buffer) => {
  urlFor(request).then((url) => {
    const upstream = connect(Number(url.port), url.hostname, () => {
      const headers = request.rawHeaders.reduce((text, value, index) => text + value + (index % 2 === 0 ? ': ' : '\r\n'), '');
      upstream.write(`${request.method} ${url.pathname} HTTP/1.1\r\n${headers}\r\n`);
      upstream.write(head);
      client.pipe(upstream).pipe(client);
    });
    for (const socket of [client, upstream]) socket.on('error', () => { client.destroy(); upstream.destroy(); });
  }, (error: Error) => client.end(`HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\ncontent-length: ${error.message.length}\r\n\r\n${error.message}`));
});

server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
