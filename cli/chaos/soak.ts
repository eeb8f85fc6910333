// Breaks a running cluster at random for a while, heals it, and looks whether it is what it was: nothing acknowledged lost,
// everything that was asked for there, nothing left over.
import { connectToApiserver, type ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { COMPONENTS } from '../cluster-layout.ts';
import { FaultStore } from '../faults/fault-store.ts';
import { healFault, makeFault, textOf } from '../faults/make-and-heal.ts';
import { UserError } from '../user-error.ts';
import { observed, processesOf, type ObservedCluster } from './breakable.ts';
import { forgetClients, readClients, startClients, type ClientFigures } from './clients.ts';
import { faultFigures, type FaultEntry, type FaultFigures } from './fault-figures.ts';
import { additions, INVENTORY_SCRIPT, NETWORK_SCRIPT, parseInventory, type Inventory } from './inventory.ts';
import type { Dish, World } from './menu.ts';
import { grown, memoryByComponent, type MemoryFigures } from './memory.ts';
import { planFault, type PlannedFault } from './soak-plan.ts';
import { NotWhole, Wholeness } from './wholeness.ts';
import { makeWorkloads, NAMESPACE } from './workloads.ts';
import { isRefusal, Writer, writtenObjects, type WriteFigures } from './writer.ts';

export interface SoakOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly menu: readonly Dish[];
  /** Longest time to be whole again at the end; milliseconds. */
  readonly deadlineMs: number;
  readonly print: (line: string) => void;
  /** Ends the run early: what is broken is healed first. */
  readonly signal: AbortSignal;
}

export interface SoakReport {
  readonly seed: number;
  readonly startedAt: string;
  /** Until the first and from the first to the last fault, and from the last heal until the cluster was whole; milliseconds. */
  readonly brokenForMs: number;
  readonly wholeAfterMs: number | null;
  readonly faults: FaultFigures;
  readonly writes: WriteFigures;
  readonly requests: ClientFigures | null;
  readonly memory: MemoryFigures | null;
  /** What should not be, one line each; empty: the run has passed. */
  readonly problems: readonly string[];
}

/** Those that have no host of their own. */
const MOVABLE = new Set(COMPONENTS.filter(({ hosts }) => hosts === 'any').map(({ name }) => name));
/** Exit code of a command that makes no sense. */
const NOT_UNDERSTOOD = 2;
const HEAL_ATTEMPT_EVERY_MS = 2_000;
const HEAL_DEADLINE_MS = 180_000;
const POLL_MS = 250;
const LEFT_OVER_MS = 30_000;
const LOOK_AGAIN_MS = 2_000;
const REQUEST_TIMEOUT_MS = 30_000;
const FORGET_DEADLINE_MS = 120_000;

/** Resolves with what was seen, whether good or bad; throws UserError when there is nothing to start from. */
export async function soak(access: ClusterAccess, options: SoakOptions): Promise<SoakReport> {
  const broken = new FaultStore(access).list();
  if (broken.length > 0) throw new UserError(`broken already: ${broken.map(({ id, text }) => `${id} (${text})`).join(', ')}; first: kubreak heal --all`);
  const cluster = await observed(access);
  const api = connectToApiserver(await loadKubeconfig(cluster.kubeconfig), 'kubreak-chaos');
  try {
    return await new Soak(access, cluster, api, options).run();
  } finally {
    await api.close();
  }
}

class Soak {
  readonly #access: ClusterAccess;
  readonly #cluster: ObservedCluster;
  readonly #api: ApiClient;
  readonly #options: SoakOptions;
  readonly #wholeness: Wholeness;
  readonly #log: FaultEntry[] = [];
  readonly #problems: string[] = [];
  #startedMs = 0;

  constructor(access: ClusterAccess, cluster: ObservedCluster, api: ApiClient, options: SoakOptions) {
    this.#access = access;
    this.#cluster = cluster;
    this.#api = api;
    this.#options = options;
    const areTimesOdd = options.menu.some(({ name }) => name === 'clock');
    this.#wholeness = new Wholeness(cluster, api, { ...options, hasClients: true, areTimesOdd });
  }

  async run(): Promise<SoakReport> {
    const { seed, durationMs, print } = this.#options;
    await this.#forget(); // what a run has left that was killed, or has failed
    await makeWorkloads(this.#api);
    await startClients(this.#api);
    await this.#wholeness.reached();
    const startedAt = new Date(systemClock.nowMs()).toISOString();
    const inventory = await this.#inventory();
    const memory = await this.#memory();
    print(`seed ${seed}: the cluster is whole; it will be broken for ${Math.round(durationMs / 1000)} s`);
    print(`  ${await this.#wholeness.footprint()}`);

    this.#startedMs = performance.now();
    const writer = new Writer(this.#api, `written-${seed}`, seed);
    await this.#breakThings();
    const brokenForMs = performance.now() - this.#startedMs;
    await this.#healAll();
    const wholeAfterMs = await this.#wholeness.reached().catch((error: unknown) => this.#note(error));
    await writer.stop();
    await this.#checkWrites(writer);
    let requests: ClientFigures | undefined;
    let memoryFigures: MemoryFigures | undefined;
    if (wholeAfterMs !== undefined) {
      print(`whole after ${(wholeAfterMs / 1000).toFixed(1)} s`);
      await this.#wholeness.untilTidy(0);
      this.#problems.push(...this.#wholeness.told, ...(await this.#leftOver(inventory)).map((thing) => `left over: ${thing}`));
      print(`  ${await this.#wholeness.footprint()}`);
      memoryFigures = { first: memory, last: await this.#memory() };
      this.#problems.push(...grown(memoryFigures));
      requests = await readClients(this.#cluster).catch((error: unknown) => this.#note(error));
    }
    for (const { id, text } of new FaultStore(this.#access).list()) this.#problems.push(`still broken: ${id} ${text}`);
    if (this.#problems.length === 0) await this.#forget();
    return {
      seed, startedAt, brokenForMs: Math.round(brokenForMs), wholeAfterMs: wholeAfterMs === undefined ? null : Math.round(wholeAfterMs),
      faults: faultFigures(this.#log, brokenForMs), writes: writer.figures, requests: requests ?? null, memory: memoryFigures ?? null, problems: this.#problems,
    };
  }

  /** Resolves when the time is over and every fault that was begun is made, or refused. */
  async #breakThings(): Promise<void> {
    const { seed, durationMs, menu, signal } = this.#options;
    const random = seededRandom(seed);
    const world: World = { processes: processesOf(this.#access.hosts), hosts: this.#access.hosts.map(({ name }) => name) };
    const making = new Set<Promise<void>>();
    const leftMs = (): number => this.#startedMs + durationMs - performance.now();
    for (;;) {
      const fault = planFault(random, menu, world);
      await systemClock.sleep(Math.min(fault.afterMs, leftMs()), signal).catch(() => undefined);
      if (signal.aborted || leftMs() <= 0) break;
      const work: Promise<void> = this.#make(fault).finally(() => making.delete(work));
      making.add(work);
    }
    await Promise.all(making);
  }

  async #make(fault: PlannedFault): Promise<void> {
    const { print } = this.#options;
    const { name, words, forMs } = fault;
    const text = textOf(name, words);
    const atMs = Math.round(performance.now() - this.#startedMs);
    const entry = { text, atMs, forMs: forMs ?? null };
    try {
      const id = await this.#pull(name, words, forMs);
      this.#log.push(entry);
      print(`${id === '' ? '' : `${id} `}${text}${forMs === undefined ? '' : ` for ${Math.round(forMs / 1000)} s`}`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#log.push({ ...entry, refused: error.message });
      // What was broken already may refuse; anything else is a defect, and the run goes on to find more.
      if (!(error instanceof UserError)) this.#problems.push(`${text}: ${error.stack ?? error.message}`);
      else if (error.exitCode === NOT_UNDERSTOOD) this.#problems.push(`chaos asks for what there is not: ${text}: ${error.message}`);
      print(`${text}: not made: ${error.message}`);
    }
  }

  /** What lasts is undone at its time by the timer that every fault has. */
  async #pull(name: string, words: PlannedFault['words'], forMs: number | undefined): Promise<string> {
    const [target = ''] = words.args;
    switch (name) {
      case 'reboot': return this.#access.reboot(target).then(() => '');
      case 'kill': return this.#access.signal(target, 'SIGKILL').then(() => '');
      default: return (await makeFault(this.#access, name, words, forMs)).id;
    }
  }

  async #healAll(): Promise<void> {
    const { print } = this.#options;
    const deadlineMs = performance.now() + HEAL_DEADLINE_MS;
    const store = new FaultStore(this.#access);
    for (;;) {
      let problem = '';
      for (const record of store.list().reverse()) {
        await healFault(this.#access, record).then(() => print(`${record.id} healed: ${record.text}`), (error: unknown) => {
          problem = `${record.id} ${record.text}: ${error instanceof Error ? error.message : String(error)}`;
        });
      }
      if (store.list().length === 0) return;
      if (performance.now() > deadlineMs) return void this.#problems.push(`not to be healed within ${HEAL_DEADLINE_MS / 1000} s: ${problem}`);
      await systemClock.sleep(HEAL_ATTEMPT_EVERY_MS);
    }
  }

  #note(error: unknown): undefined {
    if (!(error instanceof NotWhole)) throw error;
    this.#problems.push(error.message);
  }

  async #checkWrites({ ledger }: Writer): Promise<void> {
    try {
      const wrong = ledger.contradictions(await writtenObjects(this.#api, AbortSignal.timeout(REQUEST_TIMEOUT_MS)));
      if (wrong.length > 0) this.#problems.push(`${wrong.length} writes are not as acknowledged: ${wrong.slice(0, 5).join('; ')}`);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#problems.push(`what was written is not to be read: ${error.message}`);
    }
  }

  /** What does not go: there is always some program that runs for a moment. */
  async #leftOver(before: Inventory): Promise<string[]> {
    const deadlineMs = performance.now() + LEFT_OVER_MS;
    let found = additions(before, await this.#inventory());
    while (found.length > 0 && performance.now() < deadlineMs) {
      await systemClock.sleep(LOOK_AGAIN_MS);
      const now = additions(before, await this.#inventory());
      found = found.filter((thing) => now.includes(thing));
    }
    return found;
  }

  async #inventory(): Promise<Inventory> {
    const places = new Map<string, ReadonlySet<string>>();
    const look = async (place: string, result: Promise<{ code: number; stdout: string; stderr: string }>): Promise<void> => {
      const { code, stdout, stderr } = await result;
      if (code !== 0) throw new UserError(`${place} cannot be looked at: ${stderr.trim()}`);
      places.set(place, parseInventory(stdout));
    };
    await Promise.all(this.#cluster.hosts.map(({ name }) => look(name, this.#cluster.on(name, 'sh', '-c', INVENTORY_SCRIPT))));
    // In containers the network beside the hosts is the machine's, and others use it, too.
    if (this.#access.mode === 'local' && this.#cluster.outside) await look('the hosts\' network', this.#cluster.outside('sh', '-c', NETWORK_SCRIPT));
    return places;
  }

  #memory = async (): Promise<Record<string, number>> => memoryByComponent(await this.#access.status(), MOVABLE);

  /** Whatever a run makes. */
  async #forget(): Promise<void> {
    const isThere = (request: Promise<unknown>): Promise<boolean> => request.then(() => true, (error: unknown) => {
      if (isConflict(error)) return true; // it is being deleted already
      if (isNotFound(error)) return false;
      throw error;
    });
    await isThere(this.#api.delete(namespaceKind, undefined, NAMESPACE));
    const deadlineMs = performance.now() + FORGET_DEADLINE_MS;
    while (await isThere(this.#api.get(namespaceKind, undefined, NAMESPACE))) {
      if (performance.now() > deadlineMs) throw new UserError(`the namespace ${NAMESPACE} is still there ${FORGET_DEADLINE_MS / 1000} s after it was deleted`);
      await systemClock.sleep(POLL_MS);
    }
    await forgetClients(this.#cluster);
  }
}
