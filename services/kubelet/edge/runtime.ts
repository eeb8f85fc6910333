// The container runtime as the kubelet sees it: pods read through CRI into the core's terms.
import { readFile } from 'node:fs/promises';
import { connectToRuntime, CriError, isNotFound, type RuntimeConnection } from '#lib/cri/client.ts';
import type { Container, ContainerStatus, PodSandbox, PodSandboxStatus } from '#lib/cri/messages.ts';
import { msOfNanoseconds } from '#lib/cri/codec.ts';
import { ANNOTATION, LABEL } from '../core/runtime-config.ts';
import type { ContainerRunState, RuntimeContainer, RuntimePod, RuntimeSandbox } from '../core/runtime-pod.ts';
import { tailOfLog } from './container-log.ts';

/** Source: MaxContainerTerminationMessageLength, ...LogLength, ...LogLines. */
const TERMINATION_MESSAGE_BYTES = 4096;
const TERMINATION_LOG_BYTES = 2048;
const TERMINATION_LOG_LINES = 80;

const GRPC_CODES = ['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated'];

/** An error of the runtime as Go's gRPC prints it, which is how users know it from events. */
export function errorText(error: unknown): string {
  if (error instanceof CriError) return `rpc error: code = ${GRPC_CODES[error.code] ?? String(error.code)} desc = ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

const STATES: Readonly<Record<ContainerStatus['state'], ContainerRunState>> = {
  CONTAINER_CREATED: 'created', CONTAINER_RUNNING: 'running', CONTAINER_EXITED: 'exited', CONTAINER_UNKNOWN: 'unknown',
};

export interface RuntimeIdentity {
  /** `containerd`, before `://` in container ids. */
  readonly name: string;
  readonly version: string;
}

/** One line of the list of all that runs: enough to see that something changed. */
export interface PodListing {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Changes whenever a sandbox or container comes, goes or changes its state. */
  readonly fingerprint: string;
  readonly hasRunning: boolean;
}

export class Runtime {
  readonly #connection: RuntimeConnection;
  /** Final states of exited containers: reading their messages again and again would cost file reads. */
  readonly #finished = new Map<string, RuntimeContainer>();
  identity: RuntimeIdentity = { name: 'containerd', version: '' };

  /** `timeoutMs`: of calls without a deadline of their own. */
  constructor(endpoint: string, timeoutMs: number) {
    this.#connection = connectToRuntime(endpoint.replace(/^unix:\/\//, ''), timeoutMs);
  }

  get cri(): RuntimeConnection['runtime'] {
    return this.#connection.runtime;
  }
  get images(): RuntimeConnection['images'] {
    return this.#connection.images;
  }

  async identify(): Promise<void> {
    const { runtimeName, runtimeVersion } = await this.cri.version({ version: '0.1.0' }, { timeoutMs: 10_000 });
    this.identity = { name: runtimeName, version: runtimeVersion };
  }

  close(): void {
    this.#connection.close();
  }

  /** Everything the runtime has of one pod, as it is now. */
  async pod(uid: string, namespace: string, name: string): Promise<RuntimePod> {
    const labelSelector = { [LABEL.podUid]: uid };
    const [{ items }, { containers }] = await Promise.all([
      this.cri.listPodSandbox({ filter: { labelSelector } }),
      this.cri.listContainers({ filter: { labelSelector } }),
    ]);
    const [sandboxes, statuses] = await Promise.all([
      Promise.all(items.map((item) => this.#sandbox(item))),
      Promise.all(containers.map((container) => this.#container(container))),
    ]);
    // By count before time: one that ended while the clock was ahead is not the newest for as long as that.
    const byAge = <T extends { readonly createdAt: bigint }>(left: T, right: T): number => (left.createdAt > right.createdAt ? -1 : left.createdAt < right.createdAt ? 1 : 0);
    return {
      uid, namespace, name,
      sandboxes: sandboxes.filter((one) => one !== undefined).sort((left, right) => right.attempt - left.attempt || byAge(left, right)),
      containers: statuses.filter((one) => one !== undefined).sort((left, right) => right.restartCount - left.restartCount || byAge(left, right)),
    };
  }

  /** All pods that the runtime has anything of, by uid. */
  async list(): Promise<Map<string, PodListing>> {
    const [{ items }, { containers }] = await Promise.all([this.cri.listPodSandbox({}), this.cri.listContainers({})]);
    const parts = new Map<string, { namespace: string; name: string; texts: string[]; hasRunning: boolean }>();
    const note = (labels: Record<string, string>, text: string, isRunning: boolean): void => {
      const uid = labels[LABEL.podUid];
      if (uid === undefined) return; // not made by a kubelet
      const entry = parts.get(uid) ?? { namespace: labels[LABEL.podNamespace] ?? '', name: labels[LABEL.podName] ?? '', texts: [], hasRunning: false };
      entry.texts.push(text);
      entry.hasRunning ||= isRunning;
      parts.set(uid, entry);
    };
    for (const { id, labels, state } of items) note(labels, `${id}=${state}`, state === 'SANDBOX_READY');
    for (const { id, labels, state } of containers) note(labels, `${id}=${state}`, state === 'CONTAINER_RUNNING' || state === 'CONTAINER_UNKNOWN');
    this.#forgetAllBut(new Set(containers.map(({ id }) => id)));
    return new Map([...parts].map(([uid, { namespace, name, texts, hasRunning }]) => [uid, { uid, namespace, name, hasRunning, fingerprint: texts.sort().join() }]));
  }

  #forgetAllBut(known: ReadonlySet<string>): void {
    for (const id of this.#finished.keys()) if (!known.has(id)) this.#finished.delete(id);
  }

  async #sandbox({ id, metadata, state, createdAt }: PodSandbox): Promise<RuntimeSandbox | undefined> {
    const base = { id, attempt: metadata?.attempt ?? 0, createdAt };
    if (state !== 'SANDBOX_READY') return { ...base, isReady: false, ips: [], usesHostNetwork: false };
    let status: PodSandboxStatus | undefined;
    try {
      ({ status } = await this.cri.podSandboxStatus({ podSandboxId: id }));
    } catch (error) {
      if (isNotFound(error)) return undefined; // removed since it was listed
      throw error;
    }
    const { ip = '', additionalIps = [] } = status?.network ?? {};
    return {
      ...base,
      isReady: status?.state === 'SANDBOX_READY',
      ips: ip === '' ? [] : [ip, ...additionalIps.map((one) => one.ip)],
      usesHostNetwork: status?.linux?.namespaces?.options?.network === 'NODE',
    };
  }

  async #container(listed: Container): Promise<RuntimeContainer | undefined> {
    const known = this.#finished.get(listed.id);
    if (known && listed.state === 'CONTAINER_EXITED') return known;
    let status: ContainerStatus | undefined;
    try {
      ({ status } = await this.cri.containerStatus({ containerId: listed.id }));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    if (!status) return undefined;
    const container = await this.#converted(status, listed.podSandboxId);
    if (container.state === 'exited') this.#finished.set(container.id, container);
    return container;
  }

  async #converted(status: ContainerStatus, sandboxId: string): Promise<RuntimeContainer> {
    const { annotations, labels, metadata } = status;
    const state = STATES[status.state];
    return {
      id: status.id,
      name: labels[LABEL.containerName] ?? metadata?.name ?? '',
      sandboxId,
      state,
      restartCount: Number(annotations[ANNOTATION.restartCount] ?? metadata?.attempt ?? 0),
      hash: annotations[ANNOTATION.hash] ?? '',
      createdAt: status.createdAt,
      startedAtMs: state === 'created' ? 0 : msOfNanoseconds(status.startedAt),
      finishedAtMs: state === 'exited' ? msOfNanoseconds(status.finishedAt) : 0,
      exitCode: status.exitCode,
      reason: status.reason !== '' ? status.reason : status.exitCode === 0 ? 'Completed' : 'Error',
      message: state === 'exited' ? [status.message, await terminationMessage(status)].filter((text) => text !== '').join(': ') : status.message,
      image: status.image?.userSpecifiedImage !== undefined && status.image.userSpecifiedImage !== '' && status.image.image.startsWith('sha256:') ? status.image.userSpecifiedImage : status.image?.image ?? '',
      imageId: status.imageRef,
      logPath: status.logPath,
      stopSignal: status.stopSignal,
      user: status.user?.linux,
      annotations,
      resources: status.resources?.linux,
    };
  }
}

/** What the container left in its termination log, or the end of its output where the policy says so. */
async function terminationMessage({ annotations, mounts, exitCode, reason, logPath }: ContainerStatus): Promise<string> {
  const path = annotations[ANNOTATION.terminationMessagePath];
  const hostPath = path === undefined ? undefined : mounts.find(({ containerPath }) => containerPath === path)?.hostPath;
  const message = hostPath === undefined ? '' : await readFile(hostPath).then((bytes) => bytes.subarray(0, TERMINATION_MESSAGE_BYTES).toString('utf8'), readError);
  const usesLog = annotations[ANNOTATION.terminationMessagePolicy] === 'FallbackToLogsOnError' && exitCode !== 0 && reason !== 'ContainerCannotRun';
  if (message !== '' || !usesLog || logPath === '') return message;
  return tailOfLog(logPath, { bytes: TERMINATION_LOG_BYTES, lines: TERMINATION_LOG_LINES }).catch(readError);
}
function readError(error: NodeJS.ErrnoException): string {
  return error.code === 'ENOENT' ? '' : `Error on reading termination log: ${error.message}`;
}
