// etcd processes to be measured, ours or the real one: one member or a cluster, with empty folders.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kvService } from '#lib/etcd-api/services.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { LeanClient } from './etcd-client.ts';

export const OURS = fileURLToPath(new URL('../dist/etcd.js', import.meta.url));
/** As the cluster starts it (images/layers/cluster/usr/local/bin/etcd). */
const LEAN = { NODE_OPTIONS: '--max-semi-space-size=8 --v8-pool-size=1', MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' };
const TICKS_PER_SECOND = 100;
const START_DEADLINE_MS = 30_000;
const RESTART_EVERY_MS = 20;
const HEALTH_EVERY_MS = 100;

export interface Server {
  readonly name: 'ours' | 'etcd';
  readonly command: readonly string[];
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Process {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly flags: readonly string[];
}

/** A member, or several that form a cluster. */
export class Running {
  readonly ports: readonly number[];
  private readonly server: Server;
  private readonly folder: string;
  private processes: readonly Process[];

  private constructor(server: Server, folder: string, ports: readonly number[], processes: readonly Process[]) {
    this.server = server;
    this.folder = folder;
    this.ports = ports;
    this.processes = processes;
  }

  /** `dir`: where the data go. */
  static async start(server: Server, { members = 1, dir }: { readonly members?: number | undefined; readonly dir: string }): Promise<Running> {
    const folder = mkdtempSync(join(dir, 'bench-etcd-'));
    const addresses: { readonly port: number; readonly client: string; readonly peer: string }[] = [];
    for (let member = 0; member < members; member += 1) {
      const port = await freePort();
      addresses.push({ port, client: `http://127.0.0.1:${port}`, peer: `http://127.0.0.1:${await freePort()}` });
    }
    const initialCluster = addresses.map(({ peer }, at) => `bench${at}=${peer}`).join();
    const processes = addresses.map(({ client, peer }, at) => spawnServer(server, [
      '--data-dir', join(folder, String(at)), '--name', `bench${at}`, '--listen-client-urls', client, '--advertise-client-urls', client,
      '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', initialCluster, '--quota-backend-bytes', '8589934592',
    ]));
    const running = new Running(server, folder, addresses.map(({ port }) => port), processes);
    await running.healthy();
    return running;
  }

  get port(): number {
    return this.ports[0] as number;
  }

  private async healthy(): Promise<void> {
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    for (const port of this.ports) {
      while (spawnSync('etcdctl', ['--endpoints', `http://127.0.0.1:${port}`, 'endpoint', 'health'], { env: { ...process.env, ETCDCTL_API: '3' } }).status !== 0) {
        if (this.processes.some(({ child }) => child.exitCode !== null) || performance.now() > deadlineMs) throw new Error(`${this.server.name} does not start`);
        await sleep(HEALTH_EVERY_MS);
      }
    }
  }

  /** Ends it in an orderly way, starts it on its data, and returns the seconds until it answers a read, and those of processor time. */
  async restart(): Promise<{ seconds: number; cpuSeconds: number }> {
    await this.end();
    const startMs = performance.now();
    this.processes = this.processes.map(({ flags }) => spawnServer(this.server, flags));
    for (;;) {
      const answered = await LeanClient.open(this.port).then(async (client) => {
        await client.call(kvService.Range, { key: 'x' });
        client.close();
        return true;
      }).catch(() => false);
      if (answered) return { seconds: (performance.now() - startMs) / 1000, cpuSeconds: this.cpuMicros() / 1e6 };
      if (this.processes.some(({ child }) => child.exitCode !== null)) throw new Error(`${this.server.name} does not start again`);
      await sleep(RESTART_EVERY_MS);
    }
  }

  /** One member, at once. */
  kill(member: number): void {
    this.processes[member]?.child.kill('SIGKILL');
  }

  /** User and system time of all threads so far. */
  cpuMicros(): number {
    return this.processes.reduce((sum, { pid }) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return sum + ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
    }, 0);
  }

  memory(): { rssMiB: number; pssMiB: number } {
    const rollups = this.processes.map(({ pid }) => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    const mebibytes = (name: string): number => rollups.reduce((sum, rollup) => sum + Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) / 1024, 0);
    return { rssMiB: mebibytes('Rss'), pssMiB: mebibytes('Pss') };
  }

  /** The most that the processes held since their start (RSS). */
  mostMiB(): number {
    return this.processes.reduce((sum, { pid }) => sum + Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024, 0);
  }

  private async end(): Promise<void> {
    await Promise.all(this.processes.map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await once(child, 'exit');
    }));
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.folder, { recursive: true });
  }
}

function spawnServer({ name, command: [program = '', ...args] }: Server, flags: readonly string[]): Process {
  const child = spawn(program, [...args, ...flags], { stdio: 'ignore', env: { ...process.env, ...(name === 'ours' ? LEAN : {}) } });
  return { child, pid: child.pid ?? 0, flags };
}
