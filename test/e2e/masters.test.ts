// Three masters: whichever one is killed, hangs or is cut off, writes go on within seconds, pods serve on, and what comes
// back catches up by itself. Without two of them nothing is written, and nothing that was acknowledged is lost.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectToApiserver, TransportError } from '#lib/api-client/client.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig, type ClusterAccess } from '#lib/pki/kubeconfig.ts';
import { runDrill, shippedDrills } from '../drills/run-drill.ts';
import { runCommand, TestCluster, until } from './cluster.ts';
import { Traffic } from './traffic.ts';

const MASTERS = ['m-k8s', 'm2-k8s', 'm3-k8s'];
/** From a fault to the next acknowledged write, of every client; milliseconds. */
const FAILOVER_LIMIT_MS = 5_000;
/** A client that does not get its answer in this time asks again; milliseconds. */
const WRITE_TIMEOUT_MS = 1_000;
const WRITE_PERIOD_MS = 100;

let cluster: TestCluster;
let access: ClusterAccess;

/** Writes ConfigMaps one after the other over a connection of its own, and remembers which were acknowledged, and when. */
class Writer {
  readonly acknowledged: { readonly name: string; readonly sentMs: number; readonly atMs: number }[] = [];
  readonly #prefix: string;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.#running = this.#write();
  }
  /** When the first write was acknowledged that was sent after `sinceMs`. */
  firstAfter(sinceMs: number): number | undefined {
    return this.acknowledged.find(({ sentMs }) => sentMs >= sinceMs)?.atMs;
  }
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }
  async #write(): Promise<void> {
    const api = connectToApiserver(access, 'kubreak-test');
    const { signal } = this.#stopping;
    for (let index = 0; !signal.aborted; index += 1) {
      const name = `${this.#prefix}-${index}`;
      const sentMs = performance.now();
      try {
        await api.create(configMapKind, { metadata: { name, namespace: 'default' } }, { signal: AbortSignal.timeout(WRITE_TIMEOUT_MS) });
        this.acknowledged.push({ name, sentMs, atMs: performance.now() });
      } catch (error) {
        if (!(error instanceof TransportError) && !(error instanceof StatusError) && (error as Error).name !== 'TimeoutError') throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, WRITE_PERIOD_MS));
    }
    await api.close();
  }
}

/** One for each API server: the balancer gives a new client to the one that has fewest. */
let writers: Writer[] = [];
const acknowledged = new Set<string>();
let round = 0;

async function stopWriters(): Promise<void> {
  await Promise.all(writers.map((writer) => writer.stop()));
  for (const writer of writers) for (const { name } of writer.acknowledged) acknowledged.add(name);
  writers = [];
}
async function startWriters(): Promise<void> {
  await stopWriters();
  round += 1;
  writers = MASTERS.map((host) => new Writer(`round-${round}-${host}`));
  await until('all clients write', async () => writers.every((writer) => writer.acknowledged.length > 0));
}

const allWroteAfter = (faultMs: number): Promise<number> => until('all clients write on', async () => {
  const times = writers.map((writer) => writer.firstAfter(faultMs));
  return times.every((time) => time !== undefined) && Math.max(...times.map((time) => time ?? 0)) - faultMs;
});

interface ProcessReport {
  readonly component: string;
  readonly host: string;
  readonly pid: number | null;
  readonly health: string;
}
async function processes(): Promise<ProcessReport[]> {
  const { code, stdout, stderr } = await cluster.kubreak(['status', '-o', 'json']);
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { processes: ProcessReport[] }).processes;
}
function pidOf(component: string, host: string, reports: readonly ProcessReport[]): number {
  const pid = reports.find((report) => report.component === component && report.host === host)?.pid;
  assert.ok(typeof pid === 'number', `${component}@${host} does not run`);
  return pid;
}

interface MemberStatus {
  readonly leader: bigint | number;
  readonly header: { readonly member_id: number; readonly revision: number };
}
const addressOf = (host: string): string => `192.168.1.${10 + MASTERS.indexOf(host)}`;

/** What a member says of itself, asked on its own host; undefined when it does not answer. */
async function memberStatus(host: string): Promise<MemberStatus | undefined> {
  const etcd = '/etc/kubernetes/pki/etcd';
  const { code, stdout } = await cluster.on(host, 'env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints=https://127.0.0.1:2379', `--cacert=${etcd}/ca.crt`,
    `--cert=${etcd}/healthcheck-client.crt`, `--key=${etcd}/healthcheck-client.key`, '--dial-timeout=2s', '--command-timeout=3s', 'endpoint', 'status', '-w', 'json');
  return code === 0 ? (JSON.parse(stdout) as { Status: MemberStatus }[])[0]?.Status : undefined;
}
const etcdLeader = (): Promise<string> => until('etcd has a leader', async () => {
  for (const host of MASTERS) {
    const status = await memberStatus(host);
    if (status && status.leader === status.header.member_id) return host;
  }
  return undefined;
});

/** Every member has what was there when this was called. */
async function allCatchUp(): Promise<void> {
  const wanted = Math.max(...(await Promise.all(MASTERS.map(memberStatus))).map((status) => status?.header.revision ?? 0));
  assert.ok(wanted > 0);
  await until('all members catch up', async () => (await Promise.all(MASTERS.map(memberStatus))).every((status) => (status?.header.revision ?? 0) >= wanted));
}
const allHealthy = (): Promise<ProcessReport[]> => until('everything is healthy', async () => {
  const reports = await processes();
  return reports.every(({ health }) => health === 'healthy') && reports;
}, 90_000);

/** Pulls the host's cable, or puts it back. */
async function setLink(host: string, state: 'up' | 'down'): Promise<void> {
  const { labPid } = JSON.parse(readFileSync(`${cluster.folder}/running.json`, 'utf8')) as { labPid: number };
  const { code, stderr } = await runCommand('nsenter', ['-t', String(labPid), '-n', 'ip', 'link', 'set', `port${addressOf(host).split('.')[3] ?? ''}`, state]);
  assert.equal(code, 0, stderr);
}

async function holders(): Promise<Record<string, string>> {
  const { items } = await cluster.json<{ items: { metadata: { name: string }; spec: { holderIdentity: string } }[] }>('-n', 'kube-system', 'get', 'leases');
  return Object.fromEntries(items.map(({ metadata, spec }) => [metadata.name, spec.holderIdentity.split('_')[0] ?? '']));
}

interface Fault {
  readonly name: string;
  /** Resolves with what mends it. */
  readonly strike: (reports: readonly ProcessReport[]) => Promise<() => Promise<void>>;
}
const signalled = (component: string, host: () => Promise<string>, signal: 'SIGKILL' | 'SIGSTOP') => async (reports: readonly ProcessReport[]) => {
  const pid = pidOf(component, await host(), reports);
  struckMs = performance.now();
  process.kill(pid, signal);
  return async () => {
    if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
  };
};
let struckMs = 0;

const FAULTS: readonly Fault[] = [
  { name: 'an API server is killed', strike: signalled('apiserver', async () => 'm-k8s', 'SIGKILL') },
  { name: 'an API server hangs', strike: signalled('apiserver', async () => 'm2-k8s', 'SIGSTOP') },
  { name: "etcd's leader is killed", strike: signalled('etcd', etcdLeader, 'SIGKILL') },
  { name: "etcd's leader hangs", strike: signalled('etcd', etcdLeader, 'SIGSTOP') },
  {
    name: "the host of etcd's leader is cut off",
    strike: async () => {
      const host = await etcdLeader();
      struckMs = performance.now();
      await setLink(host, 'down');
      return () => setLink(host, 'up');
    },
  },
];

const drills = (await shippedDrills()).filter(({ requires }) => requires?.masters === MASTERS.length);

describe('three masters', { timeout: 700_000 }, () => {
  let traffic: Traffic;
  before(async () => {
    cluster = await TestCluster.start('self', ['--masters', '3']);
    access = await loadKubeconfig(cluster.kubeconfig);
    await cluster.kubectlOk('create', 'deployment', 'web', '--image=nginx', '--replicas=3', '--port=80');
    await cluster.kubectlOk('expose', 'deployment', 'web');
    await cluster.kubectlOk('rollout', 'status', 'deployment', 'web', '--timeout=60s');
    const { items } = await cluster.json<{ items: { status: { podIP: string } }[] }>('get', 'pods', '-l', 'app=web');
    const { spec } = await cluster.json<{ spec: { clusterIP: string } }>('get', 'service', 'web');
    traffic = new Traffic(cluster, 'w1-k8s', [...items.map(({ status }) => status.podIP), spec.clusterIP]);
    await until('the service answers', async () => {
      const { total, failed } = traffic.take();
      return total >= 4 && failed.length === 0;
    });
  });
  after(async () => {
    traffic.stop();
    await stopWriters();
    await cluster.down();
  });

  test('each is a node of the control plane, and a member of etcd', async () => {
    // That of a node which is not Ready goes a moment after it has become so.
    await until('the masters have their taint and no other', async () => {
      const { items } = await cluster.json<{ items: { metadata: { name: string }; spec: { taints?: { key: string }[] } }[] }>('get', 'nodes', '-l', 'node-role.kubernetes.io/control-plane');
      assert.deepEqual(items.map(({ metadata, spec }) => [metadata.name, spec.taints?.map(({ key }) => key)]), MASTERS.map((name) => [name, ['node-role.kubernetes.io/control-plane']]));
      return true;
    });
    assert.equal((await processes()).filter(({ component, health }) => component === 'etcd' && health === 'healthy').length, 3);
    const info = await cluster.json<{ data: { kubeconfig: string } }>('-n', 'kube-public', 'get', 'configmap', 'cluster-info');
    assert.match(info.data.kubeconfig, /server: https:\/\/127\.0\.0\.1:7445$/m);
    await until('the service kubernetes has all three', async () => {
      const { endpoints } = await cluster.json<{ endpoints: { addresses: string[] }[] }>('get', 'endpointslice', 'kubernetes');
      return endpoints.flatMap(({ addresses }) => addresses).sort().join() === MASTERS.map(addressOf).sort().join();
    });
  });

  for (const { name, strike } of FAULTS) {
    test(`${name}: writes go on within ${FAILOVER_LIMIT_MS / 1000} s, pods serve, and it catches up`, async (t) => {
      const reports = await allHealthy();
      await startWriters();
      traffic.take();
      const heal = await strike(reports);
      try {
        const gapMs = await allWroteAfter(struckMs);
        t.diagnostic(`${(gapMs / 1000).toFixed(2)} s to the next acknowledged write of every client`);
        assert.ok(gapMs <= FAILOVER_LIMIT_MS, `${(gapMs / 1000).toFixed(2)} s without a write`);
      } finally {
        await heal();
      }
      await allCatchUp();
      await stopWriters();
      const { total, failed } = traffic.take();
      assert.ok(total > 0 && failed.length === 0, `${failed.length} of ${total} requests to pods failed: ${failed.slice(0, 3).join('; ')}`);
    });
  }

  test('controller manager and scheduler of another master take over from those that hang', async () => {
    const reports = await allHealthy();
    const before = await holders();
    const names = { 'kube-controller-manager': 'controller-manager', 'kube-scheduler': 'scheduler' };
    const paused = Object.entries(names).map(([lease, component]) => pidOf(component, before[lease] ?? '', reports));
    for (const pid of paused) process.kill(pid, 'SIGSTOP');
    try {
      await until('others hold the leases', async () => {
        const now = await holders();
        return Object.keys(names).every((lease) => MASTERS.includes(now[lease] ?? '') && now[lease] !== before[lease]);
      });
      await cluster.kubectlOk('scale', 'deployment', 'web', '--replicas=4');
      await cluster.kubectlOk('rollout', 'status', 'deployment', 'web', '--timeout=60s');
    } finally {
      for (const pid of paused) process.kill(pid, 'SIGCONT');
    }
    const after = await holders();
    await allHealthy();
    assert.deepEqual(await holders().then((now) => [now['kube-controller-manager'], now['kube-scheduler']]), [after['kube-controller-manager'], after['kube-scheduler']], 'who was late does not take the lease back');
  });

  test('without two of them nothing is written or read; then writes go on, and none is lost', async () => {
    await allHealthy();
    await startWriters();
    const cut = MASTERS.slice(1);
    for (const host of cut) await setLink(host, 'down');
    try {
      const sinceMs = performance.now();
      const [read, write] = await Promise.all([cluster.kubectl(['get', 'configmaps', '--request-timeout=8s']), cluster.kubectl(['create', 'configmap', 'without-majority', '--request-timeout=8s'])]);
      assert.notEqual(read.code, 0, 'a read was answered without a majority');
      assert.doesNotMatch(read.stderr, /NotFound/);
      assert.notEqual(write.code, 0, 'a write was acknowledged without a majority');
      assert.ok(writers.every((writer) => writer.firstAfter(sinceMs) === undefined));
    } finally {
      for (const host of cut) await setLink(host, 'up');
    }
    await allWroteAfter(performance.now());
    await allCatchUp();
    await stopWriters();
    const { items } = await cluster.json<{ items: { metadata: { name: string } }[] }>('get', 'configmaps');
    const present = new Set(items.map(({ metadata }) => metadata.name));
    assert.deepEqual([...acknowledged].filter((name) => !present.has(name)), [], 'acknowledged writes are lost');
    assert.ok(acknowledged.size > 100, `only ${acknowledged.size} writes were acknowledged`);
  });

  test('there are drills for them', () => assert.notEqual(drills.length, 0));

  for (const { name } of drills) {
    test(`the drill ${name} passes`, async () => {
      const { report, printed } = await runDrill(cluster, name, { folder: join(cluster.folder, 'drills', name) });
      assert.equal(report.status, 'passed', `${report.problem ?? ''}\n${printed}`);
    });
  }
});
