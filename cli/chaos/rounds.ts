// Breaks a cluster round after round and waits each time until it is whole again, with everything that was acknowledged.
import { connectToApiserver, type ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { BreakableCluster } from './breakable.ts';
import { describeDamage, planRound, type Damage, type Round } from './plan.ts';
import { lastLine, NotWhole, Wholeness } from './wholeness.ts';
import { makeWorkloads } from './workloads.ts';
import { forgetWrittenObjects, Writer, writtenObjects } from './writer.ts';

export interface RoundsOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Longest time to be whole again; milliseconds. */
  readonly deadlineMs: number;
  readonly print: (line: string) => void;
}

const MEND_ATTEMPTS = 5;
const MEND_AGAIN_MS = 2_000;
const REQUEST_TIMEOUT_MS = 5_000;
/** Rounds between two looks at what the processes use. */
const FOOTPRINT_EVERY = 10;

/** Throws NotWhole with the round in which the cluster did not come back. */
export async function runRounds(cluster: BreakableCluster, options: RoundsOptions): Promise<void> {
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
  readonly #options: RoundsOptions;
  readonly #wholeness: Wholeness;
  /** Of the round; absent while nothing was written that is not forgotten. */
  #writer: Writer | undefined;

  constructor(cluster: BreakableCluster, api: ApiClient, options: RoundsOptions) {
    this.#cluster = cluster;
    this.#api = api;
    this.#options = options;
    this.#wholeness = new Wholeness(cluster, api, { ...options, check: () => this.#checkWrites() });
  }

  async all(): Promise<void> {
    const { seed, rounds, print } = this.#options;
    const random = seededRandom(seed);
    await makeWorkloads(this.#api);
    await this.#wholeness.reached();
    print(`seed ${seed}: the cluster is whole, ${rounds} rounds`);
    print(`  ${await this.#wholeness.footprint()}`);
    const recoveries: number[] = [];
    for (let number = 1; number <= rounds; number += 1) {
      const round = planRound(random, this.#cluster.targets);
      try {
        recoveries.push(await this.#round(number, round));
      } catch (error) {
        throw error instanceof NotWhole ? new NotWhole(`seed ${seed}, round ${number} (${round.damages.map(describeDamage).join(', ')}): ${error.message}`) : error;
      }
      if (number % FOOTPRINT_EVERY === 0) print(`  ${await this.#wholeness.footprint()}`);
    }
    await this.#wholeness.untilTidy(0);
    recoveries.sort((left, right) => left - right);
    const seconds = (ms = 0): string => (ms / 1000).toFixed(1);
    print(`whole again after: median ${seconds(recoveries[Math.floor(recoveries.length / 2)])} s, longest ${seconds(recoveries.at(-1))} s`);
    const { told } = this.#wholeness;
    if (told.size > 0) throw new NotWhole(`${told.size} things that should not be: ${[...told].join('; ')}`);
  }

  /** Resolves with the time until the cluster was whole again, counted from the last mend. */
  async #round(number: number, { damages, brokenMs, mendOrder }: Round): Promise<number> {
    const { seed, print } = this.#options;
    const writer = new Writer(this.#api, `written-${seed}-${number}`, seed + number);
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
    this.#writer = writer;
    const recoveryMs = await this.#wholeness.reached();
    const { created, updated, deleted } = writer.figures;
    print(`  whole after ${(recoveryMs / 1000).toFixed(1)} s, ${created + updated + deleted} writes acknowledged`);
    await forgetWrittenObjects(this.#api); // a long run must not fill the store
    this.#writer = undefined;
    await this.#wholeness.untilTidy();
    return recoveryMs;
  }

  async #checkWrites(): Promise<void> {
    if (!this.#writer) return;
    const wrong = this.#writer.ledger.contradictions(await writtenObjects(this.#api, AbortSignal.timeout(REQUEST_TIMEOUT_MS)));
    if (wrong.length > 0) throw new NotWhole(`${wrong.length} writes are not as acknowledged: ${wrong.slice(0, 5).join('; ')}`);
  }
}

/** Whether it is mended; when not, whether the cluster is whole decides. */
async function mend(cluster: BreakableCluster, damage: Damage, print: (line: string) => void): Promise<boolean> {
  const { code, stderr } = await cluster.mend(damage);
  if (code === 0 || / is not running/.test(stderr)) return true;
  print(`  mending ${describeDamage(damage)}: ${lastLine(stderr)}`);
  return false;
}
