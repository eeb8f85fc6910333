// The processes of a running cluster as the machine sees them: which component, on which host, how it does.
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { belongsOn, COMPONENTS, type Component, type HostLayout } from '../cluster-layout.ts';
import { HOST_INIT_NAME } from './lab/lab-config.ts';
import { clusterRights } from './rootless.ts';
import { ageOf, allProcesses, descendantsOf, pssBytesOf, type ProcessFacts } from './proc.ts';

const run = promisify(execFile);
const HEALTH_TIMEOUT_S = 3;
/** A process that is to start after a delay is missed this much later. */
const START_SECONDS = 5;
const SOCKET_TIMEOUT_MS = 3_000;

export interface Instance {
  readonly component: Component;
  readonly host: string;
  /** As seen from the machine; undefined when the component does not run there. */
  readonly process: ProcessFacts | undefined;
}

/** Host name to the pid of its PID 1, as seen from the machine. */
export function hostInits(labPid: number, processes: readonly ProcessFacts[] = allProcesses()): Map<string, number> {
  const inits = new Map<string, number>();
  for (const { pid, argv } of descendantsOf(labPid, processes)) {
    const at = argv.lastIndexOf(HOST_INIT_NAME);
    const host = argv[at + 1];
    if (at === argv.length - 2 && host !== undefined && argv[1] === '-c') inits.set(host, pid);
  }
  return inits;
}

/** Every instance that runs, and those that should run on a host but do not. */
export function findInstances(labPid: number, hosts: readonly HostLayout[]): Instance[] {
  const processes = allProcesses();
  const inits = hostInits(labPid, processes);
  const found: Instance[] = [];
  for (const [host, init] of inits) {
    const titles = new Map(COMPONENTS.map((component) => [component.processTitle, component]));
    for (const process of descendantsOf(init, processes)) {
      const component = titles.get(process.title);
      if (component && process.state !== 'Z') found.push({ component, host, process });
    }
  }
  for (const component of COMPONENTS) {
    for (const layout of hosts) {
      const { name: host } = layout;
      const isExpected = belongsOn(component, layout, hosts) && (component.startsAfterSeconds === undefined || ageOf(inits.get(host) ?? 0) > component.startsAfterSeconds + START_SECONDS);
      if (isExpected && !found.some((instance) => instance.component === component && instance.host === host)) found.push({ component, host, process: undefined });
    }
    if (component.hosts === 'any' && !found.some((instance) => instance.component === component)) found.push({ component, host: '', process: undefined });
  }
  const order = (instance: Instance) => COMPONENTS.indexOf(instance.component) * 1000 + hosts.findIndex(({ name }) => name === instance.host);
  return found.sort((a, b) => order(a) - order(b));
}

export interface InstanceReport {
  readonly component: string;
  readonly host: string;
  readonly pid: number | null;
  readonly health: 'healthy' | 'unhealthy' | 'paused' | 'stopped';
  readonly restarts: number;
  readonly pssBytes: number;
}

export async function reportInstances(labPid: number, hosts: readonly HostLayout[]): Promise<InstanceReport[]> {
  const inits = hostInits(labPid);
  const restarts = await restartCounts(inits);
  return Promise.all(findInstances(labPid, hosts).map(async ({ component, host, process }) => ({
    component: component.name, host, pid: process?.pid ?? null, health: await healthOf(component, process),
    restarts: restarts.get(`${component.name}@${host}`) ?? 0, pssBytes: process ? pssBytesOf(process.pid) : 0,
  })));
}

async function healthOf(component: Component, process: ProcessFacts | undefined): Promise<InstanceReport['health']> {
  if (!process) return 'stopped';
  if (process.state === 'T') return 'paused';
  if (component.healthUrl === undefined) return 'healthy';
  try {
    const { stdout } = await run('nsenter', ['-t', String(process.pid), ...clusterRights(), '-n', 'curl', '-sk', '-m', String(HEALTH_TIMEOUT_S), '-o', '/dev/null', '-w', '%{http_code}', component.healthUrl]);
    return stdout.startsWith('2') ? 'healthy' : 'unhealthy';
  } catch {
    return 'unhealthy'; // refused or timed out
  }
}

/** Asks the supervisor and the container runtime of each host; a host that does not answer counts as no restarts. */
async function restartCounts(inits: ReadonlyMap<string, number>): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const { connectToRuntime } = await import('#lib/cri/client.ts');
  await Promise.all([...inits].map(async ([host, init]) => {
    const root = `/proc/${init}/root`;
    const units = await askHost(init, 'units').catch(() => []);
    for (const { name, restarts } of units as { name: string; restarts: number }[]) {
      const component = COMPONENTS.find(({ unit, supervisedBy }) => supervisedBy === 'host' && unit === name);
      if (component) counts.set(`${component.name}@${host}`, restarts);
    }
    const cri = connectToRuntime(`unix://${root}/run/containerd/containerd.sock`);
    try {
      const { containers } = await cri.runtime.listContainers({}, { signal: AbortSignal.timeout(SOCKET_TIMEOUT_MS) });
      for (const { metadata, annotations } of containers) {
        const component = COMPONENTS.find(({ unit, processTitle, supervisedBy }) => supervisedBy !== 'host' && (unit === metadata?.name || processTitle === metadata?.name));
        if (!component) continue;
        const key = `${component.name}@${host}`;
        counts.set(key, Math.max(counts.get(key) ?? 0, Number(annotations['io.kubernetes.container.restartCount'] ?? metadata?.attempt ?? 0)));
      }
    } catch {
      // the runtime of that host is down: its own line says so
    } finally {
      cri.close();
    }
  }));
  return counts;
}

/** One request to the supervisor of a host; see services/node. */
export function askHost(init: number, op: string, args: readonly string[] = []): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(`/proc/${init}/root/run/kubreak/node.sock`, () => socket.write(`${JSON.stringify({ op, args })}\n`));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(120_000, () => socket.destroy(new Error('the supervisor of the host does not answer')));
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('error', reject);
    socket.on('end', () => {
      try {
        resolve(JSON.parse(text));
      } catch (error) {
        reject(new Error('the supervisor of the host closed the connection', { cause: error }));
      }
    });
  });
}
