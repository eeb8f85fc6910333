// A running cluster as chaos breaks it and looks at it.
import type { ClusterAccess, CommandResult } from '../access/cluster-access.ts';
import { runCommand } from '../access/run-command.ts';
import { belongsOn, COMPONENTS, type HostLayout } from '../cluster-layout.ts';
import { ClusterFolder } from '../local/cluster-folder.ts';
import type { InstanceReport } from '../local/instances.ts';
import { clusterRights } from '../local/rootless.ts';
import { UserError } from '../user-error.ts';
import type { Damage, Targets } from './plan.ts';

/** What looking at a cluster takes. */
export interface ObservedCluster {
  readonly kubeconfig: string;
  readonly hosts: readonly HostLayout[];
  /** What the API server cannot tell, in a few words; empty when nothing is lacking. */
  lacking(): Promise<string>;
  on(host: string, ...command: string[]): Promise<CommandResult>;
  /** A command on the hosts' network, beside the hosts; undefined where there is no such place. */
  outside?(...command: string[]): Promise<CommandResult>;
  /** A command in a pod of the run. */
  inPod(namespace: string, pod: string, ...command: string[]): Promise<CommandResult>;
  /** Where the processes are that belong to the cluster, one command output each. */
  everywhere(...command: string[]): Promise<CommandResult[]>;
}

/** A cluster that can be broken round by round: in local mode, in containers. */
export interface BreakableCluster extends ObservedCluster {
  readonly targets: Targets;
  damage(damage: Damage): Promise<CommandResult>;
  mend(damage: Damage): Promise<CommandResult>;
}

const IN_POD_TIMEOUT_MS = 15_000;

export const inPodByKubectl = (kubeconfig: string): ObservedCluster['inPod'] => (namespace, pod, ...command) =>
  runCommand(['kubectl', '--kubeconfig', kubeconfig, '-n', namespace, 'exec', pod, '--', ...command], { timeoutMs: IN_POD_TIMEOUT_MS });

export async function observed(access: ClusterAccess): Promise<ObservedCluster> {
  const kubeconfig = await access.kubeconfig();
  const names = access.hosts.map(({ name }) => name);
  const on = (host: string, ...command: string[]): Promise<CommandResult> => access.onHost(host, command).catch(asFailed);
  return {
    kubeconfig,
    hosts: access.hosts,
    lacking: async () => (await statusOfRunning(access)).filter(({ health }) => health !== 'healthy').map(({ component, host, health }) => `${component}${host && `@${host}`} ${health}`).join(', '),
    on,
    // In containers the machine itself has the network's gateway.
    outside: (...command) => runCommand(access.mode === 'compose' ? command : ['nsenter', '-t', String(labOf(access)), ...clusterRights(), '-n', '--', ...command]),
    inPod: inPodByKubectl(kubeconfig),
    everywhere: (...command) => Promise.all(names.map((host) => on(host, ...command))),
  };
}

/** With the faults that a running cluster survives as a cluster; its end and a new start are left to those who own it. */
export async function breakable(access: ClusterAccess): Promise<BreakableCluster> {
  const looks = await observed(access);
  const done = (work: Promise<unknown>): Promise<CommandResult> => work.then(() => ({ code: 0, stdout: '', stderr: '' }), asFailed);
  return {
    ...looks,
    targets: { processes: processesOf(access.hosts), hosts: access.hosts.map(({ name }) => name), faults: ['kill', 'stop', 'pause', 'reboot', 'unplug'] },
    damage({ fault, target }) {
      switch (fault) {
        case 'kill': return done(access.signal(target, 'SIGKILL'));
        case 'stop': return done(access.stop(target));
        case 'pause': return done(access.signal(target, 'SIGSTOP'));
        case 'reboot': return done(access.reboot(target));
        case 'unplug': return looks.on(target, 'ip', 'link', 'set', 'eth0', 'down');
        case 'power-cut': case 'down': throw new Error(`${fault} ends the cluster`);
      }
    },
    mend({ fault, target }) {
      switch (fault) {
        case 'stop': return done(access.start(target));
        case 'pause': return done(access.signal(target, 'SIGCONT'));
        case 'unplug': return looks.on(target, 'systemctl', 'restart', 'network');
        case 'kill': case 'reboot': return done(Promise.resolve());
        case 'power-cut': case 'down': throw new Error(`${fault} ends the cluster`);
      }
    },
  };
}

/** COMPONENT@HOST for each process that has its place; those that may run anywhere by their name alone. */
export const processesOf = (hosts: readonly HostLayout[]): string[] => COMPONENTS.flatMap((component) =>
  (component.hosts === 'any' ? [component.name] : hosts.filter((host) => belongsOn(component, host, hosts)).map(({ name }) => `${component.name}@${name}`)));

const labOf = ({ folder }: ClusterAccess): number => new ClusterFolder(folder).requireRunning().labPid;

/** Throws UserError (exit code 3) when it runs no more: that is nothing to wait for. */
async function statusOfRunning(access: ClusterAccess): Promise<readonly InstanceReport[]> {
  if (access.mode === 'local') labOf(access);
  return access.status();
}

/** What a broken cluster refuses is an answer. */
function asFailed(error: unknown): CommandResult {
  if (!(error instanceof UserError)) throw error;
  return { code: error.exitCode, stdout: '', stderr: error.message };
}
