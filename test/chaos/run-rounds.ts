// Breaks a cluster round after round and waits each time until it is whole again, with everything that was acknowledged.
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { isAlreadyExists, StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { describeFootprint, FOOTPRINT_SCRIPT } from './footprint.ts';
import { describeDamage, planRound, type Damage, type Round, type Targets } from './plan.ts';
import { oddities, OddityWatch, parseSurvey, SURVEY_SCRIPT } from './survey.ts';
import { absurdEvents, knownPods, lackingIn, listEvents, strangeExits, takeSnapshot, type Snapshot } from './whole.ts';
import { makeWorkloads, NAMESPACE, PROBE, STORE, STORE_FILE, STORE_PORT } from './workloads.ts';

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
  /** A command on the hosts' network, beside the hosts; undefined where there is no such place. */
  outside?(...command: string[]): Promise<Result>;
  /** A command in a pod of the run. */
  inPod(pod: string, ...command: string[]): Promise<Result>;
  /** Where the processes are that belong to the cluster, one command output each. */
  everywhere(...command: string[]): Promise<Result[]>;
}

export interface RunOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Longest time to be whole again; milliseconds. */
  readonly deadlineMs: number;
  readonly print: (line: string) => void;
}

const WRITE_EVERY_MS = 100;
const LOOK_EVERY_MS = 500;
const MEND_ATTEMPTS = 5;
const MEND_AGAIN_MS = 2_000;
const REQUEST_TIMEOUT_MS = 5_000;
const ANSWER_END = '<end>';
/** What was lacking, and when, is told of rounds that take longer. */
const SLOW_MS = 8_000;
/** Rounds between two looks at what the processes use. */
const FOOTPRINT_EVERY = 10;
/** For the kubelet's collection of what is left of pods, once a minute. */
const TIDY_MS = 90_000;

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
export async function runRounds(cluster: BreakableCluster, options: RunOptions): Promise<void> {
  const api = connectToApiserver(await loadKubeconfig(cluster.kubeconfig), 'kubreak-chaos');
  try {
    await new Run(cluster, api, options).all();
  } finally {
    await api.close();
  }
}

class Run {
  readonly #cluster: BreakableCluster;
  readonly #api: ApiClient;
  readonly #options: RunOptions;
  /** Acknowledged and not yet looked for. */
  readonly #lasting = new Set<string>();
  /** What each volume held when it was last read. */
  readonly #volumes = new Map<string, string>();
  readonly #watch = new OddityWatch();
  readonly #told = new Set<string>();

  constructor(cluster: BreakableCluster, api: ApiClient, options: RunOptions) {
    this.#cluster = cluster;
    this.#api = api;
    this.#options = options;
  }

  async all(): Promise<void> {
    const { seed, rounds, print } = this.#options;
    const random = seededRandom(seed);
    await makeWorkloads(this.#api);
    await this.#waitUntilWhole();
    print(`seed ${seed}: the cluster is whole, ${rounds} rounds`);
    await this.#footprint();
    const recoveries: number[] = [];
    for (let number = 1; number <= rounds; number += 1) {
      const round = planRound(random, this.#cluster.targets);
      try {
        recoveries.push(await this.#round(number, round));
      } catch (error) {
        throw error instanceof NotWhole ? new NotWhole(`seed ${seed}, round ${number} (${round.damages.map(describeDamage).join(', ')}): ${error.message}`) : error;
      }
      if (number % FOOTPRINT_EVERY === 0) await this.#footprint();
    }
    await this.#untilTidy(0);
    recoveries.sort((left, right) => left - right);
    const seconds = (ms = 0): string => (ms / 1000).toFixed(1);
    print(`whole again after: median ${seconds(recoveries[Math.floor(recoveries.length / 2)])} s, longest ${seconds(recoveries.at(-1))} s`);
    if (this.#told.size > 0) throw new NotWhole(`${this.#told.size} things that should not be: ${[...this.#told].join('; ')}`);
  }

  /** Resolves with the time until the cluster was whole again, counted from the last mend. */
  async #round(number: number, { damages, brokenMs, mendOrder }: Round): Promise<number> {
    const { seed, print } = this.#options;
    const writer = new Writer(this.#api, `written-${seed}-${number}`);
    print(`round ${number}: ${damages.map(describeDamage).join(', ')}, for ${Math.round(brokenMs / 1000)} s`);
    for (const damage of damages) {
      await systemClock.sleep(damage.afterMs);
      // What is broken already may refuse: that is no failure of the cluster.
      const { code, stderr } = await this.#cluster.damage(damage);
      if (code !== 0) print(`  ${describeDamage(damage)}: ${lastLine(stderr)}`);
    }
    await systemClock.sleep(brokenMs);
    const mends = mendOrder.map((index) => damages[index] as Damage);
    const isOfAll = ({ target }: Damage): boolean => target === '';
    // What needs another that is down too (a container in the network of its host) waits for that one.
    let left = [...mends.filter(isOfAll), ...mends.filter((each) => !isOfAll(each))];
    for (let attempt = 1; left.length > 0 && attempt <= MEND_ATTEMPTS; attempt += 1) {
      const failed: Damage[] = [];
      for (const damage of left) if (!(await mend(this.#cluster, damage, print))) failed.push(damage);
      left = failed;
      if (left.length > 0) await systemClock.sleep(MEND_AGAIN_MS);
    }
    await writer.stop();
    for (const name of writer.acknowledged) this.#lasting.add(name);
    const recoveryMs = await this.#waitUntilWhole();
    print(`  whole after ${(recoveryMs / 1000).toFixed(1)} s, ${writer.acknowledged.size} writes acknowledged`);
    await this.#forgetWrites();
    await this.#untilTidy();
    return recoveryMs;
  }

  async #waitUntilWhole(): Promise<number> {
    const { deadlineMs, print } = this.#options;
    const startedMs = systemClock.nowMs();
    const trail: string[] = [];
    let last = '';
    for (;;) {
      const lack = await this.#whatIsLacking().catch((error: unknown) => {
        if (isExpected(error)) return error instanceof Error ? error.message : String(error);
        throw error;
      });
      const elapsedMs = systemClock.nowMs() - startedMs;
      if (lack !== last) trail.push(`${(elapsedMs / 1000).toFixed(1)} s: ${lack || 'whole'}`);
      last = lack;
      if (lack === '' || elapsedMs > deadlineMs) {
        if (elapsedMs > SLOW_MS) for (const step of trail) print(`    ${step}`);
        if (lack === '') return elapsedMs;
        throw new NotWhole(`not whole after ${deadlineMs / 1000} s: ${lack}`);
      }
      await systemClock.sleep(LOOK_EVERY_MS);
    }
  }

  /** In a few words; empty when nothing is. */
  async #whatIsLacking(): Promise<string> {
    const cluster = this.#cluster;
    const lacking = await cluster.lacking();
    if (lacking !== '') return lacking;
    const snapshot = await takeSnapshot(this.#api, deadline);
    const incomplete = lackingIn(snapshot, cluster.targets.hosts, systemClock.nowMs());
    if (incomplete !== '') return incomplete;
    const silent = (await Promise.all([...this.#seenFromHosts(snapshot), ...this.#seenFromPods(snapshot)])).filter((each) => each !== '');
    if (silent.length > 0) return silent.join('; ');
    const written = new Set((await this.#api.list(configMapKind, { namespace: NAMESPACE, labelSelector: 'chaos=written' }, { signal: deadline() })).items.map(({ metadata }) => metadata.name));
    const lost = [...this.#lasting].filter((name) => !written.has(name));
    if (lost.length > 0) throw new NotWhole(`${lost.length} acknowledged writes are lost: ${lost.slice(0, 5).join(', ')}`);
    return '';
  }

  /** The probe's addresses answer on each host and beside them; the store's policy keeps hosts out, but the pod's own. */
  #seenFromHosts({ services, pods }: Snapshot): Promise<string>[] {
    const service = services.find(({ metadata }) => metadata.namespace === NAMESPACE && metadata.name === PROBE);
    const outer = service?.status?.loadBalancer?.ingress?.[0]?.ip ?? '';
    const store = pods.find(({ metadata }) => metadata.name === `${STORE}-0`);
    const ask = (address: string, seconds: number): string => `curl -s -m ${seconds} -o /dev/null -w '%{http_code} ' http://${address}/`;
    const answers = async (where: string, result: Promise<Result>, wanted: string, what: string): Promise<string> => {
      const { stdout, stderr } = await result;
      return stdout.trim() === wanted ? '' : `${where}: ${what}: ${stdout.trim() || lastLine(stderr)}, not ${wanted}`;
    };
    const fromHosts = this.#cluster.targets.hosts.map((host) => {
      const guarded = host === store?.spec?.nodeName ? [] : [ask(`${store?.status?.podIP ?? ''}:${STORE_PORT}`, 1)];
      const script = [ask(service?.spec?.clusterIP ?? '', 3), ask(outer, 3), ...guarded].join('; ');
      return answers(host, this.#cluster.on(host, 'sh', '-c', `${script}; true`), guarded.length > 0 ? '200 200 000' : '200 200', 'cluster address, load balancer, guarded pod');
    });
    const beside = this.#cluster.outside?.('sh', '-c', `${ask(outer, 3)}; true`);
    return beside ? [...fromHosts, answers('outside', beside, '200', 'load balancer')] : fromHosts;
  }

  /** From each pod of the probe the names of services and of single pods lead there, and volumes hold what was written to them. */
  #seenFromPods({ pods }: Snapshot): Promise<string>[] {
    const stores = pods.filter(({ metadata }) => metadata.labels?.['app'] === STORE).map(({ metadata }) => metadata.name);
    return pods.filter(({ metadata }) => metadata.labels?.['app'] === PROBE).map(async ({ metadata: { name } }) => {
      const addresses = [`${PROBE}.${NAMESPACE}.svc.cluster.local`, ...stores.map((store) => `${store}.${STORE}:${STORE_PORT}/${STORE_FILE}`)];
      // One command for all: each kubectl costs a tenth of a second.
      const script = addresses.map((address) => `curl -sS -f -m 5 http://${address} || exit 1; printf '${ANSWER_END}'`).join('; ');
      const { code, stdout, stderr } = await this.#cluster.inPod(name, 'sh', '-c', script);
      const answers = stdout.split(ANSWER_END).slice(0, -1);
      if (code !== 0) return `${name}: ${addresses[answers.length] ?? '?'}: ${lastLine(stderr)}`;
      for (const [index, answer] of answers.entries()) {
        const address = addresses[index] ?? '';
        if (!address.endsWith(STORE_FILE)) continue;
        const known = this.#volumes.get(address) ?? '';
        if (!answer.startsWith(known)) throw new NotWhole(`the volume behind ${address} has lost what was written: it had "${known}", and has "${answer}"`);
        this.#volumes.set(address, answer);
      }
      return '';
    });
  }

  /** Waits for the end of what has been left over for too long; what makes no sense is told once, and ends the run at last. */
  async #untilTidy(patienceMs?: number): Promise<void> {
    const { print } = this.#options;
    const startedMs = systemClock.nowMs();
    const tell = (things: readonly string[]): void => {
      for (const thing of things.filter((each) => !this.#told.has(each))) {
        this.#told.add(thing);
        print(`  ODD: ${thing}`);
      }
    };
    const { pods } = await takeSnapshot(this.#api, deadline);
    tell([...absurdEvents(await listEvents(this.#api), systemClock.nowMs()), ...strangeExits(pods)]);
    for (;;) {
      const found = await this.#survey();
      const overdue = this.#watch.note(found, systemClock.nowMs(), patienceMs).filter((each) => !this.#told.has(each));
      if (overdue.length === 0) return;
      if (systemClock.nowMs() - startedMs > TIDY_MS) return tell(overdue);
      await systemClock.sleep(LOOK_EVERY_MS);
    }
  }

  async #survey(): Promise<string[]> {
    const { hosts } = this.#cluster.targets;
    const texts = await Promise.all(hosts.map((host) => this.#cluster.on(host, 'sh', '-c', SURVEY_SCRIPT)));
    const pods = knownPods((await takeSnapshot(this.#api, deadline)).pods);
    return texts.flatMap(({ stdout }, index) => oddities(parseSurvey(hosts[index] ?? '', stdout), pods));
  }

  async #footprint(): Promise<void> {
    const results = await this.#cluster.everywhere('sh', '-c', FOOTPRINT_SCRIPT);
    this.#options.print(`  ${describeFootprint(results.map(({ stdout }) => stdout))}`);
  }

  /** They have been found: a long run must not fill the store. */
  async #forgetWrites(): Promise<void> {
    await this.#api.deleteCollection(configMapKind, { namespace: NAMESPACE, labelSelector: 'chaos=written' });
    this.#lasting.clear();
  }
}

const deadline = (): AbortSignal => AbortSignal.timeout(REQUEST_TIMEOUT_MS);
const lastLine = (text: string): string => text.trim().split('\n').filter((line) => !line.startsWith('command terminated')).at(-1) ?? '';

/** Whether it is mended; when not, whether the cluster is whole decides. */
async function mend(cluster: BreakableCluster, damage: Damage, print: (line: string) => void): Promise<boolean> {
  const { code, stderr } = await cluster.mend(damage);
  if (code === 0 || / is not running/.test(stderr)) return true;
  print(`  mending ${describeDamage(damage)}: ${lastLine(stderr)}`);
  return false;
}
