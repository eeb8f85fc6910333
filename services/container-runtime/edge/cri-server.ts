// The two services of CRI on a unix socket: requests to the runtime, errors to gRPC codes.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import { propagation, ROOT_CONTEXT, SpanKind, trace, type Attributes } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { serviceDefinition } from '#lib/cri/codec.ts';
import type { Image, ImageServiceMethods, RuntimeServiceMethods, Sent } from '#lib/cri/messages.ts';
import type { CallContext, Method, StreamCall } from '#lib/grpc/call.ts';
import { GrpcServer } from '#lib/grpc/server.ts';
import { GrpcError, grpcStatus, type GrpcStatus } from '#lib/grpc/status.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { inSpan } from '#lib/tracing/in-span.ts';
import { containerMatches, sandboxMatches } from '../core/filters.ts';
import type { Cgroups } from './cgroups.ts';
import { execStartText } from './exec-error.ts';
import { ExecDeadlineExceeded, type Execs } from './exec.ts';
import { ImageError, STAND_IN_ANNOTATION, type ImageStore, type StoredImage } from './images.ts';
import { importMethod, type ImportRequest, type ImportResponse } from './import-call.ts';
import { NetworkNotReady, type PodNetwork } from './network.ts';
import { FailedPrecondition, NotFound, type Runtime } from './runtime.ts';
import type { Stats } from './stats.ts';
import { containerStatus, containerSummary, sandboxStatus, sandboxSummary, stateOf } from './status.ts';
import type { StreamingServer } from './streaming/server.ts';

export const RUNTIME_NAME = 'containerd';
/** The version of containerd whose answers these are, and that it is not containerd. */
export const RUNTIME_VERSION = 'v2.1.0-kubreak';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Time that running calls get when the runtime stops. Milliseconds. */
const SHUTDOWN_GRACE_MS = 500;
/** Events waiting for a slow reader before its stream is ended; it lists again then. */
const EVENT_BACKLOG = 1_000;

type Handlers<M> = { [N in keyof M & string as N extends 'GetContainerEvents' ? never : N]: M[N] extends { request: infer Request; response: infer Response } ? (request: Request) => Promise<Sent<Response>> | Sent<Response> : never };

export interface CriDependencies {
  readonly runtime: Runtime;
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly cgroups: Cgroups;
  readonly execs: Execs;
  readonly stats: Stats;
  readonly streaming: StreamingServer;
  readonly now: () => bigint;
  readonly log: Logger;
}

const required = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new FailedPrecondition(`the request lacks ${what}`);
  return value;
};

function runtimeHandlers({ runtime, network, cgroups, execs, stats, streaming }: CriDependencies): Handlers<RuntimeServiceMethods> {
  return {
    Version: () => ({ version: '0.1.0', runtimeName: RUNTIME_NAME, runtimeVersion: RUNTIME_VERSION, runtimeApiVersion: 'v1' }),
    RunPodSandbox: async ({ config, runtimeHandler }) => ({ podSandboxId: await runtime.runSandbox(required(config, 'a config'), runtimeHandler) }),
    StopPodSandbox: async ({ podSandboxId }) => { await runtime.stopSandbox(podSandboxId); return {}; },
    RemovePodSandbox: async ({ podSandboxId }) => { await runtime.removeSandbox(podSandboxId); return {}; },
    PodSandboxStatus: ({ podSandboxId, verbose }) => {
      const sandbox = runtime.sandbox(podSandboxId);
      return {
        status: sandboxStatus(sandbox), containersStatuses: runtime.containersOf(sandbox.id).map((container) => containerStatus(container, runtime)),
        ...(verbose ? { info: { info: JSON.stringify({ netns: sandbox.netns, hostInterface: sandbox.hostInterface }) } } : {}),
      };
    },
    ListPodSandbox: ({ filter }) => ({
      items: [...runtime.sandboxes.values()].filter((sandbox) => sandbox.phase !== 'creating'
        && sandboxMatches(filter, { id: sandbox.id, state: sandbox.phase === 'ready' ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY', labels: sandbox.config.labels })).map(sandboxSummary),
    }),
    CreateContainer: async ({ podSandboxId, config }) => ({ containerId: await runtime.createContainer(podSandboxId, required(config, 'a config')) }),
    StartContainer: async ({ containerId }) => { await runtime.startContainer(containerId); return {}; },
    StopContainer: async ({ containerId, timeout }) => { await runtime.stopContainer(containerId, timeout); return {}; },
    RemoveContainer: async ({ containerId }) => { await runtime.removeContainer(containerId); stats.forget(containerId); return {}; },
    ListContainers: ({ filter }) => ({
      containers: [...runtime.containers.values()].filter((container) => containerMatches(filter, { id: container.id, sandboxId: container.sandboxId, state: stateOf(container), labels: container.config.labels }))
        .map((container) => containerSummary(container, runtime)),
    }),
    ContainerStatus: ({ containerId, verbose }) => {
      const container = runtime.container(containerId);
      return {
        status: containerStatus(container, runtime),
        ...(verbose ? { info: { info: JSON.stringify({ pid: container.process?.pid ?? 0, sandboxID: container.sandboxId, cgroup: runtime.cgroupPath(container) }) } } : {}),
      };
    },
    UpdateContainerResources: ({ containerId, linux }) => { runtime.updateResources(containerId, linux); return {}; },
    ReopenContainerLog: ({ containerId }) => { runtime.reopenLog(containerId); return {}; },
    ExecSync: async ({ containerId, cmd, timeout }) => {
      const { exitCode, startError, stdout, stderr } = await execs.runToEnd(runtime.container(containerId), cmd, timeout);
      if (startError !== undefined) throw new Error(execStartText(startError));
      return { exitCode, stdout, stderr };
    },
    Exec: (request) => {
      runtime.planExec(runtime.container(request.containerId), request.cmd, request.tty); // refuses now what cannot work
      return { url: streaming.exec({ ...request, containerId: runtime.container(request.containerId).id }) };
    },
    Attach: (request) => {
      const container = runtime.container(request.containerId);
      if (container.phase !== 'running') throw new FailedPrecondition(`container is in ${stateOf(container)} state`);
      return { url: streaming.attach({ ...request, containerId: container.id }) };
    },
    PortForward: ({ podSandboxId, port }) => {
      const sandbox = runtime.sandbox(podSandboxId);
      if (sandbox.phase !== 'ready') throw new FailedPrecondition(`sandbox container "${podSandboxId}" is not running`);
      return { url: streaming.portForward({ podSandboxId: sandbox.id, port }) };
    },
    ContainerStats: ({ containerId }) => ({ stats: stats.ofContainer(runtime.container(containerId)) }),
    ListContainerStats: ({ filter }) => ({
      stats: [...runtime.containers.values()].filter((container) => container.phase === 'running'
        && containerMatches(filter && { ...filter, state: undefined }, { id: container.id, sandboxId: container.sandboxId, state: stateOf(container), labels: container.config.labels }))
        .map((container) => stats.ofContainer(container)),
    }),
    PodSandboxStats: ({ podSandboxId }) => ({ stats: stats.ofSandbox(runtime.sandbox(podSandboxId)) }),
    ListPodSandboxStats: ({ filter }) => ({
      stats: [...runtime.sandboxes.values()].filter((sandbox) => sandbox.phase === 'ready'
        && sandboxMatches(filter && { ...filter, state: undefined }, { id: sandbox.id, state: 'SANDBOX_READY', labels: sandbox.config.labels })).map((sandbox) => stats.ofSandbox(sandbox)),
    }),
    // The pod network has its blocks from calico-node, not from the node's pod CIDR.
    UpdateRuntimeConfig: () => ({}),
    Status: ({ verbose }) => ({
      status: { conditions: [{ type: 'RuntimeReady', status: true }, networkCondition(network)] },
      runtimeHandlers: [{ name: '', features: {} }, { name: 'runc', features: {} }],
      features: { supplementalGroupsPolicy: true },
      ...(verbose ? {
        info: {
          config: JSON.stringify({ runtime: RUNTIME_VERSION, note: 'the embedded runtime of kubreak, not containerd' }),
          limits: JSON.stringify({ cgroupVersion: cgroups.version, controllers: cgroups.controllers, lacking: cgroups.lacking }),
        },
      } : {}),
    }),
    RuntimeConfig: () => ({ linux: { cgroupDriver: 'CGROUPFS' } }),
    // Limits of a whole pod are set by the kubelet on the pod's own cgroup.
    UpdatePodSandboxResources: ({ podSandboxId }) => { runtime.sandbox(podSandboxId); return {}; },
  };
}

function networkCondition(network: PodNetwork): { type: string; status: boolean; reason?: string; message?: string } {
  try {
    network.readConfig();
    return { type: 'NetworkReady', status: true };
  } catch (error) {
    if (!(error instanceof NetworkNotReady)) throw error;
    return { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: `Network plugin returns error: ${error.message}` };
  }
}

function imageHandlers({ images, runtime, now }: CriDependencies): Handlers<ImageServiceMethods> {
  const describe = ({ id, tags, repoDigests, sizeBytes, config, isStandIn }: StoredImage): Sent<Image> => {
    const [user = ''] = config.user.split(':');
    return {
      id, repoTags: tags, repoDigests, size: sizeBytes, pinned: false,
      spec: { image: id, annotations: isStandIn ? { [STAND_IN_ANNOTATION]: 'true' } : {} }, // our own programs stand for nothing else
      ...(/^\d+$/.test(user) ? { uid: { value: Number(user) } } : { username: user }),
    };
  };
  return {
    ListImages: ({ filter }) => {
      const name = filter?.image?.image ?? '';
      const found = name === '' ? images.list() : [images.find(name)].filter((image) => image !== undefined);
      return { images: found.map(describe) };
    },
    ImageStatus: ({ image, verbose }) => {
      const found = images.find(image?.image ?? '');
      if (!found) return {};
      return { image: describe(found), ...(verbose ? { info: { info: JSON.stringify({ ...(found.isStandIn ? { [STAND_IN_ANNOTATION]: 'true' } : {}), config: found.config, layers: found.layers, volumes: found.volumes }) } } : {}) };
    },
    PullImage: async ({ image, auth }) => ({ imageRef: (await images.pull(image?.image ?? '', auth)).id }),
    RemoveImage: async ({ image }) => { await images.remove(image?.image ?? '', runtime.usedImages()); return {}; },
    ImageFsInfo: () => {
      const { usedBytes, inodesUsed } = images.usage();
      const usage = { timestamp: now(), fsId: { mountpoint: images.root }, usedBytes: { value: usedBytes }, inodesUsed: { value: inodesUsed } };
      return { imageFilesystems: [usage], containerFilesystems: [usage] };
    },
  };
}

const importHandler = ({ images }: CriDependencies) => async ({ path, name }: ImportRequest): Promise<ImportResponse> =>
  ({ images: (await images.load(path, name)).map(({ id, tags }) => ({ id, tags })) });

function codeOf(error: unknown): GrpcStatus {
  if (error instanceof NotFound) return grpcStatus.NOT_FOUND;
  if (error instanceof ImageError) return { 'not-found': grpcStatus.NOT_FOUND, 'invalid': grpcStatus.INVALID_ARGUMENT, 'failed': grpcStatus.UNKNOWN }[error.reason];
  if (error instanceof FailedPrecondition) return grpcStatus.FAILED_PRECONDITION;
  if (error instanceof ExecDeadlineExceeded) return grpcStatus.DEADLINE_EXCEEDED;
  return grpcStatus.UNKNOWN;
}

/** Calls that come every second and say nothing. */
const QUIET = new Set(['Status', 'ListPodSandbox', 'ListContainers', 'PodSandboxStatus', 'ContainerStatus', 'ImageStatus', 'ListContainerStats', 'ListPodSandboxStats']);

/** An error becomes its code and text for the client. */
async function answer(name: string, run: () => unknown, log: Logger): Promise<object> {
  try {
    return (await run()) as object;
  } catch (error) {
    const details = error instanceof Error ? error.message : String(error);
    if (!QUIET.has(name)) log.info({ call: name, error: details }, 'refused a call');
    throw new GrpcError(codeOf(error), details, { cause: error });
  }
}

const tracer = trace.getTracer('github.com/containerd/containerd');

interface ToldRequest {
  readonly config?: { readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly uid?: string }; readonly image?: { readonly image?: string } };
  readonly podSandboxId?: string;
  readonly containerId?: string;
  readonly image?: { readonly image?: string };
}

/** Whose pod and which container a call is about; what is not known says nothing. */
function subjectOf(request: ToldRequest, { runtime }: CriDependencies): Attributes {
  const { config, podSandboxId, containerId, image } = request;
  const container = containerId === undefined ? undefined : runtime.containers.get(containerId);
  const pod = (podSandboxId ?? container?.sandboxId) === undefined ? config?.metadata : runtime.sandboxes.get(podSandboxId ?? container?.sandboxId ?? '')?.config.metadata;
  const name = podSandboxId !== undefined ? config?.metadata?.name : container?.config.metadata?.name;
  return {
    [attribute.podName]: pod?.name, [attribute.namespace]: pod?.namespace, [attribute.podUid]: pod?.uid, [attribute.uid]: pod?.uid, [attribute.containerName]: name,
    [attribute.what]: name ?? image?.image ?? pod?.name,
  };
}

/** In traces, when the caller's work is. */
function told(name: string, request: object, call: CallContext, dependencies: CriDependencies, run: () => Promise<object>): Promise<object> {
  if (call.metadata('traceparent') === undefined) return run();
  const parent = propagation.extract(ROOT_CONTEXT, call, { get: (carrier, header) => carrier.metadata(header), keys: () => [] });
  const [, service = ''] = call.path.split('/');
  return inSpan(tracer, `${service}/${name}`, {
    kind: SpanKind.SERVER, parent, attributes: { [attribute.rpcSystem]: 'grpc', [attribute.rpcService]: service, [attribute.rpcMethod]: name, ...subjectOf(request as ToldRequest, dependencies) },
  }, run);
}

/** Runs until the reader goes, or is too slow. */
function sendEvents(call: StreamCall<object, object>, { runtime, log }: CriDependencies): Promise<void> {
  return new Promise((resolve, reject) => {
    const waiting: object[] = [];
    let isBlocked = false;
    const send = (event: object): void => {
      if (call.send(event)) return;
      isBlocked = true;
      void call.drained().then(() => {
        isBlocked = false;
        while (waiting.length > 0 && !isBlocked) send(waiting.shift() as object);
      });
    };
    const unsubscribe = runtime.events.subscribe((event) => {
      if (!isBlocked) return send(event);
      waiting.push(event);
      if (waiting.length <= EVENT_BACKLOG) return;
      unsubscribe();
      log.warn('a reader of container events is too slow: its stream is ended');
      reject(new GrpcError(grpcStatus.RESOURCE_EXHAUSTED, 'too many events are waiting'));
    });
    call.sendHeaders(); // what happens from now on is told
    call.signal.addEventListener('abort', () => {
      unsubscribe();
      resolve();
    }, { once: true });
  });
}

/** Throws when another process listens on the socket; a socket that nobody serves is replaced. */
async function freeSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  if (!existsSync(path)) return;
  const isServed = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
  if (isServed) throw new Error(`listen unix ${path}: bind: address already in use`);
  rmSync(path, { force: true });
}

export interface CriServer {
  /** Refuses new calls, ends event streams and lets running calls come to their end. */
  close(): Promise<void>;
}

export async function serveCri(socketPath: string, dependencies: CriDependencies): Promise<CriServer> {
  await freeSocket(socketPath);
  const { log } = dependencies;
  const grpc = new GrpcServer({ maxReceiveBytes: MAX_MESSAGE_BYTES });
  const serve = (methods: Readonly<Record<string, Method<object, object>>>, handlers: Readonly<Record<string, (request: never) => unknown>>): void => {
    for (const [name, handle] of Object.entries(handlers)) grpc.addUnary(methods[name] as Method<object, object>, (request, call) => told(name, request, call, dependencies, () => answer(name, () => handle(request as never), log)));
  };
  const { GetContainerEvents, ...runtimeMethods } = serviceDefinition('RuntimeService');
  serve(runtimeMethods, runtimeHandlers(dependencies) as never);
  grpc.addServerStream(GetContainerEvents as Method<object, object>, (_, call) => sendEvents(call, dependencies));
  serve(serviceDefinition('ImageService'), imageHandlers(dependencies) as never);
  const importImages = importHandler(dependencies);
  grpc.addUnary(importMethod, (request) => answer('Import', () => importImages(request), log) as Promise<ImportResponse>);
  const server = createServer((socket) => grpc.accept(socket));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => { server.close(() => resolve()); });
      await grpc.drain(SHUTDOWN_GRACE_MS); // event streams never end by themselves
      grpc.close();
      await closed;
    },
  };
}
