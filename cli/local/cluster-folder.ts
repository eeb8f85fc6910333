// The folder `.kubreak`: where a cluster keeps its disks, keys and logs, and how its running instance is found.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { HostLayout } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';
import { startTicksOf } from './proc.ts';
import { isRootless } from './rootless.ts';

/** What the supervisor of a running cluster writes down. */
export interface RunningCluster {
  readonly supervisorPid: number;
  readonly supervisorStartTicks: string;
  /** Init process of the outer namespace, as seen from the machine; absent in the first moments. */
  readonly labPid?: number;
  readonly port: number;
  readonly isReady: boolean;
}

export class ClusterFolder {
  readonly path: string;
  constructor(path: string) {
    this.path = resolve(path);
  }
  get kubeconfig(): string {
    return `${this.path}/admin.conf`;
  }
  get logFile(): string {
    return `${this.path}/kubreak.log`;
  }
  get labConfig(): string {
    return `${this.path}/lab.json`;
  }
  get #runningFile(): string {
    return `${this.path}/running.json`;
  }
  get #provisionedFile(): string {
    return `${this.path}/provisioned.json`;
  }
  /** Name of the cluster's cgroups: differs between folders, stays the same for one. */
  get cgroup(): string {
    return `kubreak-${createHash('sha256').update(this.path).digest('hex').slice(0, 8)}`;
  }
  hostFolder(host: string): string {
    return `${this.path}/hosts/${host}`;
  }
  /** Rootless: what the hosts' roots are made over instead of the machine's root. */
  get baseFolder(): string {
    return `${this.path}/base`;
  }
  /** A path that a host keeps on a disk of its own, outside its overlay root. */
  hostData(host: string, path: string): string {
    return `${this.hostFolder(host)}/data${path}`;
  }

  get exists(): boolean {
    return existsSync(this.#provisionedFile);
  }
  markProvisioned(facts: ProvisionedFacts): void {
    writeAtomically(this.#provisionedFile, JSON.stringify(facts));
  }
  get provisioned(): ProvisionedFacts {
    return JSON.parse(readFileSync(this.#provisionedFile, 'utf8')) as ProvisionedFacts;
  }

  get hosts(): readonly HostLayout[] {
    return this.provisioned.hosts;
  }

  /** The cluster that runs from this folder, if its supervisor is alive. */
  running(): RunningCluster | undefined {
    let found: RunningCluster;
    try {
      found = JSON.parse(readFileSync(this.#runningFile, 'utf8')) as RunningCluster;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
      throw error;
    }
    return startTicksOf(found.supervisorPid) === found.supervisorStartTicks ? found : undefined;
  }
  /** Throws UserError (exit code 3) when no cluster runs here. */
  requireRunning(): RunningCluster & { labPid: number } {
    const running = this.running();
    if (running?.labPid === undefined) throw new UserError(`no cluster is running in ${this.path}; start one with: kubreak up`, 3);
    this.requireOwner();
    return { ...running, labPid: running.labPid };
  }
  /** Throws UserError when root reaches for the cluster of a user or the other way round: their processes have other rights. */
  requireOwner(): void {
    if (!this.exists || this.provisioned.isRootless === isRootless()) return;
    throw new UserError(`the cluster in ${this.path} was made ${isRootless() ? 'by root: run kubreak as root' : 'without root: run kubreak as its user'}, or choose another folder with --dir`);
  }
  /** Takes the folder for this process; throws UserError when another cluster runs in it. */
  claim(port: number): void {
    mkdirSync(this.path, { recursive: true });
    const other = this.running();
    if (other) throw new UserError(`a cluster is already running in ${this.path} (process ${other.supervisorPid}); stop it with: kubreak down`);
    rmSync(this.#runningFile, { force: true });
    const mine = { supervisorPid: process.pid, supervisorStartTicks: startTicksOf(process.pid) ?? '', port, isReady: false };
    try {
      writeFileSync(this.#runningFile, JSON.stringify(mine), { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw new UserError(`another kubreak up is starting in ${this.path}`);
    }
  }
  updateRunning(changes: Partial<RunningCluster>): void {
    const current = this.running();
    if (current) writeAtomically(this.#runningFile, JSON.stringify({ ...current, ...changes }));
  }
  release(): void {
    rmSync(this.#runningFile, { force: true });
  }
}

export interface ProvisionedFacts {
  /** The addons were handed to the API server once; what users did to them since is theirs. */
  readonly addonsApplied: boolean;
  /** Made by an ordinary user: the disks of the hosts are laid out differently. */
  readonly isRootless: boolean;
  readonly hosts: readonly HostLayout[];
  /** URLs of an etcd that is not the cluster's own. */
  readonly externalEtcd?: readonly string[];
  /** Made with --fast-failure-detection. */
  readonly isFast?: boolean;
  /** A snapshot of another cluster was restored while this one was stopped: see snapshot/adopt-authority.ts. */
  readonly hasForeignObjects?: boolean;
}

function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
