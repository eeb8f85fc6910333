// A running cluster as the command line reaches it, in local mode and in containers alike: what levers, drills and chaos are built on.
import type { Readable } from 'node:stream';
import type { HostLayout } from '../cluster-layout.ts';
import type { Limited } from '../local/host-limits.ts';
import type { InstanceReport } from '../local/instances.ts';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** For its standard input; a stream may go on while it runs. */
  readonly input?: string | Readable;
  /** It is killed after so long; milliseconds, a minute if not given. */
  readonly timeoutMs?: number;
  /** Takes each line of its standard output as it comes; the result has none then. */
  readonly onLine?: (line: string) => void;
  /** It is killed when this aborts, and ends as one that was killed. */
  readonly signal?: AbortSignal;
}

/** A process that a lever was pulled on. */
export interface Touched {
  readonly component: string;
  readonly host: string;
  /** Where it still runs; in the process namespace that the cluster's mode has for it. */
  readonly pid?: number;
}

/** Selectors are COMPONENT (all its instances) or COMPONENT@HOST; unknown names of components and hosts throw UserError (exit code 2). */
export interface ClusterAccess {
  readonly mode: 'local' | 'compose';
  readonly hosts: readonly HostLayout[];
  /** On this machine: where what is broken is written down, among others. */
  readonly folder: string;
  /** Differs for each run of the cluster (from up to down): what was broken in another run is gone. */
  readonly runId: string;
  /** A file on this machine. */
  kubeconfig(): Promise<string>;
  /** Of one component, or of all: that takes many times as long in containers. */
  status(component?: string): Promise<readonly InstanceReport[]>;
  /** Throws UserError when none of the selected runs. */
  signal(selector: string, signal: NodeJS.Signals): Promise<readonly Touched[]>;
  /** Resolves when they have ended and will stay down. */
  stop(selector: string): Promise<readonly Touched[]>;
  /** Resolves when the start has been asked for; who supervises them does it. */
  start(selector: string): Promise<readonly Touched[]>;
  /** Resolves when the host is up again. */
  reboot(host: string): Promise<void>;
  /** Everything on the host ends and it no longer answers; it stays so until powerOn. Done already: nothing happens. */
  powerOff(host: string): Promise<void>;
  powerOn(host: string): Promise<void>;
  /** Whether it has booted. */
  isUp(host: string): Promise<boolean>;
  /** Of CPUs or bytes of memory, for everything on the host; undefined: none. Throws UserError where that cannot be. */
  setLimit(host: string, resource: Limited, amount: number | undefined): Promise<void>;
  limitOf(host: string, resource: Limited): Promise<number | undefined>;
  /** On a disk of the host's own (HOST_DATA_FOLDERS), also while the host is down; undefined: no such file. */
  writeFile(host: string, path: string, text: string | undefined): Promise<void>;
  readFile(host: string, path: string): Promise<string | undefined>;
  /** In all namespaces of the host, by its own programs, which see its clock. Throws UserError when the host is down. */
  onHost(host: string, words: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** In the network of the host, which outlives its boots; as root of the cluster, by programs of the machine or the image. */
  inNetworkOf(host: string, words: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}
