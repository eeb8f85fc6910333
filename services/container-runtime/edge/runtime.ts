// Sandboxes and containers of this node: made, started, stopped, removed, and taken up again after a restart. Every step is
// on disk before it has effects, and every effect can be taken back knowing only the id.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync, type FSWatcher } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { nanosecondsOfMs } from '#lib/cri/codec.ts';
import type { ContainerConfig, ContainerEventType, PodSandboxConfig } from '#lib/cri/messages.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { hostInterfaceName } from '#lib/pod-network/wiring.ts';
import { accountOf, availableAccount } from '../core/accounts.ts';
import { planContainer, userStep, environmentOf, type ResolvedMount } from '../core/container-plan.ts';
import { encodeSteps, type Step } from '../core/steps.ts';
import type { BaseLayer } from './base-layer.ts';
import type { Cgroups } from './cgroups.ts';
import { beforeSync, beforeWrite } from '#lib/service/disk-fault.ts';
import { CLOCK_FILE, CLOCK_FOLDER, clockVariables, faketimeLibrary } from '#lib/service/shifted-clock.ts';
import type { UserNamespace } from '#lib/service/user-namespace.ts';
import { mountNamespaceOf, processesIn } from './container-processes.ts';
import { EventHub } from './events.ts';
import { ImageError, type ImageStore, type StoredImage } from './images.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { LogPump } from './log-pump.ts';
import { MemoryWatch } from './memory-watch.ts';
import { netnsName, type PodNetwork } from './network.ts';
import { hostnameOf, PodNamespaces } from './pod-namespaces.ts';
import { openRecords, type Container, type Records, type Sandbox } from './records.ts';
import { RootFilesystem } from './root-filesystem.ts';
import { isAlive, Shims, signalQuietly } from './shim.ts';
import { containerStatus, sandboxStatus } from './status.ts';
import { START_ERROR_EXIT_CODE } from './step-runner.ts';

/** Exit code and reason of a process whose end nobody saw. Source: containerd. */
const UNKNOWN_EXIT_CODE = 255;
const UNKNOWN_REASON = 'Unknown';
/** How often running processes are looked at whose shim may have been killed. Milliseconds. */
const LIVENESS_CHECK_MS = 5_000;
/** How long the output of an ended container is awaited. Milliseconds. */
const DRAIN_TIMEOUT_MS = 1_000;
/** How long a process may take to die of SIGKILL before stopping it counts as failed. Milliseconds. */
const KILL_TIMEOUT_MS = 30_000;

/** While it is there, containers called so do not start. Written by `kubreak stop`. */
const holdOf = (containerName: string): string => `/run/kubreak/hold-${containerName}`;

export class NotFound extends Error {
  override readonly name = 'NotFound';
}

export class FailedPrecondition extends Error {
  override readonly name = 'FailedPrecondition';
}

export interface RuntimeOptions {
  readonly root: string;
  readonly state: string;
  readonly bundleFolder: string;
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly cgroups: Cgroups;
  readonly base: BaseLayer;
  readonly users: UserNamespace;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Runtime {
  readonly sandboxes = new Map<string, Sandbox>();
  readonly containers = new Map<string, Container>();
  readonly events = new EventHub();
  readonly shims: Shims;
  readonly #namespaces: PodNamespaces;
  readonly #options: RuntimeOptions;
  readonly #records: Records;
  readonly #mutex = new KeyedMutex();
  readonly #pumps = new Map<string, LogPump>();
  readonly #waiters = new Map<string, Set<() => void>>();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #memoryWatch: MemoryWatch | undefined;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    this.#records = openRecords(options.root);
    this.shims = new Shims(options.state);
    this.#namespaces = new PodNamespaces(options.state, this.shims);
  }

  // ---- life of the runtime itself

  /** Takes up what is on disk: running containers go on, what ended meanwhile has its exit code, leftovers are removed. */
  async recover(): Promise<void> {
    const { log, network, cgroups } = this.#options;
    const onGarbage = (id: string, error: unknown): void => log.warn({ id, err: error }, 'removing an unreadable record');
    for (const sandbox of this.#records.sandboxes.load(onGarbage)) this.sandboxes.set(sandbox.id, sandbox);
    for (const container of this.#records.containers.load(onGarbage)) this.containers.set(container.id, container);
    this.#watcher = watch(this.shims.exits, (_, name) => { if (name !== null) this.#onExitFile(name); });
    this.#watcher.on('error', (error) => log.error({ err: error }, 'cannot watch for ended containers'));
    for (const container of [...this.containers.values()]) await this.#recoverContainer(container);
    for (const sandbox of [...this.sandboxes.values()]) await this.#recoverSandbox(sandbox);
    for (const id of readdirSync(this.shims.containersFolder)) if (!this.containers.has(id) && !this.#namespaces.isInit(id, this.sandboxes.values())) this.shims.discard(id);
    for (const id of readdirSync(this.shims.exits)) if (!this.containers.has(id)) rmSync(join(this.shims.exits, id), { force: true });
    await network.sweep([...this.sandboxes.values()].filter(({ phase }) => phase === 'ready'));
    cgroups.sweep(new Set([...this.containers.values()].filter(({ phase }) => phase === 'running').map(({ id }) => id)));
    await this.#publishHostPorts().catch((error: unknown) => log.warn({ err: error }, 'cannot publish host ports'));
    this.#timer = setInterval(() => this.#checkLiveness(), LIVENESS_CHECK_MS);
    if (!cgroups.limitsMemory) this.#memoryWatch = new MemoryWatch({ running: () => this.#running(), log });
    log.info({ sandboxes: this.sandboxes.size, containers: this.containers.size, running: this.#running().length }, 'took up what is on disk');
  }

  /** Lets go of everything; containers go on. */
  close(): void {
    clearInterval(this.#timer);
    this.#memoryWatch?.close();
    this.#watcher?.close();
    for (const pump of this.#pumps.values()) pump.detach();
  }

  async #recoverContainer(container: Container): Promise<void> {
    const { id } = container;
    if (container.phase === 'creating') return this.#forgetContainer(container);
    if (container.phase === 'starting') {
      const reported = this.shims.reported(id);
      if (reported && 'process' in reported) Object.assign(container, { phase: 'running', process: reported.process, startedAt: container.startedAt || this.#now() });
      else this.#markUnknown(container);
      this.#records.containers.save(container);
    }
    if (container.phase !== 'running') {
      if (existsSync(this.shims.folder(id)) && container.phase === 'exited') await this.#finishOutput(container);
      return;
    }
    if (!existsSync(this.shims.folder(id))) return this.#markUnknown(container); // the host was booted anew
    this.#openPump(container);
    if (this.shims.exitOf(id)) await this.#onExit(id);
    else if (!container.process || !isAlive(container.process)) this.#markUnknown(container);
  }

  async #recoverSandbox(sandbox: Sandbox): Promise<void> {
    const { network, log } = this.#options;
    if (sandbox.phase === 'creating') {
      log.info({ sandbox: sandbox.id }, 'taking down a sandbox that was never finished');
      await this.#takeDown(sandbox);
      this.#records.sandboxes.delete(sandbox.id);
      this.sandboxes.delete(sandbox.id);
      return;
    }
    if (sandbox.phase !== 'ready') return;
    if (network.isConnected(sandbox) && this.#namespaces.exist(sandbox.id)) {
      network.markTaken(sandbox.address);
      return;
    }
    await network.disconnect(sandbox);
    sandbox.phase = 'stopped';
    this.#records.sandboxes.save(sandbox);
  }

  #markUnknown(container: Container): void {
    Object.assign(container, { phase: 'exited', exitCode: UNKNOWN_EXIT_CODE, reason: UNKNOWN_REASON, finishedAt: this.#now() });
    this.#records.containers.save(container);
    this.shims.end(container.id);
    this.#options.cgroups.remove(this.#cgroupOf(container));
    void this.#finishOutput(container);
    this.#tell(container, 'CONTAINER_STOPPED_EVENT');
  }

  #checkLiveness(): void {
    for (const container of this.#running()) {
      if (this.shims.exitOf(container.id)) this.#onExitFile(container.id);
      else if (container.process && !isAlive(container.process) && !this.shims.shimIsAlive(container.id)) {
        this.#options.log.warn({ container: container.id }, 'a container ended without its shim: its exit code is unknown');
        this.#markUnknown(container);
      }
    }
  }

  // ---- sandboxes

  async runSandbox(config: PodSandboxConfig, runtimeHandler: string): Promise<string> {
    const { network, log } = this.#options;
    if (!config.metadata) throw new FailedPrecondition('sandbox config must include metadata');
    if (runtimeHandler !== '' && runtimeHandler !== 'runc') throw new Error(`failed to get sandbox runtime: no runtime for "${runtimeHandler}" is configured`);
    const { name, namespace, uid, attempt } = config.metadata;
    const twin = [...this.sandboxes.values()].find(({ config: { metadata } }) =>
      metadata?.name === name && metadata.namespace === namespace && metadata.uid === uid && metadata.attempt === attempt);
    if (twin) throw new FailedPrecondition(`failed to reserve sandbox name "${name}_${namespace}_${uid}_${attempt}": name is reserved for "${twin.id}"`);
    const id = randomBytes(32).toString('hex');
    const onHost = config.linux?.securityContext?.namespaceOptions?.network === 'NODE';
    if (!onHost) network.readConfig(); // fails early, before anything is made
    const sandbox: Sandbox = {
      id, config, createdAt: this.#now(), runtimeHandler, phase: 'creating', address: '',
      netns: onHost ? '' : netnsName(id), hostInterface: onHost ? '' : hostInterfaceName(namespace, name),
    };
    this.sandboxes.set(id, sandbox);
    return this.#mutex.run(id, async () => {
      try {
        await this.#takeRoom('failed to start sandbox', id);
        if (!onHost) sandbox.address = network.takeAddress();
        this.#records.sandboxes.save(sandbox);
        await Promise.all([onHost ? undefined : network.connect(sandbox), this.#namespaces.make(sandbox)]);
        this.#namespaces.writeFiles(this.#records.sandboxes.folder(id), config);
        if (config.logDirectory !== '') mkdirSync(config.logDirectory, { recursive: true });
        if (config.linux?.securityContext?.namespaceOptions?.pid === 'POD') await this.#namespaces.startInit(sandbox);
        sandbox.phase = 'ready';
        if (config.portMappings.some(({ hostPort }) => hostPort > 0)) await this.#publishHostPorts();
        this.#records.sandboxes.save(sandbox);
      } catch (error) {
        sandbox.phase = 'creating';
        await this.#takeDown(sandbox).catch((failure: unknown) => log.warn({ sandbox: id, err: failure }, 'cannot take down an unfinished sandbox; the next start does'));
        this.#records.sandboxes.delete(id);
        this.sandboxes.delete(id);
        throw error;
      }
      log.info({ sandbox: id, pod: `${namespace}/${name}`, address: sandbox.address }, 'sandbox is ready');
      this.#tellSandbox(sandbox, 'CONTAINER_STARTED_EVENT');
      return id;
    });
  }

  /** Releases the network and kills what still runs in the sandbox; may be repeated. */
  async stopSandbox(id: string): Promise<void> {
    const sandbox = this.sandboxes.get(id);
    if (!sandbox) return;
    await Promise.all(this.#containersOf(id).map((container) => this.stopContainer(container.id, 0)));
    await this.#mutex.run(id, async () => {
      if (sandbox.phase !== 'ready') return;
      await this.#takeDown(sandbox);
      sandbox.phase = 'stopped';
      this.#records.sandboxes.save(sandbox);
      if (sandbox.config.portMappings.some(({ hostPort }) => hostPort > 0)) await this.#publishHostPorts();
      this.#tellSandbox(sandbox, 'CONTAINER_STOPPED_EVENT');
    });
  }

  async removeSandbox(id: string): Promise<void> {
    const sandbox = this.sandboxes.get(id);
    if (!sandbox) return;
    await this.stopSandbox(id);
    for (const container of this.#containersOf(id)) await this.removeContainer(container.id);
    await this.#mutex.run(id, async () => {
      this.#records.sandboxes.delete(id);
      this.sandboxes.delete(id);
      const parent = sandbox.config.linux?.cgroupParent ?? ''; // the groups above it belong to the kubelet
      // The pod's next sandbox needs it with the limits that the kubelet gave it, even while no container is in it.
      const isShared = [...this.sandboxes.values()].some(({ config }) => config.linux?.cgroupParent === parent);
      if (parent !== '' && !isShared) this.#options.cgroups.remove(parent);
      this.#tellSandbox(sandbox, 'CONTAINER_DELETED_EVENT');
    });
  }

  sandbox(id: string): Sandbox {
    const found = this.sandboxes.get(id) ?? this.#byPrefix(this.sandboxes, id);
    if (!found || found.phase === 'creating') throw new NotFound(`an error occurred when try to find sandbox: not found`);
    return found;
  }

  async #takeDown(sandbox: Sandbox): Promise<void> {
    await this.#options.network.disconnect(sandbox);
    await this.#namespaces.release(sandbox.id);
  }

  #publishHostPorts(): Promise<void> {
    return this.#options.network.publishHostPorts([...this.sandboxes.values()].filter(({ phase }) => phase === 'ready'));
  }

  // ---- containers

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const sandbox = this.sandbox(sandboxId);
    if (sandbox.phase !== 'ready') throw new FailedPrecondition(`sandbox container "${sandboxId}" is not running`);
    if (!config.metadata) throw new FailedPrecondition('container config must include metadata');
    const { name, attempt } = config.metadata;
    const twin = this.#containersOf(sandbox.id).find(({ config: { metadata } }) => metadata?.name === name && metadata.attempt === attempt);
    if (twin) throw new FailedPrecondition(`failed to reserve container name "${name}": name "${name}_${sandbox.config.metadata?.name}_${attempt}" is reserved for "${twin.id}"`);
    const image = this.#options.images.find(config.image?.image ?? '');
    if (!image) throw new ImageError('not-found', `failed to resolve image "${config.image?.image ?? ''}": not found`);
    for (const { hostPath } of config.mounts) {
      if (existsSync(hostPath)) continue;
      try {
        mkdirSync(hostPath, { recursive: true, mode: 0o755 }); // as containerd does
      } catch (error) {
        throw new FailedPrecondition(`failed to generate container spec: failed to generate spec: failed to mkdir "${hostPath}": ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const id = randomBytes(32).toString('hex');
    const container: Container = {
      id, sandboxId: sandbox.id, config, imageId: image.id, createdAt: this.#now(), phase: 'creating', startedAt: 0n, finishedAt: 0n, exitCode: 0, reason: '', message: '',
    };
    return this.#mutex.run(id, async () => {
      await this.#takeRoom('failed to create containerd container', id);
      this.#records.containers.save(container);
      try {
        await this.shims.prepare(id, config.stdin || config.tty);
        this.#rootOf(container, image).prepare();
        container.phase = 'created';
        this.#records.containers.save(container);
      } catch (error) {
        this.#forgetContainer(container);
        throw error;
      }
      this.containers.set(id, container);
      this.#tell(container, 'CONTAINER_CREATED_EVENT');
      return id;
    });
  }

  /** Where containerd makes a snapshot. Throws when the disk is full or broken, takes longer when it is slow. */
  async #takeRoom(what: string, id: string): Promise<void> {
    const { root } = this.#options;
    try {
      beforeWrite(root, `mkdir '${this.#records.containers.folder(id)}'`);
      await beforeSync(root);
    } catch (error) {
      throw new Error(`${what}: failed to create prepare snapshot dir: failed to create temp dir: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  async startContainer(id: string): Promise<void> {
    const container = this.container(id);
    await this.#mutex.run(container.id, async () => {
      if (container.phase !== 'created') throw new FailedPrecondition(`failed to set starting state for container "${id}": container is in ${container.phase.toUpperCase()} state`);
      const sandbox = this.sandbox(container.sandboxId);
      if (sandbox.phase !== 'ready') throw new FailedPrecondition(`sandbox container "${sandbox.id}" is not running`);
      let failure: string;
      try {
        this.#refuseIfHeld(container);
        const steps = this.#plan(container, sandbox);
        this.#options.cgroups.create(this.#cgroupOf(container), container.config.linux?.resources);
        writeFileSync(this.shims.path(container.id, 'steps'), encodeSteps(steps), { mode: 0o600 });
        container.phase = 'starting';
        this.#records.containers.save(container);
        this.#openPump(container);
        const startedAt = this.#now(); // before: a short run may have ended when its start is noticed
        const result = await this.shims.start({ id: container.id, terminal: container.config.tty, pidNamespace: this.#pidNamespace(container) });
        if ('process' in result) {
          Object.assign(container, { phase: 'running', process: result.process, startedAt });
          if (this.#needsNamespaceToFindProcesses(container)) Object.assign(container, { mountNamespace: mountNamespaceOf(result.process.pid) });
          this.#records.containers.save(container);
          this.#options.log.info({ container: container.id, name: container.config.metadata?.name, pod: this.#podOf(sandbox), pid: result.process.pid }, 'started container');
          this.#tell(container, 'CONTAINER_STARTED_EVENT');
          // It may have ended before its start was known.
          if (this.shims.exitOf(container.id)) this.#onExitFile(container.id);
          return;
        }
        failure = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: ${result.error}`;
      } catch (error) {
        failure = `failed to create containerd task: ${error instanceof Error ? error.message : String(error)}`;
      }
      Object.assign(container, { phase: 'exited', exitCode: START_ERROR_EXIT_CODE, reason: 'StartError', message: failure, finishedAt: this.#now() });
      this.#records.containers.save(container);
      await this.#finishOutput(container);
      this.#options.cgroups.remove(this.#cgroupOf(container));
      this.#tell(container, 'CONTAINER_STOPPED_EVENT');
      throw new Error(failure);
    });
  }

  /** Somebody wants containers of this name to stay down on this host (`kubreak stop`), whatever the kubelet wants. */
  #refuseIfHeld({ config }: Container): void {
    const name = config.metadata?.name ?? '';
    if (name !== '' && existsSync(holdOf(name))) throw new Error(`container "${name}" is held down on this host: ${holdOf(name)} exists`);
  }

  /** Signals, waits `timeoutSeconds`, then kills; resolves when the process has ended. May be repeated. */
  async stopContainer(id: string, timeoutSeconds: number): Promise<void> {
    const container = this.containers.get(id);
    if (container?.phase !== 'running' || !container.process) return;
    if (timeoutSeconds > 0) {
      signalQuietly(container.process.pid, this.stopSignalOf(container));
      if (await this.#waitForExit(container, timeoutSeconds * 1000)) return;
    }
    if (isAlive(container.process)) signalQuietly(container.process.pid, 'SIGKILL');
    if (!(await this.#waitForExit(container, KILL_TIMEOUT_MS))) throw new Error(`an error occurs during waiting for container "${id}" to be killed: wait container "${id}": context deadline exceeded`);
  }

  stopSignalOf(container: Container): NodeJS.Signals {
    const wanted = container.config.stopSignal !== 'RUNTIME_DEFAULT' ? container.config.stopSignal : this.#options.images.ofContainer(container.imageId)?.config.stopSignal || 'SIGTERM';
    return wanted as NodeJS.Signals;
  }

  async removeContainer(id: string): Promise<void> {
    const container = this.containers.get(id);
    if (!container) return;
    await this.stopContainer(id, 0);
    await this.#mutex.run(id, async () => {
      this.#forgetContainer(container);
      this.#tell(container, 'CONTAINER_DELETED_EVENT');
    });
  }

  updateResources(id: string, resources: NonNullable<ContainerConfig['linux']>['resources']): void {
    const container = this.container(id);
    if (!resources) return;
    const linux = { ...container.config.linux, resources: { ...container.config.linux?.resources, ...nonZero(resources) } } as NonNullable<ContainerConfig['linux']>;
    container.config.linux = linux;
    this.#records.containers.save(container);
    if (container.phase === 'running') this.#options.cgroups.update(this.#cgroupOf(container), resources);
  }

  reopenLog(id: string): void {
    const container = this.container(id);
    if (container.phase !== 'running') throw new FailedPrecondition('container is not running');
    this.#pumps.get(container.id)?.reopen();
  }

  container(id: string): Container {
    const found = this.containers.get(id) ?? this.#byPrefix(this.containers, id);
    if (!found) throw new NotFound(`an error occurred when try to find container "${id}": not found`);
    return found;
  }

  /** The output of a running container, for clients that attach. */
  pump(id: string): LogPump | undefined {
    return this.#pumps.get(id);
  }

  /** What a further process of a running container does before its program: the same namespaces, cgroup, user and rights. */
  planExec(container: Container, argv: readonly string[], tty: boolean): Step[] {
    const { process: main } = container;
    if (container.phase !== 'running' || !main) throw new FailedPrecondition(`container is in ${container.phase === 'exited' ? 'CONTAINER_EXITED' : 'CONTAINER_CREATED'} state`);
    const sandbox = this.sandbox(container.sandboxId);
    const image = this.#imageOf(container);
    const account = this.#accountOf(container, image);
    const config = { ...container.config, tty };
    return [
      ...this.#options.cgroups.folders(this.#cgroupOf(container)).map((path): Step => ({ do: 'cgroup', path })),
      { do: 'write', path: '/proc/self/oom_score_adj', text: String(config.linux?.resources?.oomScoreAdj ?? 0), mayFail: true },
      { do: 'join', namespaces: ['net', 'ipc', 'uts', 'mnt'].map((kind) => `/proc/${main.pid}/ns/${kind}`) },
      ...(tty ? [{ do: 'session', terminal: true } as const] : []),
      { do: 'directory', path: config.workingDir || image.config.workingDirectory || '/' },
      userStep(config, account),
      { do: 'environment', variables: environmentOf({ config, image: image.config, account, hostname: hostnameOf(sandbox.config), clock: clockOfExec(main.pid) }) },
      { do: 'program', argv },
    ];
  }

  cgroupPath(container: Container): string {
    return this.#cgroupOf(container);
  }

  /** The folder with the writable layer. */
  layerFolder(container: Container): string {
    return join(this.#records.containers.folder(container.id), 'fs');
  }

  logPath({ sandboxId, config }: Container): string {
    const folder = this.sandboxes.get(sandboxId)?.config.logDirectory ?? '';
    return folder === '' || config.logPath === '' ? '' : join(folder, config.logPath);
  }

  #plan(container: Container, sandbox: Sandbox): Step[] {
    const { base, bundleFolder, cgroups, users } = this.#options;
    const { config, id } = container;
    const image = this.#imageOf(container);
    const root = this.#rootOf(container, image);
    for (const { path, text, link, ifNodeHas } of image.files) {
      if (ifNodeHas !== undefined && !existsSync(ifNodeHas)) continue;
      if (link !== undefined) root.link(path, link);
      else root.write(path, text ?? '');
    }
    const workingDirectory = config.workingDir || image.config.workingDirectory;
    if (workingDirectory !== '') root.ensure(workingDirectory, 'folder');
    for (const volume of image.volumes) root.ensure(volume, 'folder');
    const clock = this.#clockOf(root, image);
    return planContainer({
      ...(clock === undefined ? {} : { clock }),
      config, image: image.config, account: this.#accountOf(container, image), overlays: root.overlays, root: this.shims.path(id, 'rootfs'),
      mounts: this.#mountsOf(container, sandbox, root, { bundleFolder: image.usesBundles ? bundleFolder : '', showsClock: clock !== undefined }),
      namespaces: this.#namespaces.entered(sandbox),
      cgroups: cgroups.folders(this.#cgroupOf(container)),
      hostname: hostnameOf(sandbox.config),
      reportPaths: [this.shims.path(id, 'ready'), this.shims.path(id, 'report')],
      sharedMemory: this.#namespaces.sharedMemory(sandbox),
      bindDevices: base.bindDevices,
      ...(users.isNested ? { overlayOptions: ',userxattr' } : {}),
    });
  }

  /** The cluster's own programs always follow the host's clock; others where it is shifted when they start, for it shows in their environment. */
  #clockOf(root: RootFilesystem, { usesBundles }: StoredImage): Readonly<Record<string, string>> | undefined {
    const library = faketimeLibrary();
    if (library === undefined || (!usesBundles && !existsSync(join(CLOCK_FOLDER, CLOCK_FILE))) || !root.find(root.resolve(library))) return undefined;
    mkdirSync(CLOCK_FOLDER, { recursive: true });
    return clockVariables(library);
  }

  #pidNamespace({ config, sandboxId }: Container): string {
    const { pid, targetId } = config.linux?.securityContext?.namespaceOptions ?? { pid: 'CONTAINER', targetId: '' };
    if (pid === 'NODE') return 'host';
    if (pid === 'TARGET') {
      const target = this.container(targetId);
      if (!target.process || target.phase !== 'running') throw new FailedPrecondition(`failed to get target container "${targetId}": it is not running`);
      return `/proc/${target.process.pid}/ns/pid`;
    }
    if (pid !== 'POD') return 'own';
    const shared = this.#namespaces.pidNamespace(sandboxId);
    if (shared === undefined) throw new FailedPrecondition(`the process that holds the PID namespace of sandbox "${sandboxId}" has ended`);
    return shared;
  }

  #mountsOf({ config }: Container, sandbox: Sandbox, root: RootFilesystem, { bundleFolder, showsClock }: { bundleFolder: string; showsClock: boolean }): ResolvedMount[] {
    const wanted = config.mounts.map(({ hostPath, containerPath, readonly, propagation }) => ({ source: hostPath, path: containerPath, readonly, propagation }));
    const own = (source: string, path: string, readonly: boolean): void => {
      if (!wanted.some((mount) => mount.path === path)) wanted.push({ source, path, readonly, propagation: 'PROPAGATION_PRIVATE' });
    };
    for (const { hostPath, containerPath } of config.devices) own(hostPath, containerPath, false);
    const files = this.#records.sandboxes.folder(sandbox.id);
    const isReadOnly = config.linux?.securityContext?.readonlyRootfs ?? false;
    for (const name of ['hosts', 'hostname', 'resolv.conf']) own(join(files, name), `/etc/${name}`, isReadOnly);
    if (bundleFolder !== '') {
      own(bundleFolder, '/opt/kubreak', true);
      // The node's /usr/local does not show in containers; where Node.js is installed there, its program is shown alone.
      if (dirname(process.execPath) !== '/usr/bin') own(process.execPath, `/usr/local/bin/${basename(process.execPath)}`, true);
    }
    if (showsClock) own(CLOCK_FOLDER, CLOCK_FOLDER, true);
    return wanted.map(({ source, path, readonly, propagation }) => ({
      source, readonly, propagation, target: root.ensure(path, isFolder(source) ? 'folder' : 'file'),
    }));
  }

  #rootOf(container: Container, image: StoredImage): RootFilesystem {
    if (!image.isBuiltIn) return RootFilesystem.ofLayers({ folder: this.layerFolder(container), layers: image.layers, bare: this.#options.base.bare, isOpaque: this.#options.images.isOpaque });
    return RootFilesystem.overHostPrograms({ folder: this.layerFolder(container), layers: image.layers, base: this.#options.base.path });
  }

  #imageOf({ imageId, config }: Container): StoredImage {
    const image = this.#options.images.ofContainer(imageId) ?? this.#options.images.find(config.image?.image ?? '');
    if (!image) throw new ImageError('not-found', `failed to resolve image "${config.image?.image ?? imageId}": not found`);
    return image;
  }

  #accountOf(container: Container, image: StoredImage): ReturnType<typeof accountOf> {
    const root = this.#rootOf(container, image);
    const account = accountOf(container.config, image.config.user, { passwd: root.read('/etc/passwd'), group: root.read('/etc/group') });
    const available = availableAccount(account, this.#options.users);
    if (available.isSubstitute) this.#options.log.warn({ container: container.id, name: container.config.metadata?.name, uid: account.uid }, 'this host has no such user: the container runs as root without capabilities');
    return available;
  }

  #cgroupOf({ id, sandboxId }: Container): string {
    return join('/', this.sandboxes.get(sandboxId)?.config.linux?.cgroupParent ?? '', id);
  }

  // ---- the end of a container

  #onExitFile(id: string): void {
    if (!this.containers.has(id)) return;
    this.#mutex.run(id, () => this.#onExit(id)).catch((error: unknown) => this.#options.log.error({ container: id, err: error }, 'cannot record the end of a container'));
  }

  async #onExit(id: string): Promise<void> {
    const container = this.containers.get(id);
    const exit = this.shims.exitOf(id);
    if (container?.phase !== 'running' || !exit) return;
    const { cgroups, log } = this.#options;
    const cgroup = this.#cgroupOf(container);
    // In a PID namespace that others share, its further processes outlive it: they go with it.
    if (sharesPidNamespace(container)) for (const pid of this.#leftProcesses(container)) signalQuietly(pid, 'SIGKILL');
    const wasOutOfMemory = cgroups.oomKills(cgroup) > 0 || (this.#memoryWatch?.takeKilled(id) ?? false);
    // The log is complete before anybody can see the end: the kubelet reads it then.
    await this.#drainOutput(container);
    const agoMs = Math.max(0, this.shims.fileTimeMs() - exit.atMs);
    Object.assign(container, {
      phase: 'exited', exitCode: exit.code, finishedAt: this.#now() - nanosecondsOfMs(agoMs), reason: wasOutOfMemory ? 'OOMKilled' : exit.code === 0 ? 'Completed' : 'Error',
    });
    this.#records.containers.save(container);
    this.#forgetRun(container);
    cgroups.remove(cgroup);
    log.info({ container: id, name: container.config.metadata?.name, exitCode: exit.code, reason: container.reason }, 'container ended');
    this.#tell(container, 'CONTAINER_STOPPED_EVENT');
    for (const wake of this.#waiters.get(id) ?? []) wake();
  }

  #needsNamespaceToFindProcesses(container: Container): boolean {
    return sharesPidNamespace(container) && this.#options.cgroups.controllers.length === 0;
  }

  #leftProcesses(container: Container): number[] {
    if (!this.#needsNamespaceToFindProcesses(container)) return this.#options.cgroups.processes(this.#cgroupOf(container));
    return container.mountNamespace === undefined ? [] : processesIn(container.mountNamespace);
  }

  async #finishOutput(container: Container): Promise<void> {
    await this.#drainOutput(container);
    this.#forgetRun(container);
  }

  /** Reads what is left in the FIFOs and lets the shim go. */
  async #drainOutput(container: Container): Promise<void> {
    const { id } = container;
    if (!existsSync(this.shims.path(id, 'stdout'))) return;
    this.#openPump(container);
    const pump = this.#pumps.get(id);
    this.shims.endStdin(id);
    const released = this.shims.release(id);
    // A process that outlived PID 1 (in a shared PID namespace) may hold the FIFOs open: its output is no longer awaited.
    await Promise.race([pump?.ended, new Promise((resolve) => setTimeout(resolve, DRAIN_TIMEOUT_MS).unref())]);
    released.close();
    pump?.detach();
  }

  /** Removes what the process of a container, now ended, has left besides its log. */
  #forgetRun({ id }: Container): void {
    this.#pumps.delete(id);
    rmSync(join(this.shims.exits, id), { force: true });
    this.shims.discard(id);
  }

  #waitForExit(container: Container, timeoutMs: number): Promise<boolean> {
    if (container.phase !== 'running') return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(container.id) ?? new Set();
      this.#waiters.set(container.id, waiters);
      const finish = (): void => {
        clearTimeout(timer);
        waiters.delete(finish);
        if (waiters.size === 0) this.#waiters.delete(container.id);
        resolve(container.phase !== 'running');
      };
      const timer = setTimeout(finish, timeoutMs);
      waiters.add(finish);
    });
  }

  #openPump(container: Container): void {
    const { id, config } = container;
    if (this.#pumps.has(id)) return;
    const { log, clock } = this.#options;
    const fifos = { stdout: this.shims.path(id, 'stdout'), ...(config.tty ? {} : { stderr: this.shims.path(id, 'stderr') }) };
    this.#pumps.set(id, new LogPump({ fifos, logPath: this.logPath(container), log: log.child({ container: id }), now: () => clock.nowMs() }));
  }

  #forgetContainer({ id }: Container): void {
    this.#pumps.get(id)?.detach();
    this.#pumps.delete(id);
    this.shims.discard(id);
    this.#records.containers.delete(id);
    this.containers.delete(id);
  }

  // ---- telling

  #tell(container: Container, type: ContainerEventType): void {
    if (!this.events.hasSubscribers) return;
    const sandbox = this.sandboxes.get(container.sandboxId);
    this.events.publish({
      containerId: container.id, containerEventType: type, createdAt: this.#now(),
      ...(sandbox ? { podSandboxStatus: sandboxStatus(sandbox) } : {}),
      containersStatuses: this.#containersOf(container.sandboxId).map((each) => containerStatus(each, this)),
    });
  }

  #tellSandbox(sandbox: Sandbox, type: ContainerEventType): void {
    if (!this.events.hasSubscribers) return;
    this.events.publish({
      containerId: sandbox.id, containerEventType: type, createdAt: this.#now(), podSandboxStatus: sandboxStatus(sandbox),
      containersStatuses: this.#containersOf(sandbox.id).map((each) => containerStatus(each, this)),
    });
  }

  containersOf(sandboxId: string): Container[] {
    return this.#containersOf(sandboxId);
  }

  /** References to an image: docker.io/library/nginx:latest. */
  imageTags(imageId: string): readonly string[] {
    return this.#options.images.ofContainer(imageId)?.tags ?? [];
  }

  /** repository@sha256:... of an image that was pulled. */
  imageDigests(imageId: string): readonly string[] {
    return this.#options.images.ofContainer(imageId)?.repoDigests ?? [];
  }

  /** Ids of the images that containers are made from. */
  usedImages(): Set<string> {
    return new Set([...this.containers.values()].map(({ imageId }) => imageId));
  }

  #containersOf(sandboxId: string): Container[] {
    return [...this.containers.values()].filter((container) => container.sandboxId === sandboxId);
  }

  #running(): Container[] {
    return [...this.containers.values()].filter(({ phase }) => phase === 'running');
  }

  #podOf({ config: { metadata } }: Sandbox): string {
    return `${metadata?.namespace}/${metadata?.name}`;
  }

  /** crictl gives the first characters of an id. */
  #byPrefix<T>(records: ReadonlyMap<string, T>, prefix: string): T | undefined {
    if (prefix === '') return undefined;
    const matches = [...records].filter(([id]) => id.startsWith(prefix));
    return matches.length === 1 ? matches[0]?.[1] : undefined;
  }

  #now(): bigint {
    return nanosecondsOfMs(this.#options.clock.nowMs());
  }
}

const sharesPidNamespace = ({ config }: Container): boolean => config.linux?.securityContext?.namespaceOptions?.pid !== 'CONTAINER';

/** While the clock is shifted: by the file where the container sees it, as it is now where it was started before. */
function clockOfExec(pid: number): Readonly<Record<string, string>> {
  const file = join(CLOCK_FOLDER, CLOCK_FILE);
  const library = existsSync(file) ? faketimeLibrary(`/proc/${pid}/root`) : undefined;
  if (library === undefined) return {};
  return existsSync(`/proc/${pid}/root${file}`) ? clockVariables(library) : { ...clockVariables(library), FAKETIME: readFileSync(file, 'utf8').trim() };
}

const isFolder = (path: string): boolean => statSync(path).isDirectory();

const nonZero = <T extends object>(values: T): Partial<T> => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0 && value !== '')) as Partial<T>;
