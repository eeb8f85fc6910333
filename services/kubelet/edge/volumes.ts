// The volumes of pods on disk: set up before containers start, kept up to date while they run, removed at the end.
// Source: pkg/kubelet/volumemanager and pkg/volume.
import { execFile } from 'node:child_process';
import { chmod, chown, lchown, lstat, mkdir, open, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { EmptyDirVolumeSource, HostPathVolumeSource, Pod, Volume, VolumeMount } from '#lib/kinds/types/core-v1.ts';
import { integerValue } from '#lib/machinery/quantity.ts';
import type { FieldContext } from '../core/downward-api.ts';
import { ConfigurationError, type ReferencedObjects } from '../core/environment-variables.ts';
import { allContainersOf, uidOf } from '../core/pod-spec.ts';
import { hasPayload, isInside, tokenKey, tokensWanted, VolumeError, volumePayload } from '../core/volume-payload.ts';
import { writeAtomically } from './atomic-writer.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

const run = promisify(execFile);

/** A volume that could not be set up. */
export interface VolumeFailure {
  readonly volume: string;
  readonly message: string;
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
}

export class Volumes {
  readonly #root: string;
  readonly #tokens: ServiceAccountTokens | undefined;

  constructor({ root, tokens }: VolumesOptions) {
    this.#root = root;
    this.#tokens = tokens;
  }

  podFolder(uid: string): string {
    return join(this.#root, 'pods', uid);
  }
  /** Folder of a container's own files, such as its termination log. */
  containerFolder(uid: string, container: string): string {
    return join(this.podFolder(uid), 'containers', container);
  }

  async preparePod(uid: string): Promise<void> {
    for (const folder of ['', 'volumes', 'plugins', 'containers']) await mkdir(join(this.podFolder(uid), folder), { recursive: true, mode: 0o750 });
  }

  /** Sets up or refreshes all volumes. Returns those that cannot be now. */
  async setUp(inputs: MountInputs): Promise<VolumeFailure[]> {
    const { pod } = inputs;
    const used = new Set(allContainersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)));
    const failures = await Promise.all((pod.spec.volumes ?? []).filter(({ name }) => used.has(name)).map(async (volume): Promise<VolumeFailure[]> => {
      try {
        await this.#setUpOne(volume, inputs);
        return [];
      } catch (error) {
        if (!(error instanceof VolumeError) && !(error instanceof ConfigurationError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
        return [{ volume: volume.name, message: (error as Error).message }];
      }
    }));
    return failures.flat();
  }

  /** Where the volume is on this host. Throws VolumeError for a kind of volume that is not supported. */
  pathOf(uid: string, volume: Volume): string {
    if (volume.hostPath) return volume.hostPath.path;
    return join(this.podFolder(uid), 'volumes', `kubernetes.io~${pluginOf(volume)}`, volume.name);
  }

  async #setUpOne(volume: Volume, { pod, objects, context }: MountInputs): Promise<void> {
    const uid = uidOf(pod);
    if (volume.hostPath) return checkHostPath(volume.hostPath);
    const folder = this.pathOf(uid, volume);
    const { fsGroup } = pod.spec.securityContext ?? {};
    if (volume.emptyDir) return this.#setUpEmptyDir(folder, volume.emptyDir, pod, fsGroup);
    if (!hasPayload(volume)) throw new VolumeError(`no volume plugin matched: ${volume.name}`);
    const tokens = new Map<string, string>();
    for (const spec of tokensWanted(volume)) {
      if (!this.#tokens) throw new VolumeError('failed to fetch token: this kubelet has no API server');
      tokens.set(tokenKey(spec), await this.#tokens.get(pod, spec));
    }
    const payload = volumePayload({ pod, volume, objects, context, tokens });
    await mkdir(folder, { recursive: true, mode: 0o755 });
    await chmod(folder, 0o777); // as upstream: the files inside have their own modes
    await writeAtomically(folder, payload, { uid: tokens.size > 0 ? singleUserOf(pod) : undefined, gid: fsGroup });
  }

  async #setUpEmptyDir(folder: string, { medium, sizeLimit }: EmptyDirVolumeSource, pod: Pod, fsGroup: number | undefined): Promise<void> {
    const existed = await stat(folder).then(() => true, () => false);
    await mkdir(folder, { recursive: true, mode: 0o777 });
    if (medium === 'Memory' && !(await isMountPoint(folder))) {
      const limits = [sizeLimit, memoryLimitOf(pod)].map((quantity) => integerValue(quantity)).filter((bytes) => bytes > 0);
      const options = limits.length > 0 ? ['-o', `size=${Math.min(...limits)}`] : [];
      await run('mount', ['-t', 'tmpfs', ...options, 'tmpfs', folder]);
    } else if (existed && fsGroup === undefined) return;
    await chmod(folder, 0o777);
    if (fsGroup !== undefined) await giveToGroup(folder, fsGroup);
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
    await mkdir(dirname(target), { recursive: true, mode: 0o750 });
    const exists = await lstat(target).then(() => true, () => false);
    if (!exists) await mkdir(target, { mode: 0o750 });
    // Links inside the volume were made by whoever can write there: they must not lead elsewhere on the host.
    const [real, root] = await Promise.all([realpath(target), realpath(source)]);
    if (real !== root && !real.startsWith(`${root}/`)) {
      throw new ConfigurationError(`failed to prepare subPath for volumeMount "${mount.name}" of container: subpath "${real}" not within volume path "${root}"`);
    }
    return real;
  }

  /** Ends the pod's volumes; its other files stay until `removePod`. */
  async tearDownVolumes(uid: string): Promise<void> {
    await removeWithMounts(join(this.podFolder(uid), 'volumes'));
    this.#tokens?.forget(uid);
  }

  async removePod(uid: string): Promise<void> {
    await removeWithMounts(this.podFolder(uid));
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
async function giveToGroup(folder: string, gid: number): Promise<void> {
  await chown(folder, 0, gid);
  await chmod(folder, 0o2777);
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

const unescape = (path: string): string => path.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));

async function mountPointsBelow(folder: string): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text.split('\n').flatMap((line) => {
    const path = unescape(line.split(' ')[4] ?? '');
    return path === folder || path.startsWith(`${folder}/`) ? [path] : [];
  });
}
const isMountPoint = async (folder: string): Promise<boolean> => (await mountPointsBelow(folder)).includes(folder);
