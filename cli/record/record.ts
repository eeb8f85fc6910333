// kubreak record start and stop.
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { KUBERNETES_VERSION, mastersOf } from '../cluster-layout.ts';
import { readOnHost } from '../control-plane/static-pod.ts';
import { UserError } from '../user-error.ts';
import { activeRecording, beginRecording, endRecording, notesOf } from './active.ts';
import { AUDIT_FLAGS, collectWrites, startAudit, stopAudit } from './audit.ts';
import { FORMAT, writeRecording, type RecordedStep, type Recording } from './recording.ts';

export interface RecordOptions {
  readonly file?: string;
  readonly withSecrets: boolean;
}

/** The API servers start anew, for auditing. Throws UserError when somebody records already, or audits for himself. */
export async function startRecording(cluster: ClusterAccess, { file, withSecrets }: RecordOptions): Promise<void> {
  if (activeRecording(cluster)) throw new UserError('a recording is under way already; end it with: kubreak record stop FILE');
  for (const { name } of mastersOf(cluster.hosts)) {
    const manifest = await readOnHost(cluster, name, '/etc/kubernetes/manifests/kube-apiserver.yaml');
    const own = AUDIT_FLAGS.find((flag) => manifest.includes(`--${flag}=`));
    if (own !== undefined) throw new UserError(`the API server of ${name} has --${own} already: its auditing is somebody else's; take the flag away first`);
  }
  try {
    await startAudit(cluster, withSecrets);
  } catch (error) {
    await stopAudit(cluster).catch(() => undefined); // what went wrong first is what is told
    throw error;
  }
  beginRecording(cluster, { startedMs: systemClock.nowMs(), secrets: withSecrets ? 'included' : 'left out', ...(file === undefined ? {} : { file }) });
}

export interface Stopped {
  readonly file: string;
  readonly recording: Recording;
  readonly notes: readonly string[];
}

export async function stopRecording(cluster: ClusterAccess, asked: string | undefined): Promise<Stopped> {
  const active = activeRecording(cluster);
  if (!active) throw new UserError('nothing is being recorded; begin with: kubreak record start');
  const file = asked ?? active.file;
  if (file === undefined) throw new UserError('say where it goes: kubreak record stop FILE', 2);
  const endMs = systemClock.nowMs() - active.startedMs;
  const { writes, notes } = await collectWrites(cluster, active.startedMs);
  const steps: RecordedStep[] = [...writes, ...notesOf(cluster)].sort((left, right) => left.atMs - right.atMs);
  const recording: Recording = {
    head: {
      type: 'recording', format: FORMAT, startedAt: new Date(active.startedMs).toISOString(), kubernetesVersion: KUBERNETES_VERSION,
      hosts: cluster.hosts.map(({ name, role }) => ({ name, role })), secrets: active.secrets,
    },
    steps, endMs,
  };
  writeRecording(file, recording); // before the logs it was made of are gone
  endRecording(cluster);
  await stopAudit(cluster);
  return { file, recording, notes };
}
