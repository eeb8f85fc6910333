// From a container's CRI config, its image and its pod to the steps that make its process. Pure: paths of the host come in,
// steps go out.
import type { ContainerConfig, LinuxContainerSecurityContext, Mount } from '#lib/cri/messages.ts';
import { capabilitiesToDrop } from './capabilities.ts';
import { MS, type Step } from './steps.ts';

/** One overlay of a container's root: stand-ins have their own root and, over the node's programs, /usr and /usr/local. */
export interface Overlay {
  /** Where in the root: '' or 'usr'. No slash at either end. */
  readonly at: string;
  /** Read-only layers, topmost first. */
  readonly lower: readonly string[];
  readonly upper: string;
  readonly work: string;
}

export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: readonly string[];
  readonly workingDirectory: string;
  /** `USER[:GROUP]`, names or numbers; empty: root. */
  readonly user: string;
  /** SIGTERM when empty. */
  readonly stopSignal: string;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Undefined: they stay as they are, where the host lets nobody set them. */
  readonly groups: readonly number[] | undefined;
  readonly home: string;
  /** Root in place of a user that the host does not have: it gets no capabilities. */
  readonly isSubstitute?: boolean;
}

/** A bind mount whose target is already free of symbolic links. */
export interface ResolvedMount {
  readonly source: string;
  /** Inside the root, absolute. */
  readonly target: string;
  readonly readonly: boolean;
  readonly propagation: Mount['propagation'];
}

export interface ContainerPlanInput {
  readonly config: ContainerConfig;
  readonly image: ImageConfig;
  readonly account: Account;
  readonly overlays: readonly Overlay[];
  /** The mount point of the root: an empty folder. */
  readonly root: string;
  readonly mounts: readonly ResolvedMount[];
  /** Namespace files to enter; empty on the host's. */
  readonly namespaces: readonly string[];
  readonly cgroups: readonly string[];
  readonly hostname: string;
  readonly reportPaths: readonly string[];
  /** A folder for the pod's /dev/shm. */
  readonly sharedMemory: string;
  /** Further options of an overlay mount, with a comma before each. */
  readonly overlayOptions?: string;
  /** Device files of the host to bind over the empty files in /dev; none where the base layer has real ones. */
  readonly bindDevices: readonly string[];
  /** Variables that show it the host's clock, where that is shifted. */
  readonly clock?: Readonly<Record<string, string>>;
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const OVERLAY_DATA_LIMIT_BYTES = 4095; // one page, as mount(2) takes it

/** Kubernetes: command replaces ENTRYPOINT and CMD, args alone replaces CMD. */
export function programOf(config: Pick<ContainerConfig, 'command' | 'args'>, image: ImageConfig): string[] {
  if (config.command.length > 0) return [...config.command, ...config.args];
  return [...image.entrypoint, ...(config.args.length > 0 ? config.args : image.command)];
}

/** Later assignments win; the order is that of the first appearance. */
export function environmentOf({ config, image, account, hostname, clock = {} }: Pick<ContainerPlanInput, 'config' | 'image' | 'account' | 'hostname' | 'clock'>): string[] {
  const variables = new Map<string, string>(Object.entries(clock));
  const set = (assignment: string): void => {
    const at = assignment.indexOf('=');
    if (at > 0) variables.set(assignment.slice(0, at), assignment.slice(at + 1));
  };
  set(DEFAULT_PATH);
  set(`HOSTNAME=${hostname}`);
  if (config.tty) set('TERM=xterm');
  image.environment.forEach(set);
  for (const { key, value } of config.envs) variables.set(key, value.toString());
  if (!variables.has('HOME')) variables.set('HOME', account.home);
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

export const isPrivileged = (config: ContainerConfig): boolean => config.linux?.securityContext?.privileged ?? false;

const mount = (source: string, target: string, type: string, flags: number, data = '', mayFail = false): Step => ({ do: 'mount', source, target, type, flags, data, mayFail });

function overlayMounts({ overlays, root, overlayOptions = '' }: ContainerPlanInput, isReadOnly: boolean): Step[] {
  return overlays.map(({ at, lower, upper, work }) => {
    const data = `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work}${overlayOptions}`;
    if (data.length > OVERLAY_DATA_LIMIT_BYTES) throw new Error('the image has more layers than one overlay mount can name');
    return mount('overlay', at === '' ? root : `${root}/${at}`, 'overlay', isReadOnly ? MS.RDONLY : 0, data);
  });
}

function systemMounts({ root, sharedMemory, bindDevices }: ContainerPlanInput, privileged: boolean): Step[] {
  const quiet = MS.NOSUID | MS.NOEXEC | MS.NODEV;
  return [
    mount('proc', `${root}/proc`, 'proc', quiet),
    mount('sysfs', `${root}/sys`, 'sysfs', quiet | (privileged ? 0 : MS.RDONLY)),
    ...bindDevices.map((device) => mount(device, `${root}${device}`, '', MS.BIND)),
    // The host's: terminals are made there, since they outlive the runtime, and programs look for theirs in it.
    mount('/dev/pts', `${root}/dev/pts`, '', MS.BIND),
    mount('mqueue', `${root}/dev/mqueue`, 'mqueue', quiet, '', true),
    mount(sharedMemory, `${root}/dev/shm`, '', MS.BIND),
    ...(privileged ? [mount('/sys/fs/cgroup', `${root}/sys/fs/cgroup`, '', MS.BIND | MS.REC, '', true)] : []),
  ];
}

function bindMounts({ root, mounts }: ContainerPlanInput): Step[] {
  const depth = ({ target }: ResolvedMount): number => target.split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b)).flatMap(({ source, target, readonly, propagation }) => {
    const at = `${root}${target}`;
    return [
      mount(source, at, '', MS.BIND | MS.REC),
      mount('', at, '', (propagation === 'PROPAGATION_PRIVATE' ? MS.PRIVATE : MS.SLAVE) | MS.REC),
      ...(readonly ? [mount('', at, '', MS.BIND | MS.REMOUNT | MS.RDONLY)] : []),
    ];
  });
}

/** Paths that are hidden or locked where they exist; the kubelet sends them for containers that are not privileged. */
function shields({ root }: ContainerPlanInput, context: LinuxContainerSecurityContext | undefined): Step[] {
  return [
    ...(context?.readonlyPaths ?? []).flatMap((path) => [
      mount(`${root}${path}`, `${root}${path}`, '', MS.BIND | MS.REC, '', true),
      mount('', `${root}${path}`, '', MS.BIND | MS.REMOUNT | MS.RDONLY | MS.NOSUID | MS.NODEV | MS.NOEXEC, '', true),
    ]),
    // A file is covered with /dev/null; on a folder that fails, and the tmpfs goes there; on nothing both fail.
    ...(context?.maskedPaths ?? []).flatMap((path) => [
      mount('tmpfs', `${root}${path}`, 'tmpfs', MS.RDONLY, 'size=0k', true),
      mount('/dev/null', `${root}${path}`, '', MS.BIND, '', true),
    ]),
  ];
}

/** Throws when the config asks for something that does not exist (a capability, a program). */
export function planContainer(input: ContainerPlanInput): Step[] {
  const { config, image, account } = input;
  const context = config.linux?.securityContext;
  const privileged = isPrivileged(config);
  const argv = programOf(config, image);
  if (argv.length === 0 || argv[0] === '') throw new Error('no command specified');
  return [
    { do: 'report', paths: input.reportPaths },
    ...input.cgroups.map((path): Step => ({ do: 'cgroup', path })),
    { do: 'write', path: '/proc/self/oom_score_adj', text: String(config.linux?.resources?.oomScoreAdj ?? 0), mayFail: true },
    ...(input.namespaces.length > 0 ? [{ do: 'join', namespaces: input.namespaces } as const] : []),
    { do: 'unshare-mounts' },
    ...overlayMounts(input, context?.readonlyRootfs ?? false),
    ...systemMounts(input, privileged),
    ...bindMounts(input),
    ...(privileged ? [] : shields(input, context)),
    { do: 'pivot', root: input.root },
    { do: 'session', terminal: config.tty },
    { do: 'directory', path: config.workingDir || image.workingDirectory || '/' },
    userStep(config, account),
    { do: 'environment', variables: environmentOf(input) },
    { do: 'program', argv },
  ];
}

export function userStep(config: ContainerConfig, { uid, gid, groups, isSubstitute = false }: Account): Step {
  const context = config.linux?.securityContext;
  return {
    do: 'user', uid, gid, groups, noNewPrivileges: context?.noNewPrivs ?? false,
    drop: isSubstitute ? capabilitiesToDrop({ add: [], drop: ['ALL'], isPrivileged: false }) : capabilitiesToDrop({
      add: context?.capabilities?.addCapabilities ?? [], drop: context?.capabilities?.dropCapabilities ?? [], isPrivileged: isPrivileged(config),
    }),
  };
}
