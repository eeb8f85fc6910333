// Breaks a cluster round after round and waits each time until it is whole again, with everything that was acknowledged.
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { isAlreadyExists, StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { describeDamage, planRound, type Damage, type Targets } from './plan.ts';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A cluster that can be broken: in local mode, in containers. */
export interface BreakableCluster {
  readonly kubeconfig: string;
  readonly targets: Targets;
  damage(damage: Damage): Promise<Result>;
  mend(damage: Damage): Promise<Result>;
  /** What the API server cannot tell, in a few words; empty when nothing is lacking. */
  lacking(): Promise<string>;
  on(host: string, ...command: string[]): Promise<Result>;
}

export interface RunOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Longest time to be whole again; milliseconds. */
  readonly deadlineMs: number;
  readonly print: (line: string) => void;
}

const NAMESPACE = 'default';
const PROBE = 'chaos-probe';
const REPLICAS = 3;
const WRITE_EVERY_MS = 100;
const LOOK_EVERY_MS = 500;
const MEND_ATTEMPTS = 5;
const REQUEST_TIMEOUT_MS = 5_000;
/** kube-system of a fresh cluster: control plane, kube-proxy and calico-node on each host, DNS, controllers. */
const FIXED_SYSTEM_PODS = 7;

/** Not whole within the deadline, or something acknowledged is gone. */
export class NotWhole extends Error {
  override readonly name = 'NotWhole';
}

class Writer {
  readonly acknowledged = new Set<string>();
  readonly #api: ApiClient;
  readonly #prefix: string;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(api: ApiClient, prefix: string) {
    this.#api = api;
    this.#prefix = prefix;
    this.#running = this.#write();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #write(): Promise<void> {
    for (let index = 0; !this.#stopping.signal.aborted; index += 1) {
      const name = `${this.#prefix}-${index}`;
      try {
        await this.#api.create(configMapKind, { metadata: { name, namespace: NAMESPACE, labels: { chaos: 'written' } } }, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
        this.acknowledged.add(name);
      } catch (error) {
        if (isAlreadyExists(error)) this.acknowledged.add(name);
        else if (!isExpected(error)) throw error;
      }
      await systemClock.sleep(WRITE_EVERY_MS, this.#stopping.signal).catch(() => undefined);
    }
  }
}

const isExpected = (error: unknown): boolean =>
  error instanceof TransportError || error instanceof StatusError || (error instanceof DOMException && (error.name === 'TimeoutError' || error.name === 'AbortError'));

/** Throws NotWhole with the round in which the cluster did not come back. */
export async function runRounds(cluster: BreakableCluster, { seed, rounds, deadlineMs, print }: RunOptions): Promise<void> {
  const api = connectToApiserver(await loadKubeconfig(cluster.kubeconfig), 'kubreak-chaos');
  const random = seededRandom(seed);
  const lasting = new Set<string>();
  try {
    await makeProbe(api);
    await waitUntilWhole(cluster, api, lasting, deadlineMs);
    print(`seed ${seed}: the cluster is whole, ${rounds} rounds`);
    for (let number = 1; number <= rounds; number += 1) {
      const round = planRound(random, cluster.targets);
      const writer = new Writer(api, `written-${seed}-${number}`);
      print(`round ${number}: ${round.damages.map(describeDamage).join(', ')}`);
      for (const damage of round.damages) {
        await systemClock.sleep(damage.afterMs);
        // What is broken already may refuse: that is no failure of the cluster.
        const { code, stderr } = await cluster.damage(damage);
        if (code !== 0) print(`  ${describeDamage(damage)}: ${lastLine(stderr)}`);
      }
      await systemClock.sleep(round.brokenMs);
      const mends = round.mendOrder.map((index) => round.damages[index] as Damage);
      const isOfAll = ({ target }: Damage): boolean => target === '';
      for (const damage of [...mends.filter(isOfAll), ...mends.filter((each) => !isOfAll(each))]) await mend(cluster, damage, print);
      await writer.stop();
      for (const name of writer.acknowledged) lasting.add(name);
      const startedMs = systemClock.nowMs();
      try {
        await waitUntilWhole(cluster, api, lasting, deadlineMs);
      } catch (error) {
        throw error instanceof NotWhole ? new NotWhole(`seed ${seed}, round ${number} (${round.damages.map(describeDamage).join(', ')}): ${error.message}`) : error;
      }
      print(`  whole after ${((systemClock.nowMs() - startedMs) / 1000).toFixed(1)} s, ${writer.acknowledged.size} writes acknowledged`);
      await forgetWrites(api, lasting);
    }
  } finally {
    await api.close();
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

async function mend(cluster: BreakableCluster, damage: Damage, print: (line: string) => void): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { code, stderr } = await cluster.mend(damage);
    if (code === 0 || / is not running/.test(stderr)) return;
    print(`  mending ${describeDamage(damage)}: ${lastLine(stderr)}`);
    if (attempt === MEND_ATTEMPTS) return; // whether the cluster is whole decides
    await systemClock.sleep(2_000);
  }
}

async function makeProbe(api: ApiClient): Promise<void> {
  const labels = { app: PROBE };
  const objects = [
    api.create(deploymentKind, {
      metadata: { name: PROBE, namespace: NAMESPACE },
      spec: { replicas: REPLICAS, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }] }] } } },
    }),
    api.create(serviceKind, { metadata: { name: PROBE, namespace: NAMESPACE }, spec: { selector: labels, ports: [{ port: 80 }] } }),
  ];
  await Promise.all(objects.map((object) => (object as Promise<unknown>).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  })));
}

async function waitUntilWhole(cluster: BreakableCluster, api: ApiClient, lasting: ReadonlySet<string>, deadlineMs: number): Promise<void> {
  const startedMs = systemClock.nowMs();
  for (;;) {
    const lack = await whatIsLacking(cluster, api, lasting).catch((error: unknown) => {
      if (isExpected(error)) return error instanceof Error ? error.message : String(error);
      throw error;
    });
    if (lack === '') return;
    if (systemClock.nowMs() - startedMs > deadlineMs) throw new NotWhole(`not whole after ${deadlineMs / 1000} s: ${lack}`);
    await systemClock.sleep(LOOK_EVERY_MS);
  }
}

/** In a few words; empty when nothing is. */
async function whatIsLacking(cluster: BreakableCluster, api: ApiClient, lasting: ReadonlySet<string>): Promise<string> {
  const lacking = await cluster.lacking();
  if (lacking !== '') return lacking;
  const { hosts } = cluster.targets;
  const options = () => ({ signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  const isTrue = (conditions: readonly { type: string; status: string }[] | undefined, wanted: string): boolean => conditions?.some(({ type, status }) => type === wanted && status === 'True') ?? false;
  const nodes = (await api.list(nodeKind, {}, options())).items;
  const unready = hosts.filter((host) => !nodes.some(({ metadata, status }) => metadata.name === host && isTrue(status?.conditions, 'Ready')));
  if (unready.length > 0) return `nodes not Ready: ${unready.join(', ')}`;
  const pods = (await api.list(podKind, { namespace: 'kube-system' }, options())).items;
  const limping = pods.filter(({ status, metadata }) => metadata.deletionTimestamp !== undefined || !isTrue(status?.conditions, 'Ready'));
  if (limping.length > 0) return `pods not Ready: ${limping.map(({ metadata, status }) => `${metadata.name} (${status?.containerStatuses?.[0]?.state?.waiting?.reason ?? status?.phase ?? '?'})`).join(', ')}`;
  if (pods.length < FIXED_SYSTEM_PODS + 2 * hosts.length) return `only ${pods.length} pods in kube-system`;
  const probe = await api.get(deploymentKind, NAMESPACE, PROBE, options());
  if (probe.status?.readyReplicas !== REPLICAS) return `the probe has ${probe.status?.readyReplicas ?? 0} of ${REPLICAS} replicas`;
  const { spec } = await api.get(serviceKind, NAMESPACE, PROBE, options());
  for (const host of hosts) {
    const { stdout, stderr } = await cluster.on(host, 'curl', '-s', '-m', '3', '-o', '/dev/null', '-w', '%{http_code}', `http://${spec?.clusterIP ?? ''}/`);
    if (stdout !== '200') return `the probe's service does not answer on ${host} (${stdout || lastLine(stderr)})`;
  }
  const written = new Set((await api.list(configMapKind, { namespace: NAMESPACE, labelSelector: 'chaos=written' }, options())).items.map(({ metadata }) => metadata.name));
  const lost = [...lasting].filter((name) => !written.has(name));
  if (lost.length > 0) throw new NotWhole(`${lost.length} acknowledged writes are lost: ${lost.slice(0, 5).join(', ')}`);
  return '';
}

/** They have been found: a long run must not fill the store. */
async function forgetWrites(api: ApiClient, lasting: Set<string>): Promise<void> {
  await api.deleteCollection(configMapKind, { namespace: NAMESPACE, labelSelector: 'chaos=written' });
  lasting.clear();
}
