// Writes of clients, from the audit logs of the API servers: turned on while somebody records, as one turns on auditing of a kubeadm cluster.
import { stringify } from 'yaml';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { mastersOf } from '../cluster-layout.ts';
import { changeApiServers, removeOnHost, writeOnHost, type ApiServerChange } from '../control-plane/static-pod.ts';
import { UserError } from '../user-error.ts';
import type { RecordedWrite } from './recording.ts';

const POLICY = '/etc/kubernetes/kubreak-record-policy.yaml';
const MAX_SIZE_MEGABYTES = 64;
const MAX_BACKUPS = 7;
/** More is not taken into a recording. */
const MAX_WRITES = 200_000;
const MAX_BODY_BYTES = 256 * 1024 * 1024;
const READ_TIMEOUT_MS = 300_000;
/** kubreak's own, such as those of a fault: a fault that is made again makes them again. */
const OWN_AGENT = 'kubreak/';

/** In containers the API server sees no disk of its host but this volume. */
const folderOf = ({ mode }: ClusterAccess): string => (mode === 'compose' ? '/var/lib/kubreak/control-plane/audit' : '/var/log/kubernetes/audit');

const FLAGS = ['audit-policy-file', 'audit-log-path', 'audit-log-maxsize', 'audit-log-maxbackup'] as const;

/** Of the cluster's own components, whose writes follow from those of others. */
const OWN_USERS = ['system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler', 'system:kube-proxy', 'system:metrics-server'];
const OWN_GROUPS = ['system:nodes', 'system:serviceaccounts:kube-system', 'system:serviceaccounts:ingress-nginx'];

export function recordingPolicy(withSecrets: boolean): string {
  const core = (...resources: string[]) => ({ group: '', resources });
  return stringify({
    apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived', 'ResponseStarted'], omitManagedFields: true,
    rules: [
      { level: 'None', verbs: ['get', 'list', 'watch', 'head', 'options', 'proxy'] },
      { level: 'None', users: OWN_USERS },
      { level: 'None', userGroups: OWN_GROUPS },
      // Questions and connections; and what somebody says every few seconds to show that he lives.
      { level: 'None', resources: [core('pods/exec', 'pods/attach', 'pods/portforward', 'pods/proxy', 'services/proxy', 'nodes/proxy', 'serviceaccounts/token', 'events'), { group: 'events.k8s.io' }, { group: 'authentication.k8s.io' }, { group: 'authorization.k8s.io' }, { group: 'coordination.k8s.io', resources: ['leases'] }] },
      ...(withSecrets ? [] : [{ level: 'Metadata', resources: [core('secrets')] }]),
      { level: 'RequestResponse', verbs: ['create', 'update', 'patch'] },
      { level: 'Request', verbs: ['delete', 'deletecollection'] },
    ],
  }, { lineWidth: 0 });
}

export async function startAudit(cluster: ClusterAccess, withSecrets: boolean): Promise<void> {
  const folder = folderOf(cluster);
  for (const { name } of mastersOf(cluster.hosts)) {
    await removeOnHost(cluster, name, folder);
    await writeOnHost(cluster, name, POLICY, recordingPolicy(withSecrets));
  }
  await changeApiServers(cluster, (): ApiServerChange => ({
    flags: { 'audit-policy-file': POLICY, 'audit-log-path': `${folder}/audit.log`, 'audit-log-maxsize': String(MAX_SIZE_MEGABYTES), 'audit-log-maxbackup': String(MAX_BACKUPS) },
    ...(cluster.mode === 'local' ? { mounts: [{ name: 'kubreak-record-policy', path: POLICY, type: 'File' }, { name: 'kubreak-record-log', path: folder, type: 'DirectoryOrCreate', writable: true }] } : {}),
  }));
}

export async function stopAudit(cluster: ClusterAccess): Promise<void> {
  await changeApiServers(cluster, () => ({ flags: Object.fromEntries(FLAGS.map((flag) => [flag, undefined])), unmount: ['kubreak-record-policy', 'kubreak-record-log'] }));
  for (const { name } of mastersOf(cluster.hosts)) await removeOnHost(cluster, name, POLICY, folderOf(cluster));
}

/** Auditing that people have turned on themselves is theirs. */
export const AUDIT_FLAGS: readonly string[] = FLAGS;

export interface CollectedWrites {
  readonly writes: readonly RecordedWrite[];
  /** What is to be said about what is missing. */
  readonly notes: readonly string[];
}

export async function collectWrites(cluster: ClusterAccess, startedMs: number): Promise<CollectedWrites> {
  const writes: RecordedWrite[] = [];
  const notes: string[] = [];
  let bytes = 0;
  for (const { name } of mastersOf(cluster.hosts)) {
    let problem: string | undefined;
    const script = 'cd "$1" 2>/dev/null || exit 0; for f in $(ls audit-*.log 2>/dev/null | sort) audit.log; do [ ! -e "$f" ] || cat "$f"; done; ls audit-*.log 2>/dev/null | wc -l >&2';
    const { code, stderr } = await cluster.onHost(name, ['sh', '-c', script, 'sh', folderOf(cluster)], {
      timeoutMs: READ_TIMEOUT_MS,
      onLine: (line) => {
        bytes += line.length;
        if (writes.length >= MAX_WRITES || bytes > MAX_BODY_BYTES) {
          problem = `the recording holds ${writes.length} writes; those that came later are left out`;
          return;
        }
        const write = writeOf(line, startedMs);
        if (write) writes.push(write);
      },
    }).catch((error: unknown) => {
      if (error instanceof UserError) return { code: 1, stderr: error.message };
      throw error;
    });
    if (code !== 0) notes.push(`the writes that the API server of ${name} took are missing: ${stderr.trim()}`);
    else if (Number(stderr.trim()) >= MAX_BACKUPS) notes.push(`the audit log of ${name} has grown beyond ${MAX_SIZE_MEGABYTES * (MAX_BACKUPS + 1)} MiB: the first writes may be missing`);
    if (problem !== undefined) notes.push(problem);
  }
  return { writes, notes };
}

interface AuditEvent {
  readonly verb?: string;
  readonly requestURI?: string;
  readonly user?: { readonly username?: string };
  readonly impersonatedUser?: { readonly username?: string };
  readonly userAgent?: string;
  readonly objectRef?: unknown;
  readonly responseStatus?: { readonly code?: number };
  readonly requestObject?: unknown;
  readonly responseObject?: { readonly kind?: string; readonly metadata?: { readonly name?: string; readonly uid?: string } };
  readonly requestReceivedTimestamp?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Undefined: not of a write that was taken, or kubreak's own. */
export function writeOf(line: string, startedMs: number): RecordedWrite | undefined {
  let event: AuditEvent;
  try {
    event = JSON.parse(line) as AuditEvent;
  } catch {
    return undefined; // the last line of a server that was killed while it wrote
  }
  const { verb = '', requestURI: uri = '', userAgent, requestObject, responseObject, annotations } = event;
  const code = event.responseStatus?.code ?? 0;
  const isDryRun = /[?&]dryRun=/.test(uri) || (Array.isArray((requestObject as { dryRun?: unknown } | undefined)?.dryRun));
  if (code < 200 || code > 299 || isDryRun || event.objectRef === undefined || (userAgent ?? '').startsWith(OWN_AGENT)) return undefined;
  const made = responseObject?.kind === 'Status' ? undefined : responseObject?.metadata;
  const contentType = annotations?.['emulator/patch-content-type'];
  return {
    type: 'write', atMs: Math.max(0, Date.parse(event.requestReceivedTimestamp ?? '') - startedMs), verb, uri,
    user: event.impersonatedUser?.username ?? event.user?.username ?? '', ...(userAgent === undefined ? {} : { userAgent }),
    ...(contentType === undefined ? {} : { contentType }), ...(requestObject === undefined ? {} : { body: requestObject }), code,
    ...(made?.name === undefined ? {} : { name: made.name }), ...(made?.uid === undefined ? {} : { uid: made.uid }),
  };
}
