// The kubelet's own servers: HTTPS on 10250 for logs, exec and figures; plain health on 127.0.0.1:10248.
// Source: pkg/kubelet/server/server.go.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { Gauge, type Registry } from 'prom-client';
import type { ApiClient } from '#lib/api-client/client.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Pod, PodStatus } from '#lib/kinds/types/core-v1.ts';
import { aborted } from '#lib/service/abort.ts';
import { requestUrl } from '#lib/service/request-url.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { containerToRead, logOptions, LogRequestError } from '../../core/log-request.ts';
import { findContainer } from '../../core/pod-spec.ts';
import { liveContainers } from '../../core/runtime-pod.ts';
import type { KubeletFlags } from '../../flags.ts';
import type { KubeletConfiguration } from '../configuration.ts';
import { readLog } from '../container-log.ts';
import type { NodeStats } from '../node-stats.ts';
import type { PodWorker } from '../pod-worker.ts';
import type { PodWorkers } from '../pod-workers.ts';
import type { RuntimeEvents } from '../runtime-events.ts';
import type { RuntimeHealth } from '../runtime-health.ts';
import { errorText, type Runtime } from '../runtime.ts';
import type { StatusWriter } from '../status-writer.ts';
import type { Volumes } from '../volumes.ts';
import { Access, AccessRefused } from './access.ts';
import { servingCertificate } from './certificate.ts';
import { cadvisorMetrics, resourceMetrics } from './stats.ts';
import { tunnel } from './stream-tunnel.ts';

export interface ServersOptions extends Environment {
  readonly config: KubeletConfiguration;
  readonly flags: KubeletFlags;
  readonly name: string;
  readonly hostIPs: readonly string[];
  readonly runtime: Runtime;
  readonly api: ApiClient | undefined;
  readonly workers: PodWorkers;
  readonly statuses: StatusWriter;
  readonly volumes: Volumes;
  readonly health: RuntimeHealth;
  readonly stats: NodeStats;
  readonly runtimeEvents: RuntimeEvents;
  readonly signal: AbortSignal;
}

/** A request that cannot be served, with the answer it gets. */
class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Resolves when the servers have closed; rejects when an address is taken. */
export async function startKubeletServers(options: ServersOptions): Promise<void> {
  const { config, flags, name, hostIPs, clock, log, signal, runtimeEvents } = options;
  const metrics = kubeletMetrics(options);
  const { key, cert } = await servingCertificate({ certFile: config.tlsCertFile, keyFile: config.tlsPrivateKeyFile, folder: flags.certDir, hostname: name, addresses: hostIPs, nowMs: clock.nowMs() });
  const handler = new KubeletHandler(options, metrics);
  const server = createServer({ key, cert, requestCert: true, rejectUnauthorized: false, ...(config.clientCAFile === '' ? {} : { ca: await readFile(config.clientCAFile) }) },
    (request, response) => void handler.answer(request, response));
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => void handler.upgrade(request, socket, head));
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'TLS handshake failed'));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.address, resolve);
  });
  if (config.healthzPort !== 0) {
    await startHealthServer({ host: config.healthzBindAddress, port: config.healthzPort, metrics, live: [{ name: 'syncloop', check: () => runtimeEvents.problem() }], authorize: async () => 404, signal });
  }
  log.info({ address: config.address, port: config.port, healthz: config.healthzPort }, 'serving');
  await aborted(signal);
  server.close();
  server.closeAllConnections();
}

function kubeletMetrics({ workers, name }: ServersOptions): Registry {
  const metrics = newMetrics();
  const gauge = (metric: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): void => {
    new Gauge({ name: metric, help, labelNames, registers: [metrics], collect() { collect(this); } });
  };
  gauge('kubelet_node_name', "The node's name. The count is always 1.", ['node'], (one) => one.set({ node: name }, 1));
  gauge('kubelet_running_pods', 'Number of pods that have a running pod sandbox', [], (one) => one.set(workers.all().filter(({ runtimePod }) => runtimePod.sandboxes.some(({ isReady }) => isReady)).length));
  gauge('kubelet_running_containers', 'Number of containers currently running', ['container_state'], (one) => {
    for (const state of ['created', 'running', 'exited', 'unknown']) one.set({ container_state: state }, workers.all().reduce((sum, { runtimePod }) => sum + runtimePod.containers.filter((container) => container.state === state).length, 0));
  });
  gauge('kubelet_desired_pods', 'The number of pods the kubelet is being instructed to run.', [], (one) => one.set(workers.all().filter(({ isRemoved }) => !isRemoved).length));
  return metrics;
}

class KubeletHandler {
  readonly #options: ServersOptions;
  readonly #metrics: Registry;
  readonly #access: Access;

  constructor(options: ServersOptions, metrics: Registry) {
    this.#options = options;
    this.#metrics = metrics;
    this.#access = new Access({ config: options.config, api: options.api, nodeName: options.name, clock: options.clock });
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = requestUrl(request.url);
    try {
      await this.#access.check(request, url.pathname);
      await this.#route(request, response, url);
    } catch (error) {
      if (response.headersSent) return void response.destroy();
      const [status, text] = answerFor(error);
      if (status === 500) this.#options.log.warn({ err: error, path: url.pathname }, 'request failed');
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
    }
  }

  /** exec, attach, portForward: the connection becomes a tunnel. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy()); // the client went away
    const url = requestUrl(request.url);
    try {
      await this.#access.check(request, url.pathname);
      await tunnel(request, socket, { head, target: await this.#streamingUrl(url), idleMs: this.#options.config.streamingConnectionIdleTimeoutMs, signal: this.#options.signal });
    } catch (error) {
      const [status, text] = answerFor(error);
      if (status === 500) this.#options.log.warn({ err: error, path: url.pathname }, 'cannot open stream');
      socket.end(`HTTP/1.1 ${status} ${status === 404 ? 'Not Found' : status === 400 ? 'Bad Request' : status === 401 ? 'Unauthorized' : status === 403 ? 'Forbidden' : 'Internal Server Error'}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, first = ''] = url.pathname.split('/');
    const { stats } = this.#options;
    const send = (type: string, text: string): void => void response.writeHead(200, { 'content-type': type }).end(text);
    switch (first) {
      case 'healthz': {
        const problem = url.pathname === '/healthz/ping' || url.pathname === '/healthz/log' ? undefined : this.#options.runtimeEvents.problem();
        return problem === undefined ? send('text/plain; charset=utf-8', 'ok') : void response.writeHead(500).end(problem);
      }
      case 'pods': return send('application/json', JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: this.#options.workers.all().filter(({ isRemoved }) => !isRemoved).map((worker) => this.#shown(worker)) }));
      case 'runningpods': return send('application/json', JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: this.#options.workers.all().filter(({ runtimePod }) => liveContainers(runtimePod).length > 0).map(runningPod) }));
      case 'containerLogs': return this.#logs(response, url);
      case 'run': return this.#run(request, response, url);
      case 'exec':
      case 'attach':
      case 'portForward': throw new RequestError(400, 'Upgrade request required\n');
      case 'configz': return send('application/json', JSON.stringify({ kubeletconfig: this.#options.config.source }));
      case 'stats':
        if (url.pathname === '/stats/summary' || url.pathname === '/stats/summary/') return send('application/json', JSON.stringify(await stats.summary({ onlyCpuAndMemory: url.searchParams.get('only_cpu_and_memory') === 'true' }), undefined, 1));
        break;
      case 'metrics':
        switch (url.pathname) {
          case '/metrics': return send(this.#metrics.contentType, await this.#metrics.metrics());
          case '/metrics/resource': return send('text/plain; version=0.0.4; charset=utf-8', resourceMetrics(await stats.summary({ onlyCpuAndMemory: true })));
          case '/metrics/cadvisor': return send('text/plain; version=0.0.4; charset=utf-8', cadvisorMetrics(await stats.summary({ onlyCpuAndMemory: false })));
          case '/metrics/probes': return send('text/plain; version=0.0.4; charset=utf-8', '');
        }
    }
    throw new RequestError(404, '404 page not found\n');
  }

  #shown({ pod, uid }: PodWorker): Pod {
    return { ...pod, apiVersion: 'v1', kind: 'Pod', status: this.#statusOf(uid) ?? pod.status };
  }
  #statusOf(uid: string): PodStatus | undefined {
    return this.#options.statuses.get(uid);
  }

  #find(namespace: string, name: string, missing: string): PodWorker {
    const worker = this.#options.workers.byName(namespace, name);
    if (!worker) throw new RequestError(404, missing);
    return worker;
  }

  async #logs(response: ServerResponse, url: URL): Promise<void> {
    const { runtime, clock, signal } = this.#options;
    const [, , namespace = '', name = '', container = ''] = url.pathname.split('/').map(decodeURIComponent);
    if (namespace === '') throw new RequestError(400, '{"message": "Missing podNamespace."}');
    if (name === '') throw new RequestError(400, '{"message": "Missing podID."}');
    if (container === '') throw new RequestError(400, '{"message": "Missing container name."}');
    const options = logOptions(url.searchParams, clock.nowMs());
    const worker = this.#find(namespace, name, `pod ${JSON.stringify(name)} does not exist\n`);
    if (!findContainer(worker.pod, container)) throw new RequestError(404, `container ${JSON.stringify(container)} not found in pod ${JSON.stringify(name)}\n`);
    const status = this.#statusOf(worker.uid) ?? worker.pod.status;
    const own = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? []), ...(status?.ephemeralContainerStatuses ?? [])].find((one) => one.name === container);
    const containerId = containerToRead(own, container, name, options.previous);
    const path = (await runtime.cri.containerStatus({ containerId })).status?.logPath ?? '';
    if (path === '') throw new RequestError(400, `unable to retrieve container logs for ${runtime.identity.name}://${containerId}`);
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client went away')));
    const isLive = async (): Promise<boolean> => {
      const current = worker.runtimePod.containers.find(({ id }) => id === containerId);
      return current?.state === 'running' || current?.state === 'created';
    };
    const pieces = readLog(path, { ...options, isLive, signal: AbortSignal.any([signal, gone.signal]) });
    const start = (): void => void (response.headersSent || response.writeHead(200, { 'content-type': 'text/plain' }));
    try {
      if (options.follow) {
        start();
        response.flushHeaders();
      }
      for await (const piece of pieces) {
        start();
        if (!response.write(piece) && !gone.signal.aborted) await new Promise<void>((resolve) => {
          response.once('drain', resolve);
          response.once('close', resolve);
        });
      }
    } catch (error) {
      if (gone.signal.aborted) return;
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new RequestError(400, `failed to try resolving symlinks in path ${JSON.stringify(path)}: lstat ${path}: no such file or directory`);
      throw error;
    }
    start();
    response.end();
  }

  async #run(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (request.method !== 'POST') throw new RequestError(405, '405: Method Not Allowed\n');
    const { runtime } = this.#options;
    const { worker, container } = this.#target(url);
    const running = worker.runtimePod.containers.find((one) => one.name === container && one.state === 'running');
    if (!running) throw new RequestError(500, `container not found (${JSON.stringify(container)})`);
    const command = url.searchParams.getAll('cmd').join(' ').split(' ').filter((part) => part !== '');
    const { stdout, stderr, exitCode } = await runtime.cri.execSync({ containerId: running.id, cmd: command, timeout: 0 });
    const output = Buffer.concat([stdout, stderr]);
    response.writeHead(exitCode === 0 ? 200 : 500, { 'content-type': 'text/plain' });
    response.end(exitCode === 0 ? output : `command '${command.join(' ')}' exited with ${exitCode}: ${output.toString('utf8')}`);
  }

  /** `/exec/NAMESPACE/POD[/UID]/CONTAINER` */
  #target(url: URL): { readonly worker: PodWorker; readonly container: string } {
    const [, , namespace = '', name = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    return { worker: this.#find(namespace, name, 'pod does not exist\n'), container: rest.at(-1) ?? '' };
  }

  async #streamingUrl(url: URL): Promise<string> {
    const { runtime } = this.#options;
    const [, kind = ''] = url.pathname.split('/');
    const flag = (name: string): boolean => ['1', 'true'].includes(url.searchParams.get(name) ?? '');
    const { worker, container } = this.#target(url);
    if (kind === 'portForward') {
      const sandbox = worker.runtimePod.sandboxes.find(({ isReady }) => isReady);
      if (!sandbox) throw new RequestError(500, `cannot find sandbox of pod ${JSON.stringify(worker.pod.metadata.name)}`);
      const ports = url.searchParams.getAll('port').flatMap((text) => text.split(',')).map(Number).filter((port) => Number.isInteger(port) && port > 0);
      return (await runtime.cri.portForward({ podSandboxId: sandbox.id, port: ports })).url;
    }
    if (kind !== 'exec' && kind !== 'attach') throw new RequestError(404, '404 page not found\n');
    const running = worker.runtimePod.containers.find((one) => one.name === container && one.state === 'running');
    if (!running) throw new RequestError(500, `container not found (${JSON.stringify(container)})`);
    const streams = { stdin: flag('input'), stdout: flag('output'), stderr: flag('error') && !flag('tty'), tty: flag('tty') };
    if (!streams.stdin && !streams.stdout && !streams.stderr) throw new RequestError(400, 'you must specify at least 1 of stdin, stdout, stderr');
    if (kind === 'attach') {
      const isTty = findContainer(worker.pod, container)?.tty === true;
      return (await runtime.cri.attach({ containerId: running.id, ...streams, tty: isTty, stderr: flag('error') && !isTty })).url;
    }
    return (await runtime.cri.exec({ containerId: running.id, cmd: url.searchParams.getAll('command'), ...streams })).url;
  }
}

function runningPod({ pod, uid, runtimePod }: PodWorker): unknown {
  return {
    metadata: { name: pod.metadata.name, namespace: pod.metadata.namespace, uid },
    spec: { containers: liveContainers(runtimePod).map(({ name, image }) => ({ name, image, resources: {} })) }, status: {},
  };
}

function answerFor(error: unknown): [number, string] {
  if (error instanceof AccessRefused || error instanceof RequestError || error instanceof LogRequestError) return [error.status, error.message];
  return [500, errorText(error)];
}
