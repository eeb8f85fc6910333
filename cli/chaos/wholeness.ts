// Whether a cluster is whole: looks at it as a user does and as its processes are, until nothing is lacking.
import type { ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import type { CommandResult } from '../access/cluster-access.ts';
import type { ObservedCluster } from './breakable.ts';
import { describeFootprint, FOOTPRINT_SCRIPT } from './footprint.ts';
import { oddities, OddityWatch, parseSurvey, SURVEY_SCRIPT } from './survey.ts';
import { absurdEvents, knownPods, lackingIn, listEvents, strangeExits, takeSnapshot, type Snapshot } from './whole.ts';
import { NAMESPACE, PROBE, STORE, STORE_FILE, STORE_PORT } from './workloads.ts';
import { isRefusal } from './writer.ts';

export interface WholenessOptions {
  /** Longest time to be whole again; milliseconds. */
  readonly deadlineMs: number;
  readonly print: (line: string) => void;
  /** Whether pods of the run ask its Service all the time, one on each host. */
  readonly hasClients?: boolean;
  /** Clocks of hosts were set: times in events say nothing. */
  readonly areTimesOdd?: boolean;
  /** Asked when all else is whole; throws NotWhole for what cannot become better. */
  readonly check?: () => Promise<void>;
}

const LOOK_EVERY_MS = 500;
const REQUEST_TIMEOUT_MS = 5_000;
const ANSWER_END = '<end>';
/** What was lacking, and when, is told when it takes longer. */
const SLOW_MS = 8_000;
/** For the kubelet's collection of what is left of pods, once a minute. */
const TIDY_MS = 90_000;
/** Who waits is told so often what for. */
const TELL_EVERY_MS = 10_000;

/** Not whole within the deadline, or something acknowledged is gone. */
export class NotWhole extends Error {
  override readonly name = 'NotWhole';
}

export class Wholeness {
  /** What should not have been, each thing once. */
  readonly told = new Set<string>();
  readonly #cluster: ObservedCluster;
  readonly #api: ApiClient;
  readonly #options: WholenessOptions;
  /** What each volume held when it was last read. */
  readonly #volumes = new Map<string, string>();
  readonly #watch = new OddityWatch();

  constructor(cluster: ObservedCluster, api: ApiClient, options: WholenessOptions) {
    this.#cluster = cluster;
    this.#api = api;
    this.#options = options;
  }

  /** Resolves with the time that it took; throws NotWhole. */
  async reached(): Promise<number> {
    const { deadlineMs, print } = this.#options;
    const startedMs = performance.now();
    const trail: string[] = [];
    let last = '';
    let tellAtMs = TELL_EVERY_MS;
    for (;;) {
      const lack = await this.#whatIsLacking().catch((error: unknown) => {
        if (isRefusal(error)) return error.message;
        throw error;
      });
      const elapsedMs = performance.now() - startedMs;
      if (lack !== last) trail.push(`${(elapsedMs / 1000).toFixed(1)} s: ${lack || 'whole'}`);
      last = lack;
      if (lack === '' || elapsedMs > deadlineMs) {
        if (elapsedMs > SLOW_MS) for (const step of trail) print(`    ${step}`);
        if (lack === '') return elapsedMs;
        throw new NotWhole(`not whole after ${deadlineMs / 1000} s: ${lack}`);
      }
      if (elapsedMs >= tellAtMs) {
        print(`  waiting for a whole cluster: ${lack}`);
        tellAtMs += TELL_EVERY_MS;
      }
      await systemClock.sleep(LOOK_EVERY_MS);
    }
  }

  /** In a few words; empty when nothing is. */
  async #whatIsLacking(): Promise<string> {
    const { hasClients = false, check } = this.#options;
    const lacking = await this.#cluster.lacking();
    if (lacking !== '') return lacking;
    const snapshot = await takeSnapshot(this.#api, deadline);
    const incomplete = lackingIn(snapshot, this.#cluster.hosts, { nowMs: systemClock.nowMs(), hasClients });
    if (incomplete !== '') return incomplete;
    const silent = (await Promise.all([...this.#seenFromHosts(snapshot), ...this.#seenFromPods(snapshot)])).filter((each) => each !== '');
    if (silent.length > 0) return silent.join('; ');
    await check?.();
    return '';
  }

  /** The probe's addresses answer on each host and beside them; the store's policy keeps hosts out, but the pod's own. */
  #seenFromHosts({ services, pods }: Snapshot): Promise<string>[] {
    const service = services.find(({ metadata }) => metadata.namespace === NAMESPACE && metadata.name === PROBE);
    const outer = service?.status?.loadBalancer?.ingress?.[0]?.ip ?? '';
    const store = pods.find(({ metadata }) => metadata.name === `${STORE}-0`);
    const ask = (address: string, seconds: number): string => `curl -s -m ${seconds} -o /dev/null -w '%{http_code} ' http://${address}/`;
    const answers = async (where: string, result: Promise<CommandResult>, wanted: string, what: string): Promise<string> => {
      const { stdout, stderr } = await result;
      return stdout.trim() === wanted ? '' : `${where}: ${what}: ${stdout.trim() || lastLine(stderr)}, not ${wanted}`;
    };
    const fromHosts = this.#cluster.hosts.map(({ name: host }) => {
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
      const { code, stdout, stderr } = await this.#cluster.inPod(NAMESPACE, name, 'sh', '-c', script);
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

  /**
   * Waits for the end of what has been left over for longer than `patienceMs` (three minutes, if not given); what does not
   * go, and what makes no sense, is told once, and remembered.
   */
  async untilTidy(patienceMs?: number): Promise<void> {
    const { print, areTimesOdd = false } = this.#options;
    const startedMs = performance.now();
    const tell = (things: readonly string[]): void => {
      for (const thing of things.filter((each) => !this.told.has(each))) {
        this.told.add(thing);
        print(`  ODD: ${thing}`);
      }
    };
    const { pods } = await takeSnapshot(this.#api, deadline);
    tell([...absurdEvents(await listEvents(this.#api), areTimesOdd ? undefined : systemClock.nowMs()), ...strangeExits(pods)]);
    for (;;) {
      const found = await this.#survey();
      const overdue = this.#watch.note(found, performance.now(), patienceMs).filter((each) => !this.told.has(each));
      if (overdue.length === 0) return;
      if (performance.now() - startedMs > TIDY_MS) return tell(overdue);
      await systemClock.sleep(LOOK_EVERY_MS);
    }
  }

  async #survey(): Promise<string[]> {
    const hosts = this.#cluster.hosts.map(({ name }) => name);
    const texts = await Promise.all(hosts.map((host) => this.#cluster.on(host, 'sh', '-c', SURVEY_SCRIPT)));
    const pods = knownPods((await takeSnapshot(this.#api, deadline)).pods);
    return texts.flatMap(({ stdout }, index) => oddities(parseSurvey(hosts[index] ?? '', stdout), pods));
  }

  /** What the processes use, in a line. */
  async footprint(): Promise<string> {
    const results = await this.#cluster.everywhere('sh', '-c', FOOTPRINT_SCRIPT);
    return describeFootprint(results.map(({ stdout }) => stdout));
  }
}

const deadline = (): AbortSignal => AbortSignal.timeout(REQUEST_TIMEOUT_MS);
export const lastLine = (text: string): string => text.trim().split('\n').filter((line) => !line.startsWith('command terminated')).at(-1) ?? '';
