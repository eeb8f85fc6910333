// What the containers of a pod share besides the network: IPC, UTS and perhaps PID namespaces, shared memory, and the files that tell
// its name and its resolvers. No process has to live for it, but for a PID namespace, which ends with its PID 1.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PodSandboxConfig } from '#lib/cri/messages.ts';
import { runCommand } from '#lib/service/run-command.ts';
import { resolvConf } from '../core/dns.ts';
import { encodeSteps, type Step } from '../core/steps.ts';
import { netnsPath } from './network.ts';
import type { Sandbox } from './records.ts';
import { isAlive, signalQuietly, type Shims } from './shim.ts';

/** Sleeps for ever; a shell reaps while it waits. */
const POD_INIT = 'trap "exit 0" TERM; while :; do sleep 2147483647 & wait $!; done';

/** The state of a sandbox's own process lies among the containers'. */
const initName = (sandboxId: string): string => `init-${sandboxId}`;

const sharing = ({ config }: Sandbox): NonNullable<NonNullable<PodSandboxConfig['linux']>['securityContext']>['namespaceOptions'] => config.linux?.securityContext?.namespaceOptions;

export const hostnameOf = (config: PodSandboxConfig): string => config.hostname || readFileSync('/proc/sys/kernel/hostname', 'utf8').trim();

export class PodNamespaces {
  readonly #folder: string;
  readonly #shims: Shims;

  /** `state`: gone with the boot, as namespaces are. */
  constructor(state: string, shims: Shims) {
    this.#folder = join(state, 'sandboxes');
    this.#shims = shims;
  }

  #state(id: string): string {
    return join(this.#folder, id);
  }
  /** The file of one of the pod's namespaces. */
  #file(id: string, kind: 'ipc' | 'uts'): string {
    return join(this.#state(id), kind);
  }

  exist(id: string): boolean {
    return existsSync(this.#state(id));
  }

  /** IPC and UTS namespaces are held by files, as `ip netns` holds the network's. */
  async make(sandbox: Sandbox): Promise<void> {
    const { id, config, netns } = sandbox;
    mkdirSync(join(this.#state(id), 'shm'), { recursive: true, mode: 0o1777 });
    chmodSync(join(this.#state(id), 'shm'), 0o1777); // whatever the umask
    for (const kind of ['ipc', 'uts'] as const) writeFileSync(this.#file(id, kind), '');
    const ipc = sharing(sandbox)?.ipc === 'NODE' ? [] : [`--ipc=${this.#file(id, 'ipc')}`];
    const uts = netns === '' ? [] : [`--uts=${this.#file(id, 'uts')}`];
    if (ipc.length + uts.length > 0) await runCommand('unshare', [...ipc, ...uts, ...(uts.length > 0 ? ['hostname', hostnameOf(config)] : ['true'])]);
    const sysctls = Object.entries(config.linux?.sysctls ?? {}).filter(([name]) => !name.startsWith('net.'));
    if (sysctls.length > 0) {
      await runCommand('nsenter', [`--ipc=${this.#file(id, 'ipc')}`, 'sysctl', '-q', '-w', ...sysctls.map(([name, value]) => `${name}=${value}`)]);
    }
  }

  /** PID 1 of a PID namespace that the whole pod shares: it reaps what its containers leave behind, as a pause container does. */
  async startInit({ id }: Sandbox): Promise<void> {
    const name = initName(id);
    await this.#shims.prepare(name, false);
    const steps: Step[] = [
      { do: 'report', paths: [this.#shims.path(name, 'ready'), this.#shims.path(name, 'report')] },
      { do: 'session', terminal: false },
      { do: 'environment', variables: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] },
      { do: 'program', argv: ['sh', '-c', POD_INIT] },
    ];
    writeFileSync(this.#shims.path(name, 'steps'), encodeSteps(steps), { mode: 0o600 });
    const result = await this.#shims.start({ id: name, terminal: false, pidNamespace: 'own' });
    if ('error' in result) throw new Error(`cannot make a PID namespace for the pod: ${result.error}`);
  }

  /** Whether the state of this name is that of a pod's PID 1. */
  isInit(name: string, sandboxes: Iterable<Sandbox>): boolean {
    return [...sandboxes].some(({ id, phase }) => phase === 'ready' && initName(id) === name);
  }

  #endInit(id: string): void {
    const name = initName(id);
    const init = this.#shims.reported(name);
    if (init && 'process' in init && isAlive(init.process)) signalQuietly(init.process.pid, 'SIGKILL');
    this.#shims.discard(name);
    rmSync(join(this.#shims.exits, name), { force: true });
  }

  /** Into the folder that is mounted into containers from. */
  writeFiles(folder: string, config: PodSandboxConfig): void {
    const dns = config.dnsConfig;
    const hasDns = dns !== undefined && dns.servers.length + dns.searches.length + dns.options.length > 0;
    const readHost = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
    writeFileSync(join(folder, 'resolv.conf'), hasDns ? resolvConf(dns) : readHost('/etc/resolv.conf'));
    writeFileSync(join(folder, 'hostname'), `${hostnameOf(config)}\n`);
    writeFileSync(join(folder, 'hosts'), readHost('/etc/hosts'));
  }

  /** May be repeated. */
  async release(id: string): Promise<void> {
    this.#endInit(id);
    const state = this.#state(id);
    const mounted = ['ipc', 'uts'].map((kind) => join(state, kind)).filter((path) => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `));
    if (mounted.length > 0) await runCommand('umount', ['--lazy', ...mounted]);
    rmSync(state, { recursive: true, force: true });
  }

  /** Those that a container enters, the network's included; that of processes is another matter. */
  entered(sandbox: Sandbox): string[] {
    const { id, netns } = sandbox;
    return [...(netns === '' ? [] : [netnsPath(netns), this.#file(id, 'uts')]), ...(sharing(sandbox)?.ipc === 'NODE' ? [] : [this.#file(id, 'ipc')])];
  }

  /** The PID namespace that `startInit` made; undefined when its PID 1 has ended. */
  pidNamespace(id: string): string | undefined {
    const init = this.#shims.reported(initName(id));
    return init && 'process' in init && isAlive(init.process) ? `/proc/${init.process.pid}/ns/pid` : undefined;
  }

  sharedMemory(sandbox: Sandbox): string {
    return sharing(sandbox)?.ipc === 'NODE' ? '/dev/shm' : join(this.#state(sandbox.id), 'shm');
  }
}
