// One drill from its beginning to a cluster that is whole again: whatever happens in between, what it broke is mended and what
// it made is deleted.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { systemClock } from '#lib/environment/clock.ts';
import { randomSuffix, systemRandom } from '#lib/environment/random.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { disableApiFaults, enableApiFaults } from '../api-fault/enable.ts';
import { mastersOf } from '../cluster-layout.ts';
import { FaultStore } from '../faults/fault-store.ts';
import { findProgram } from '../local/find-program.ts';
import { isRootless } from '../local/rootless.ts';
import { clusterTimes, isFast } from './core/cluster-times.ts';
import { describeStep, isFault, looksForOthersEvents, needsApiFaults, type Drill } from './core/drill.ts';
import { durationMs, inSeconds } from './core/durations.ts';
import type { DrillReport, DrillStatus, StepReport } from './core/report.ts';
import { lackingFor } from './core/requirements.ts';
import { short } from './core/rules.ts';
import { Timeline, type Entry } from './core/timeline.ts';
import { DrillApi, isNoAnswer } from './edge/drill-api.ts';
import { NotSo, StepRunner } from './edge/step-runner.ts';
import { followCluster } from './edge/watchers.ts';

const DEFAULT_TIMEOUT_MS = 600_000;
const DEFAULT_RECOVERY_MS = 120_000;
const WHOLE_BEFORE_MS = 90_000;
const NAMESPACE_GONE_MS = 120_000;
const POLL_MS = 250;
const SUFFIX_LENGTH = 5;

export interface RunOptions {
  readonly isWithoutFault: boolean;
  /** Others run at the same time: what they break is not this one's business. */
  readonly isBesideOthers?: boolean;
  readonly onEntry: (entry: Entry) => void;
  /** Ends the drill; what it broke is mended first. */
  readonly signal: AbortSignal;
}

export async function runDrill(drill: Drill, cluster: ClusterAccess, options: RunOptions): Promise<DrillReport> {
  const startMs = systemClock.nowMs();
  const timeline = new Timeline(() => systemClock.nowMs() - startMs, options.onEntry);
  const run = new DrillRun(drill, cluster, timeline, options);
  const { status, problem } = await run.all();
  return {
    drill: drill.name, title: drill.title, description: drill.description, status, ...(problem !== undefined && { problem }), isWithoutFault: options.isWithoutFault,
    startedAt: new Date(startMs).toISOString(), durationMs: timeline.nowMs,
    cluster: { mode: cluster.mode, hosts: cluster.hosts.map(({ name }) => name), ...(run.isFast !== undefined && { isFast: run.isFast }) },
    steps: run.steps, clients: run.runner?.clientReports() ?? [], timeline: timeline.entries, droppedEntries: timeline.dropped,
  };
}

interface Outcome {
  readonly status: DrillStatus;
  readonly problem?: string;
}

class DrillRun {
  readonly #drill: Drill;
  readonly #cluster: ClusterAccess;
  readonly #timeline: Timeline;
  readonly #options: RunOptions;
  readonly #steps: StepReport[];
  runner: StepRunner | undefined;
  isFast: boolean | undefined;
  /** The API servers were asked to take rules for this drill, and are told to take none at its end. */
  #hasLetApiFaults = false;

  constructor(drill: Drill, cluster: ClusterAccess, timeline: Timeline, options: RunOptions) {
    this.#drill = drill;
    this.#cluster = cluster;
    this.#timeline = timeline;
    this.#options = options;
    this.#steps = drill.steps.map((step, index) => ({ number: index + 1, text: describeStep(step), status: 'not reached' }));
  }

  get steps(): readonly StepReport[] {
    return this.#steps;
  }

  async all(): Promise<Outcome> {
    const namespace = `drill-${this.#drill.name}-${randomSuffix(systemRandom, SUFFIX_LENGTH)}`;
    const folder = mkdtempSync(join(tmpdir(), 'kubreak-drill-'));
    // Mending and clearing away outlast the drill's own end.
    const clearing = new AbortController();
    const admin = await this.#cluster.kubeconfig();
    const api = await DrillApi.connect(admin, namespace, clearing.signal);
    try {
      return await this.#prepared(api, folder, admin, namespace);
    } catch (error) {
      return this.#outcomeOf(error);
    } finally {
      clearing.abort();
      await api.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #prepared(api: DrillApi, folder: string, admin: string, namespace: string): Promise<Outcome> {
    const { signal } = this.#options;
    const hosts = this.#cluster.hosts;
    await this.#whole(api, WHOLE_BEFORE_MS, 'before the drill', signal);
    const broken = this.#options.isBesideOthers === true ? [] : new FaultStore(this.#cluster).list();
    if (broken.length > 0) throw new Error(`something is broken already: ${broken.map(({ text }) => text).join(', ')}; mend it with: kubreak heal`);
    const times = clusterTimes(await retried(() => api.timeFacts(), signal));
    this.isFast = isFast(times);
    const masters = mastersOf(hosts).length;
    const lacking = lackingFor(this.#drill.requires ?? {}, {
      mode: this.#cluster.mode, masters, workers: hosts.length - masters, isRoot: this.#cluster.mode === 'compose' || !isRootless(), isFast: this.isFast,
      missingPrograms: ['kubectl', ...(this.#drill.requires?.programs ?? [])].filter((program) => findProgram(program) === undefined),
    });
    if (lacking !== undefined) return { status: 'skipped', problem: `needs ${lacking}` };

    if (looksForOthersEvents(this.#drill)) await retried(() => api.noteEvents(), signal);
    await retried(() => api.makeNamespace(this.#drill.name), signal);
    const following = new AbortController();
    const followed = followCluster(api, this.#timeline, following.signal);
    const timeoutMs = durationMs(this.#drill.timeout ?? `${DEFAULT_TIMEOUT_MS}ms`, times);
    const tooLong = AbortSignal.timeout(timeoutMs);
    const runner = new StepRunner({
      cluster: this.#cluster, api, timeline: this.#timeline, times, signal: AbortSignal.any([signal, tooLong]), folder, kubeconfig: writeKubeconfig(admin, folder, namespace),
      variables: new Map([['namespace', namespace], ['drill', this.#drill.name], ['mode', this.#cluster.mode]]),
    });
    this.runner = runner;
    const looking = setInterval(() => runner.faults.look(), POLL_MS);
    let outcome: Outcome;
    try {
      await retried(async () => {
        if (!await api.hasServiceAccount()) throw new DOMException('no service account yet', 'TimeoutError');
      }, signal);
      await this.#letApiFaults();
      outcome = await this.#allSteps(runner);
      if (outcome.status === 'interrupted' && !signal.aborted) outcome = { status: 'failed', problem: `not over within ${inSeconds(timeoutMs)}` };
    } catch (error) {
      outcome = this.#outcomeOf(error);
    }
    clearInterval(looking);
    const problem = await this.#clear(runner, api, namespace, durationMs(this.#drill['recovers-within'] ?? `${DEFAULT_RECOVERY_MS}ms`, times));
    following.abort();
    await followed;
    if (problem === undefined) return outcome;
    // What a drill that went wrong leaves behind comes second.
    return outcome.status === 'passed' ? { status: 'failed', problem } : { ...outcome, problem: `${outcome.problem ?? outcome.status}; and then: ${problem}` };
  }

  async #letApiFaults(): Promise<void> {
    if (!needsApiFaults(this.#drill)) return;
    this.#timeline.add({ kind: 'step', lane: 'steps', text: 'before the first step: the API servers take rules (kubreak api-fault enable), unless they do already' });
    try {
      this.#hasLetApiFaults = await enableApiFaults(this.#cluster);
    } catch (error) {
      this.#hasLetApiFaults = true; // some may have been asked
      throw error;
    }
    this.#timeline.add({ kind: 'done', lane: 'steps', text: this.#hasLetApiFaults ? 'they were started anew' : 'they did', tone: 'good' });
  }

  async #allSteps(runner: StepRunner): Promise<Outcome> {
    const leftOut = new Set<string>();
    for (const [index, step] of this.#drill.steps.entries()) {
      const text = runner.describe(step);
      const heading = `${index + 1}/${this.#drill.steps.length} ${text}`;
      const isLeftOut = this.#options.isWithoutFault && (isFault(step) || ('heal' in step && (step.heal === 'all' || leftOut.has(step.heal))));
      const startMs = this.#timeline.nowMs;
      const note = (status: StepReport['status'], detail: string): void => {
        this.#steps[index] = { number: index + 1, text, status, startMs, endMs: this.#timeline.nowMs, ...(detail !== '' && { detail }) };
      };
      this.#timeline.add({ kind: 'step', lane: 'steps', text: `${heading}${isLeftOut ? ' (left out)' : ''}` });
      if (isLeftOut) {
        if (step.as !== undefined) leftOut.add(step.as);
        runner.over(step);
        note('left out', '');
        continue;
      }
      try {
        const seen = await runner.run(step);
        note('done', seen);
        this.#timeline.add({ kind: 'done', lane: 'steps', text: seen === '' ? 'done' : seen, tone: 'good' });
      } catch (error) {
        const outcome = this.#outcomeOf(error);
        note(outcome.status === 'failed' ? 'failed' : 'error', outcome.problem ?? '');
        this.#timeline.add({ kind: 'missed', lane: 'steps', text: outcome.problem ?? outcome.status, tone: 'bad' });
        return { ...outcome, problem: `step ${index + 1} (${text}): ${outcome.problem ?? outcome.status}` };
      }
    }
    return { status: 'passed' };
  }

  /** Resolves with what could not be mended or cleared away. Not to be interrupted: whoever insists kills the process, and heals by hand. */
  async #clear(runner: StepRunner, api: DrillApi, namespace: string, recoveryMs: number): Promise<string | undefined> {
    const problems: string[] = [];
    this.#timeline.add({ kind: 'step', lane: 'steps', text: 'at the end: mend what is broken, delete what was made, and wait until the cluster is whole' });
    const attempt = async (what: string, action: () => Promise<unknown>): Promise<void> => {
      try {
        await action();
      } catch (error) {
        problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    await attempt('clients', () => runner.stopClients());
    const unhealed = await runner.faults.heal('all');
    if (unhealed.length > 0) problems.push(`not mended: ${unhealed.join('; ')}`);
    if (this.#hasLetApiFaults) await attempt('api-fault disable', () => disableApiFaults(this.#cluster));
    await attempt('what the drill made', () => retried(() => runner.deleteApplied(), undefined, recoveryMs));
    // Both are waiting: a namespace is left alone for five seconds before its objects go.
    await Promise.all([
      attempt(`namespace ${namespace}`, () => deleteNamespace(api, namespace, recoveryMs)),
      this.#options.isBesideOthers === true ? undefined : attempt('recovery', () => this.#whole(api, recoveryMs, 'after the drill', undefined)),
    ]);
    const text = problems.length === 0 ? undefined : problems.join('; ');
    this.#timeline.add(text === undefined ? { kind: 'done', lane: 'steps', text: 'the cluster is whole', tone: 'good' } : { kind: 'missed', lane: 'steps', text, tone: 'bad' });
    return text;
  }

  async #whole(api: DrillApi, deadlineMs: number, when: string, signal: AbortSignal | undefined): Promise<void> {
    const untilMs = systemClock.nowMs() + deadlineMs;
    for (;;) {
      let lacking: string;
      try {
        lacking = await api.lacking(this.#cluster.hosts.map(({ name }) => name), systemClock.nowMs());
      } catch (error) {
        if (!isNoAnswer(error)) throw error;
        lacking = error instanceof Error ? error.message : String(error);
      }
      if (lacking === '') return;
      signal?.throwIfAborted();
      if (systemClock.nowMs() > untilMs) throw new Error(`the cluster is not whole ${when}: ${short(lacking)}`);
      await systemClock.sleep(POLL_MS, signal);
    }
  }

  #outcomeOf(error: unknown): Outcome {
    const problem = error instanceof Error ? error.message : String(error);
    if (error instanceof NotSo) return { status: 'failed', problem };
    if (this.#options.signal.aborted || (error instanceof DOMException && (error.name === 'AbortError' || error.name === 'TimeoutError'))) return { status: 'interrupted', problem: 'it was ended' };
    return { status: 'error', problem };
  }
}

/** What a cluster that is being broken does not answer is asked again. */
async function retried<T>(action: () => Promise<T>, signal?: AbortSignal, deadlineMs = WHOLE_BEFORE_MS): Promise<T> {
  const untilMs = systemClock.nowMs() + deadlineMs;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!isNoAnswer(error) || signal?.aborted === true || systemClock.nowMs() > untilMs) throw error;
    }
    await systemClock.sleep(POLL_MS, signal);
  }
}

async function deleteNamespace(api: DrillApi, namespace: string, recoveryMs: number): Promise<void> {
  const untilMs = systemClock.nowMs() + Math.max(NAMESPACE_GONE_MS, recoveryMs);
  for (;;) {
    try {
      // Asked again and again: the first may have been lost.
      const [found] = await api.objects(`namespace/${namespace}`);
      if (!found) return;
      if (!('deletionTimestamp' in found.metadata)) await api.delete(`namespace/${namespace}`, {}, {});
    } catch (error) {
      if (!isNoAnswer(error)) throw error;
    }
    if (systemClock.nowMs() > untilMs) throw new Error('it is still there');
    await systemClock.sleep(POLL_MS);
  }
}

/** A copy in which the namespace of the drill is the default. */
function writeKubeconfig(admin: string, folder: string, namespace: string): string {
  const config = parse(readFileSync(admin, 'utf8')) as { contexts?: { context?: { namespace?: string } }[] };
  for (const { context } of config.contexts ?? []) if (context) context.namespace = namespace;
  const path = join(folder, 'kubeconfig');
  mkdirSync(join(folder, 'work'), { recursive: true });
  writeFileSync(path, stringify(config), { mode: 0o600 });
  return path;
}
