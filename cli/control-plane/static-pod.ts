// Other flags for the API servers of a running cluster, as people give them on a kubeadm cluster: by the manifests of the static pods,
// one master after the other; the kubelet there starts it anew.
import { parse, stringify } from 'yaml';
import { systemClock } from '#lib/environment/clock.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { mastersOf } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';

const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';
/** For the kubelet to see the change, the old process to end and the new one to be ready; milliseconds. */
const RESTART_DEADLINE_MS = 180_000;
const POLL_MS = 400;

export interface HostMount {
  readonly name: string;
  readonly path: string;
  readonly type: 'DirectoryOrCreate' | 'File';
  readonly writable?: boolean;
}

export interface ApiServerChange {
  /** By name, without dashes; undefined takes the flag away. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly mounts?: readonly HostMount[];
  /** Names of mounts that go. */
  readonly unmount?: readonly string[];
}

/** The manifest with the change made; the same text when there is nothing to change. */
export function changedManifest(text: string, { flags, mounts = [], unmount = [] }: ApiServerChange): string {
  const pod = parse(text) as Pod;
  const [container] = pod.spec?.containers ?? [];
  if (!pod.spec || !container) throw new UserError(`${MANIFEST} holds no pod`);
  const nameOf = (word: string): string | undefined => /^--([^=]+)/.exec(word)?.[1];
  const kept = (container.command ?? []).filter((word) => !Object.hasOwn(flags, nameOf(word) ?? ''));
  const added = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
  container.command = [...kept, ...added];
  const isGone = ({ name }: { name: string }): boolean => unmount.includes(name) || mounts.some((mount) => mount.name === name);
  container.volumeMounts = [...(container.volumeMounts ?? []).filter((mount) => !isGone(mount)), ...mounts.map(({ name, path, writable }) => ({ name, mountPath: path, ...(writable === true ? {} : { readOnly: true }) }))];
  pod.spec.volumes = [...(pod.spec.volumes ?? []).filter((volume) => !isGone(volume)), ...mounts.map(({ name, path, type }) => ({ name, hostPath: { path, type } }))];
  const changed = stringify(pod, { lineWidth: 0 });
  return changed === stringify(parse(text), { lineWidth: 0 }) ? text : changed;
}

export async function readOnHost(cluster: ClusterAccess, host: string, path: string): Promise<string> {
  const { code, stdout, stderr } = await cluster.onHost(host, ['cat', path]);
  if (code !== 0) throw new UserError(`${host}: ${stderr.trim()}`);
  return stdout;
}

/** In one step, for whoever watches the file. */
export async function writeOnHost(cluster: ClusterAccess, host: string, path: string, text: string, mode = '0600'): Promise<void> {
  // The kubelet reads every file of its folder of manifests that does not begin with a dot.
  const script = 'set -e; mkdir -p "$(dirname "$1")"; new="$(dirname "$1")/.$(basename "$1").new"; cat >"$new"; chmod "$2" "$new"; mv "$new" "$1"';
  const { code, stderr } = await cluster.onHost(host, ['sh', '-c', script, 'sh', path, mode], { input: text });
  if (code !== 0) throw new UserError(`${host}: ${stderr.trim()}`);
}

export async function removeOnHost(cluster: ClusterAccess, host: string, ...paths: string[]): Promise<void> {
  const { code, stderr } = await cluster.onHost(host, ['rm', '-rf', ...paths]);
  if (code !== 0) throw new UserError(`${host}: ${stderr.trim()}`);
}

/** Resolves when every API server runs with the change. Returns whether any had to be started anew. */
export async function changeApiServers(cluster: ClusterAccess, changeFor: (master: string) => ApiServerChange): Promise<boolean> {
  let isChanged = false;
  for (const { name } of mastersOf(cluster.hosts)) {
    const text = await readOnHost(cluster, name, MANIFEST);
    const changed = changedManifest(text, changeFor(name));
    if (changed === text) continue;
    isChanged = true;
    const before = await apiServerOf(cluster, name);
    await writeOnHost(cluster, name, MANIFEST, changed);
    await untilRestarted(cluster, name, before);
  }
  return isChanged;
}

interface Process {
  readonly pid: number | null;
  readonly restarts: number;
  readonly health: string;
}

const apiServerOf = async (cluster: ClusterAccess, host: string): Promise<Process | undefined> =>
  (await cluster.status('apiserver')).find((report) => report.host === host);

async function untilRestarted(cluster: ClusterAccess, host: string, before: Process | undefined): Promise<void> {
  const deadlineMs = systemClock.nowMs() + RESTART_DEADLINE_MS;
  for (;;) {
    const now = await apiServerOf(cluster, host);
    if (now && now.health === 'healthy' && (now.pid !== before?.pid || now.restarts !== before?.restarts)) return;
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`the API server of ${host} is not back within ${RESTART_DEADLINE_MS / 1000} s of the change of its manifest`);
    await systemClock.sleep(POLL_MS);
  }
}
