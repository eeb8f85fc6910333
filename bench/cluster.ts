// Measures a cluster on this machine: start, second start, a pod's birth, many pods, idle memory and CPU.
// Run `npm run bench` on a quiet machine; it starts a cluster of its own in a temporary folder. Prints one JSON object.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { connectToApiserver, type ApiClient } from '#lib/api-client/client.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';

const KUBREAK = fileURLToPath(new URL('../dist/kubreak.js', import.meta.url));
const ROUNDS = 15;
const MANY_PODS = 100;
/** How long the idle cluster is watched; milliseconds. */
const IDLE_MS = 30_000;
/** Time for a cluster to come to rest after a start; milliseconds. */
const SETTLE_MS = 20_000;
const TICKS_PER_SECOND = 100;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

interface ProcessReport {
  readonly component: string;
  readonly pid: number;
  readonly pssBytes: number;
}

class Bench {
  readonly #folder = scratchFolder('kubreak-bench');
  readonly #port: number;
  constructor(port: number) {
    this.#port = port;
  }
  run(...args: string[]): string {
    return execFileSync(process.execPath, [KUBREAK, '--dir', `${this.#folder}/.kubreak`, ...args], { encoding: 'utf8' });
  }
  /** Seconds from the command to four Ready nodes and CoreDNS Running. */
  up(): number {
    const startedMs = performance.now();
    this.run('up', '--detach', '--port', String(this.#port));
    return (performance.now() - startedMs) / 1000;
  }
  processes(): ProcessReport[] {
    return (JSON.parse(this.run('status', '-o', 'json')) as { processes: ProcessReport[] }).processes;
  }
  async connect(): Promise<ApiClient> {
    return connectToApiserver(await loadKubeconfig(`${this.#folder}/.kubreak/admin.conf`), 'kubreak-bench');
  }
}

/** Milliseconds from the create request to the event that says Ready. */
async function podBirthMs(api: ApiClient, name: string): Promise<number> {
  const stopping = new AbortController();
  const { resourceVersion } = await api.list(podKind, { namespace: 'default' });
  const startedMs = performance.now();
  await api.create(podKind, { metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'nginx', image: 'nginx' }] } });
  for await (const { object } of api.watch(podKind, { namespace: 'default', resourceVersion, fieldSelector: `metadata.name=${name}`, signal: stopping.signal })) {
    if (object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) break;
  }
  const tookMs = performance.now() - startedMs;
  stopping.abort();
  await api.delete(podKind, 'default', name, { gracePeriodSeconds: 1 });
  return tookMs;
}

/** Seconds until every replica of a new Deployment is ready. */
async function manyPodsSeconds(api: ApiClient): Promise<number> {
  const labels = { app: 'many' };
  const startedMs = performance.now();
  await api.create(deploymentKind, {
    metadata: { name: 'many', namespace: 'default' },
    spec: { replicas: MANY_PODS, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'nginx', image: 'nginx' }] } } },
  });
  for (;;) {
    const { status } = await api.get(deploymentKind, 'default', 'many');
    if (status?.readyReplicas === MANY_PODS) break;
    if (performance.now() - startedMs > 180_000) return NaN;
    await sleep(50);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await api.delete(deploymentKind, 'default', 'many', { propagationPolicy: 'Foreground' });
  return seconds;
}

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const bench = new Bench(await freePort());
try {
  const firstStartSeconds = bench.up();
  bench.run('down');
  const secondStartSeconds = bench.up();
  await sleep(SETTLE_MS);
  const before = new Map(bench.processes().map(({ pid }) => [pid, cpuSeconds(pid)]));
  await sleep(IDLE_MS);
  const idle = bench.processes();
  const idleCpuPercent = (idle.reduce((sum, { pid }) => sum + cpuSeconds(pid) - (before.get(pid) ?? 0), 0) / (IDLE_MS / 1000)) * 100;
  const byComponent: Record<string, number> = {};
  for (const { component, pssBytes } of idle) byComponent[component] = Math.round(((byComponent[component] ?? 0) * 1048576 + pssBytes) / 1048576);
  const api = await bench.connect();
  const births: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) births.push(await podBirthMs(api, `birth-${round}`));
  const manySeconds = await manyPodsSeconds(api);
  await api.close();
  process.stdout.write(`${JSON.stringify({
    cpus: cpus().length, node: process.version, firstStartSeconds, secondStartSeconds,
    podCreateToReadyMs: { median: Math.round(median(births)), max: Math.round(Math.max(...births)), rounds: ROUNDS },
    hundredPodsSeconds: manySeconds,
    idle: { processes: idle.length, pssMiB: Math.round(idle.reduce((sum, { pssBytes }) => sum + pssBytes, 0) / 1048576), pssMiBByComponent: byComponent, cpuPercentOfOneCore: Math.round(idleCpuPercent * 10) / 10 },
  }, null, 2)}\n`);
} finally {
  bench.run('down', '--purge');
}
