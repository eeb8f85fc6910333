// Files that the kubelet makes for containers: /etc/hosts, termination logs, links to logs; and the mounts of them all.
import { chmod, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Mount, MountPropagation, Sent } from '#lib/cri/messages.ts';
import type { Container, Pod, VolumeMount } from '#lib/kinds/types/core-v1.ts';
import { ConfigurationError, expand } from '../core/environment-variables.ts';
import { hostNetworkHostsFile, podHostsFile } from '../core/hosts-file.ts';
import { DEFAULT_TERMINATION_PATH } from '../core/runtime-config.ts';
import { namespaceOf, uidOf, usesHostNetwork } from '../core/pod-spec.ts';
import type { Volumes } from './volumes.ts';

const HOSTS_PATH = '/etc/hosts';
const CONTAINER_LOGS = '/var/log/containers';

export interface MountsInputs {
  readonly pod: Pod;
  readonly container: Container;
  readonly volumes: Volumes;
  readonly environment: ReadonlyMap<string, string>;
  readonly podIPs: readonly string[];
  readonly clusterDomain: string;
  readonly restartCount: number;
}

const PROPAGATION: Readonly<Record<string, MountPropagation>> = {
  None: 'PROPAGATION_PRIVATE', HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER', Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
};

/** Throws ConfigurationError when a mount cannot be made. */
export async function mountsOf(inputs: MountsInputs): Promise<Sent<Mount>[]> {
  const { pod, container, volumes } = inputs;
  const uid = uidOf(pod);
  const mounts: Sent<Mount>[] = [];
  for (const mount of container.volumeMounts ?? []) mounts.push(await volumeMount(inputs, mount));
  if (!container.volumeMounts?.some(({ mountPath }) => mountPath === HOSTS_PATH)) {
    const hostPath = join(volumes.podFolder(uid), 'etc-hosts');
    await writeHostsFile(hostPath, inputs);
    mounts.push({ containerPath: HOSTS_PATH, hostPath, propagation: 'PROPAGATION_PRIVATE' });
  }
  const terminationPath = container.terminationMessagePath ?? DEFAULT_TERMINATION_PATH;
  if (terminationPath !== '') {
    const hostPath = join(volumes.containerFolder(uid, container.name), `${inputs.restartCount}-${Date.now().toString(16)}`);
    await mkdir(dirname(hostPath), { recursive: true, mode: 0o750 });
    await writeFile(hostPath, '');
    await chmod(hostPath, 0o666); // whichever user the container runs as writes here
    mounts.push({ containerPath: terminationPath, hostPath, propagation: 'PROPAGATION_PRIVATE' });
  }
  return mounts;
}

async function volumeMount({ pod, container, volumes, environment }: MountsInputs, mount: VolumeMount): Promise<Sent<Mount>> {
  const volume = pod.spec.volumes?.find(({ name }) => name === mount.name);
  if (!volume) throw new ConfigurationError(`cannot find volume "${mount.name}" to mount into container "${container.name}"`);
  let subPath = mount.subPath ?? '';
  if (mount.subPathExpr !== undefined && mount.subPathExpr !== '') {
    subPath = expand(mount.subPathExpr, (name) => {
      const value = environment.get(name);
      if (value === undefined) throw new ConfigurationError(`missing value for "${name}"`);
      return value;
    });
  }
  return {
    containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`,
    hostPath: await volumes.mountSource(pod, volume, mount, subPath),
    readonly: mount.readOnly === true || volumes.isReadOnly(uidOf(pod), volume),
    recursiveReadOnly: mount.recursiveReadOnly === 'Enabled',
    propagation: PROPAGATION[mount.mountPropagation ?? 'None'] ?? 'PROPAGATION_PRIVATE',
  };
}

async function writeHostsFile(path: string, { pod, podIPs, clusterDomain }: MountsInputs): Promise<void> {
  const text = usesHostNetwork(pod) ? hostNetworkHostsFile(await readFile(HOSTS_PATH, 'utf8'), pod) : podHostsFile(pod, podIPs, clusterDomain);
  const current = await readFile(path, 'utf8').catch(() => undefined); // absent at first
  if (current === text) return;
  await writeFile(path, text); // in place: running containers have this very file mounted
  await chmod(path, 0o644);
}

/** /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log, for log collectors. */
export const logLinkOf = (pod: Pod, container: string, id: string): string => join(CONTAINER_LOGS, `${pod.metadata.name}_${namespaceOf(pod)}_${container}-${id}.log`);

export async function linkLog(link: string, target: string): Promise<void> {
  await mkdir(dirname(link), { recursive: true, mode: 0o755 });
  await symlink(target, `${link}.new`).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    await rm(`${link}.new`, { force: true });
    await symlink(target, `${link}.new`);
  });
  await rename(`${link}.new`, link);
}
