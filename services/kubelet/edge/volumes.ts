// The volumes of pods on disk: set up before containers start, kept up to date while they run, removed at the end.
// Source: pkg/kubelet/volumemanager and pkg/volume.
import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, open, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ApiClient } from '#lib/api-client/client.ts';
import type { EmptyDirVolumeSource, HostPathVolumeSource, NFSVolumeSource, Node, PersistentVolume, Pod, Volume, VolumeMount } from '#lib/kinds/types/core-v1.ts';
import { integerValue } from '#lib/machinery/quantity.ts';
import { claimOfVolume, volumeAllowsNode } from '#lib/machinery/volume-binding.ts';
import { beforeWrite } from '#lib/service/disk-fault.ts';
import type { FieldContext } from '../core/downward-api.ts';
import { ConfigurationError, type ReferencedObjects } from '../core/environment-variables.ts';
import { allContainersOf, uidOf } from '../core/pod-spec.ts';
import { hasPayload, isInside, tokenKey, tokensWanted, VolumeError, volumePayload } from '../core/volume-payload.ts';
import { writeAtomically } from './atomic-writer.ts';
import { claimedVolume, VolumeNotProcessed } from './claimed-volumes.ts';
import { chown, lchown } from './ownership.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

const run = promisify(execFile);

/** Longest wait for a file server. Milliseconds. */
const MOUNT_TIMEOUT_MS = 120_000;

/** A volume that could not be set up, and the event that says so. */
export interface VolumeFailure {
  readonly volume: string;
  readonly reason: 'FailedMount' | 'FailedMapVolume';
  readonly message: string;
}

/** A failure with another text than `MountVolume.SetUp failed`. */
class SetUpError extends VolumeError {
  readonly reason: VolumeFailure['reason'];
  constructor(message: string, reason: VolumeFailure['reason'] = 'FailedMount') {
    super(message);
    this.reason = reason;
  }
}

/** A volume that is there for a pod and needs nothing more. */
interface SetUpVolume {
  readonly path: string;
  readonly isReadOnly: boolean;
  /** Name of the persistent volume behind it that only one pod may use. */
  readonly exclusive?: string;
}

export interface MountInputs {
  readonly pod: Pod;
  readonly objects: ReferencedObjects;
  readonly context: FieldContext;
}

export interface VolumesOptions {
  /** /var/lib/kubelet */
  readonly root: string;
  readonly tokens: ServiceAccountTokens | undefined;
  /** For claims; undefined: there is no server. */
  readonly api?: ApiClient | undefined;
  readonly node?: () => Node | undefined;
}

export class Volumes {
  readonly #root: string;
  readonly #tokens: ServiceAccountTokens | undefined;
  readonly #api: ApiClient | undefined;
  readonly #node: () => Node | undefined;
  /** By pod and volume name. Lost with the process: setting up again finds what is there. */
  readonly #ready = new Map<string, Map<string, SetUpVolume>>();

  constructor({ root, tokens, api, node = () => undefined }: VolumesOptions) {
    this.#root = root;
    this.#tokens = tokens;
    this.#api = api;
    this.#node = node;
  }

  podFolder(uid: string): string {
    return join(this.#root, 'pods', uid);
  }
  /** Folder of a container's own files, such as its termination log. */
  containerFolder(uid: string, container: string): string {
    return join(this.podFolder(uid), 'containers', container);
  }

  /** Throws what mkdir(2) says. */
  async preparePod(uid: string): Promise<void> {
    if (!(await stat(this.podFolder(uid)).then(() => true, () => false))) beforeWrite(this.#root, `mkdir '${this.podFolder(uid)}'`);
    for (const folder of ['', 'volumes', 'plugins', 'containers']) await mkdir(join(this.podFolder(uid), folder), { recursive: true, mode: 0o750 });
  }

  /** Sets up or refreshes all volumes. Returns those that cannot be now. */
  async setUp(inputs: MountInputs): Promise<VolumeFailure[]> {
    const { pod } = inputs;
    const used = new Set(allContainersOf(pod).flatMap(({ volumeMounts = [], volumeDevices = [] }) => [...volumeMounts, ...volumeDevices].map(({ name }) => name)));
    const failures = await Promise.all((pod.spec.volumes ?? []).filter(({ name }) => used.has(name)).map(async (volume): Promise<VolumeFailure[]> => {
      try {
        await this.#setUpOne(volume, inputs);
        return [];
      } catch (error) {
        if (!(error instanceof VolumeError) && !(error instanceof ConfigurationError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
        const { message } = error as Error;
        if (error instanceof SetUpError) return [{ volume: volume.name, reason: error.reason, message }];
        if (error instanceof VolumeNotProcessed) return [{ volume: volume.name, reason: 'FailedMount', message }];
        return [{ volume: volume.name, reason: 'FailedMount', message: `MountVolume.SetUp failed for volume ${JSON.stringify(volume.name)} : ${message}` }];
      }
    }));
    return failures.flat();
  }

  /** Whether the volume itself, and not only one mount of it, cannot be written. */
  isReadOnly(uid: string, volume: Volume): boolean {
    return hasPayload(volume) || this.#ready.get(uid)?.get(volume.name)?.isReadOnly === true;
  }

  /** Where the volume is on this host. Throws VolumeError for a volume of a claim that is not set up, and for unknown kinds. */
  pathOf(uid: string, volume: Volume): string {
    const ready = this.#ready.get(uid)?.get(volume.name);
    if (ready) return ready.path;
    if (volume.hostPath) return volume.hostPath.path;
    return this.#folderOf(uid, pluginOf(volume), volume.name);
  }
  #folderOf(uid: string, plugin: string, name: string): string {
    return join(this.podFolder(uid), 'volumes', `kubernetes.io~${plugin}`, name);
  }

  async #setUpOne(volume: Volume, inputs: MountInputs): Promise<void> {
    if (hasPayload(volume)) return this.#writePayload(volume, inputs);
    const { pod } = inputs;
    const uid = uidOf(pod);
    if (this.#ready.get(uid)?.has(volume.name)) return;
    const done = await this.#setUpLasting(volume, pod);
    const ready = this.#ready.get(uid) ?? new Map<string, SetUpVolume>();
    this.#ready.set(uid, ready.set(volume.name, done));
  }

  /** A volume whose content is not ours to keep up to date. */
  async #setUpLasting(volume: Volume, pod: Pod): Promise<SetUpVolume> {
    const { hostPath, emptyDir, nfs, name } = volume;
    const uid = uidOf(pod);
    if (claimOfVolume(pod.metadata.name, volume)) return this.#setUpClaimed(volume, pod);
    if (hostPath) {
      await checkHostPath(hostPath);
      return { path: hostPath.path, isReadOnly: false };
    }
    if (nfs) return { path: await this.#mountNfs(uid, name, nfs, []), isReadOnly: nfs.readOnly === true };
    if (!emptyDir) throw new VolumeError(`no volume plugin matched: ${name}`);
    const folder = this.pathOf(uid, volume);
    await this.#setUpEmptyDir(name, folder, emptyDir, pod);
    return { path: folder, isReadOnly: false };
  }

  async #setUpClaimed(volume: Volume, pod: Pod): Promise<SetUpVolume> {
    const uid = uidOf(pod);
    const { volume: persistent, isReadOnly } = await claimedVolume(this.#api, pod, volume);
    const { metadata: { name }, spec } = persistent;
    const failed = (step: string, why: string, reason?: VolumeFailure['reason']): SetUpError => new SetUpError(`${step} for volume ${JSON.stringify(name)} : ${why}`, reason);
    if (spec.volumeMode === 'Block') throw failed('MapVolume.SetUpDevice failed', 'block devices are left out of this kubelet', 'FailedMapVolume');
    const node = this.#node();
    if (node && !volumeAllowsNode(persistent, node)) throw failed('MountVolume.NodeAffinity check failed', 'no matching NodeSelectorTerms');
    const isExclusive = spec.accessModes?.length === 1 && spec.accessModes[0] === 'ReadWriteOncePod';
    if (isExclusive && this.#isUsedElsewhere(name, uid)) throw failed('MountVolume.SetUp failed', 'volume uses the ReadWriteOncePod access mode and is already in use by another pod');
    try {
      return { path: await this.#mountPersistent(persistent, pod, isReadOnly), isReadOnly, ...(isExclusive ? { exclusive: name } : {}) };
    } catch (error) {
      if (error instanceof SetUpError || !(error instanceof Error)) throw error;
      throw failed('MountVolume.SetUp failed', error.message);
    }
  }

  #isUsedElsewhere(persistentVolume: string, uid: string): boolean {
    return [...this.#ready].some(([other, volumes]) => other !== uid && [...volumes.values()].some(({ exclusive }) => exclusive === persistentVolume));
  }

  async #mountPersistent({ metadata: { name }, spec }: PersistentVolume, pod: Pod, isReadOnly: boolean): Promise<string> {
    const uid = uidOf(pod);
    if (spec.hostPath) {
      await checkHostPath(spec.hostPath);
      return spec.hostPath.path;
    }
    if (spec.nfs) return this.#mountNfs(uid, name, spec.nfs, spec.mountOptions ?? []);
    if (spec.local) {
      const { path } = spec.local;
      const found = await stat(path).catch(ignoreMissing);
      if (!found) throw new SetUpError(`MountVolume.NewMounter initialization failed for volume ${JSON.stringify(name)} : path ${JSON.stringify(path)} does not exist`);
      if (!found.isDirectory()) throw new VolumeError(`${path} is not a directory: local block devices are left out of this kubelet`);
      const folder = this.#folderOf(uid, 'local-volume', name);
      await mkdir(folder, { recursive: true, mode: 0o750 });
      if (await isMountPoint(folder)) return folder;
      await mount(['--bind', path, folder]);
      const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
      if (fsGroup !== undefined && !isReadOnly) await giveToGroup(folder, fsGroup, fsGroupChangePolicy);
      return folder;
    }
    if (spec.csi) throw new SetUpError(`MountVolume.MountDevice failed for volume ${JSON.stringify(name)} : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ${spec.csi.driver} not found in the list of registered CSI drivers`);
    throw new VolumeError('no volume plugin matched');
  }

  async #mountNfs(uid: string, name: string, { server, path, readOnly }: NFSVolumeSource, mountOptions: readonly string[]): Promise<string> {
    const folder = this.#folderOf(uid, 'nfs', name);
    await mkdir(folder, { recursive: true, mode: 0o750 });
    const options = [...(readOnly === true ? ['ro'] : []), ...mountOptions];
    if (!(await isMountPoint(folder))) await mount(['-t', 'nfs', ...(options.length > 0 ? ['-o', options.join(',')] : []), `${server}:${path}`, folder]);
    return folder;
  }

  async #writePayload(volume: Volume, { pod, objects, context }: MountInputs): Promise<void> {
    const folder = this.pathOf(uidOf(pod), volume);
    const { fsGroup } = pod.spec.securityContext ?? {};
    const tokens = new Map<string, string>();
    for (const spec of tokensWanted(volume)) {
      if (!this.#tokens) throw new VolumeError('failed to fetch token: this kubelet has no API server');
      tokens.set(tokenKey(spec), await this.#tokens.get(pod, spec));
    }
    const payload = volumePayload({ pod, volume, objects, context, tokens });
    await mkdir(folder, { recursive: true, mode: 0o755 });
    await chmod(folder, 0o777); // as upstream: the files inside have their own modes
    await writeAtomically(folder, payload, { uid: tokens.size > 0 ? singleUserOf(pod) : undefined, gid: fsGroup, dataFolder: this.#root });
  }

  /** Once: what its containers have made of it since is theirs. */
  async #setUpEmptyDir(name: string, folder: string, { medium, sizeLimit }: EmptyDirVolumeSource, pod: Pod): Promise<void> {
    const marks = join(this.podFolder(uidOf(pod)), 'plugins', 'kubernetes.io~empty-dir', name);
    const isReady = await stat(join(marks, 'ready')).then(() => true, () => false);
    await mkdir(folder, { recursive: true, mode: 0o777 });
    const needsMount = medium === 'Memory' && !(await isMountPoint(folder)); // also after a reboot
    if (isReady && !needsMount) return;
    if (needsMount) {
      const limits = [sizeLimit, memoryLimitOf(pod)].map((quantity) => integerValue(quantity)).filter((bytes) => bytes > 0);
      const options = limits.length > 0 ? ['-o', `size=${Math.min(...limits)}`] : [];
      await mount(['-t', 'tmpfs', ...options, 'tmpfs', folder]);
    }
    const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
    await chmod(folder, 0o777);
    if (fsGroup !== undefined) await giveToGroup(folder, fsGroup, fsGroupChangePolicy);
    await mkdir(marks, { recursive: true, mode: 0o750 });
    await (await open(join(marks, 'ready'), 'w', 0o644)).close();
  }

  /**
   * Host path for a mount of a volume, with its subPath resolved; throws ConfigurationError when that leads out of the
   * volume or cannot be made. `subPath` has its variables expanded already.
   */
  async mountSource(pod: Pod, volume: Volume, mount: VolumeMount, subPath: string): Promise<string> {
    const source = this.pathOf(uidOf(pod), volume);
    if (subPath === '') return source;
    if (!isInside(subPath)) throw new ConfigurationError(`failed to prepare subPath for volumeMount "${mount.name}" of container: subPath "${subPath}" must not contain ".." or be absolute`);
    const target = join(source, subPath);
    const exists = await lstat(target).then(() => true, () => false);
    const root = await realpath(source);
    // Links inside the volume were made by whoever can write there: they must not lead elsewhere on the host.
    const checked = async (path: string): Promise<string> => {
      const real = await realpath(path);
      if (real === root || real.startsWith(`${root}/`)) return real;
      throw new ConfigurationError(`failed to prepare subPath for volumeMount "${mount.name}" of container: subpath "${real}" not within volume path "${root}"`);
    };
    if (!exists) await makeFolders(root, subPath, checked);
    return checked(target);
  }

  /** Ends the pod's volumes; its other files stay until `removePod`. */
  async tearDownVolumes(uid: string): Promise<void> {
    await removeWithMounts(join(this.podFolder(uid), 'volumes'));
    this.#ready.delete(uid);
    this.#tokens?.forget(uid);
  }

  async removePod(uid: string): Promise<void> {
    await removeWithMounts(this.podFolder(uid));
    this.#ready.delete(uid);
    this.#tokens?.forget(uid);
  }

  /** Pods that have a folder on disk. */
  async podsOnDisk(): Promise<string[]> {
    return readdir(join(this.#root, 'pods')).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
  }
}

/** Throws VolumeError with what `mount` says, worded as upstream's mounter does. */
async function mount(args: readonly string[]): Promise<void> {
  try {
    await run('mount', [...args], { timeout: MOUNT_TIMEOUT_MS });
  } catch (error) {
    const { code, killed, stderr = '', stdout = '', message } = error as Error & { code?: number | string; killed?: boolean; stderr?: string; stdout?: string };
    const status = killed === true ? 'signal: killed' : typeof code === 'number' ? `exit status ${code}` : message;
    throw new VolumeError(`mount failed: ${status}\nMounting command: mount\nMounting arguments: ${args.join(' ')}\nOutput: ${stdout}${stderr}`, { cause: error });
  }
}

/** New folders of a subPath get the rights of the volume itself. Each one is checked before the next is made in it. */
async function makeFolders(volume: string, subPath: string, check: (path: string) => Promise<unknown>): Promise<void> {
  const { mode } = await stat(volume);
  let path = volume;
  for (const part of subPath.split('/').filter((one) => one !== '' && one !== '.')) {
    path = join(path, part);
    const isNew = await mkdir(path).then(() => true, (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    });
    if (isNew) await chmod(path, mode & 0o777);
    else await check(path);
  }
}

/** Removes a folder after unmounting what is mounted below; refuses while something stays mounted. */
async function removeWithMounts(folder: string): Promise<void> {
  for (const mounted of (await mountPointsBelow(folder)).reverse()) await run('umount', [mounted]);
  const left = await mountPointsBelow(folder);
  if (left.length > 0) throw new Error(`cannot remove ${folder}: ${left.join(', ')} still mounted`);
  await rm(folder, { recursive: true, force: true });
}

function pluginOf(volume: Volume): string {
  if (volume.emptyDir) return 'empty-dir';
  if (volume.configMap) return 'configmap';
  if (volume.secret) return 'secret';
  if (volume.downwardAPI) return 'downward-api';
  if (volume.projected) return 'projected';
  const named = Object.keys(volume).filter((key) => key !== 'name');
  if (named.length === 0) return 'empty-dir';
  throw new VolumeError(`no volume plugin matched: ${named.join(', ')}`);
}

function memoryLimitOf({ spec }: Pod): string | undefined {
  if (spec.containers.some(({ resources }) => resources?.limits?.['memory'] === undefined)) return undefined;
  return String(spec.containers.reduce((sum, { resources }) => sum + integerValue(resources?.limits?.['memory']), 0));
}

/** The one user that all containers run as; undefined when they differ or it is not said. */
function singleUserOf({ spec }: Pod): number | undefined {
  const users = new Set([...(spec.initContainers ?? []), ...spec.containers].map(({ securityContext }) => securityContext?.runAsUser ?? spec.securityContext?.runAsUser));
  return users.size === 1 ? [...users][0] : undefined;
}

/** Source: SetVolumeOwnership: group owner, group bits as the owner's, setgid on folders. */
async function giveToGroup(folder: string, gid: number, policy: string | undefined): Promise<void> {
  const root = await stat(folder);
  if (policy === 'OnRootMismatch' && root.gid === gid && (root.mode & 0o2070) === 0o2070) return;
  await chown(folder, root.uid, gid);
  await chmod(folder, (root.mode & 0o7777) | 0o2770);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const { mode, uid } = await lstat(path);
    await lchown(path, uid, gid);
    if (!entry.isSymbolicLink()) await chmod(path, (mode & 0o7777) | (entry.isDirectory() ? 0o2770 : 0o660));
  }
}

/** Source: pkg/volume/hostpath: checks or makes what `type` says. */
async function checkHostPath({ path, type = '' }: HostPathVolumeSource): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  const expect = (holds: boolean | undefined, what: string): void => {
    if (holds !== true) throw new VolumeError(`hostPath type check failed: ${path} is not a ${what}`);
  };
  switch (type) {
    case '': return;
    case 'DirectoryOrCreate':
      if (!found) await mkdir(path, { recursive: true, mode: 0o755 });
      else expect(found.isDirectory(), 'directory');
      return;
    case 'Directory': return expect(found?.isDirectory(), 'directory');
    case 'FileOrCreate':
      if (!found) await (await open(path, 'a', 0o644)).close();
      else expect(found.isFile(), 'file');
      return;
    case 'File': return expect(found?.isFile(), 'file');
    case 'Socket': return expect(found?.isSocket(), 'socket file');
    case 'CharDevice': return expect(found?.isCharacterDevice(), 'character device');
    case 'BlockDevice': return expect(found?.isBlockDevice(), 'block device');
    default: throw new VolumeError(`hostPath type check failed: ${type} is not supported`);
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}

const unescape = (path: string): string => path.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));

async function mountPointsBelow(folder: string): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text.split('\n').flatMap((line) => {
    const path = unescape(line.split(' ')[4] ?? '');
    return path === folder || path.startsWith(`${folder}/`) ? [path] : [];
  });
}
const isMountPoint = async (folder: string): Promise<boolean> => (await mountPointsBelow(folder)).includes(folder);
