// Carries out the steps of a drill.
import { systemClock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import type { ClusterAccess, CommandResult } from '../../access/cluster-access.ts';
import { runCommand } from '../../access/run-command.ts';
import { hostNamed } from '../../host-named.ts';
import { UserError } from '../../user-error.ts';
import type { Attempts } from '../core/attempts.ts';
import { durationMs, type ClusterTimes } from '../core/durations.ts';
import { describeStep, isFault, type ApplyStep, type CommandStep, type DeleteStep, type ExpectEventStep, type ExpectStep, type ExpectTrafficStep, type ExpectWritesStep, type RememberStep, type Step, type TrafficStep, type WritesStep } from '../core/drill.ts';
import { describeFigures, figuresOf, figuresProblem } from '../core/figures.ts';
import type { ClientReport } from '../core/report.ts';
import { outputProblem, seeEvents, seeObjects, short, valueAt, type AnyObject, type SeenEvent } from '../core/rules.ts';
import { Expectation, type Sight, type Window } from '../core/timing.ts';
import type { Timeline } from '../core/timeline.ts';
import { substitute } from '../core/variables.ts';
import { isNoAnswer, type DrillApi } from './drill-api.ts';
import { Faults } from './faults.ts';
import { TrafficClient } from './traffic.ts';
import { Writers } from './writers.ts';

const DEFAULT_WITHIN_MS = 30_000;
const DEFAULT_COMMAND_MS = 30_000;
const POLL_MS = 100;
/** What is asked of the API server is asked this often. */
const ASK_MS = 250;
const TIMED_OUT = 124;
/** The shortest pace of clients. */
const SHORTEST_TRAFFIC_MS = 20;
const SHORTEST_WRITES_MS = 10;
const LONGEST_REQUEST_MS = 30_000;
const READ_BACK_MS = 30_000;

/** What was expected is not so; the message says what was seen. */
export class NotSo extends Error {
  override readonly name = 'NotSo';
}

export interface StepRunnerOptions {
  readonly cluster: ClusterAccess;
  readonly api: DrillApi;
  readonly timeline: Timeline;
  readonly times: ClusterTimes;
  readonly signal: AbortSignal;
  /** For kubectl: the namespace of the drill is its default. */
  readonly kubeconfig: string;
  /** Where commands of this machine run. */
  readonly folder: string;
  readonly variables: Map<string, string>;
}

/** Something that a client reports about. */
interface Client {
  readonly attempts: Attempts;
  readonly startMs: number;
  readonly what: string;
  stop(): Promise<void>;
}

export class StepRunner {
  readonly faults: Faults;
  readonly #options: StepRunnerOptions;
  readonly #ends = new Map<string, number>();
  readonly #traffic = new Map<string, Client & { readonly client: TrafficClient }>();
  readonly #writes = new Map<string, Client & { readonly client: Writers }>();
  /** Manifests whose objects are deleted at the end. */
  readonly #applied: string[] = [];
  #previousEndMs = systemClock.nowMs();

  constructor(options: StepRunnerOptions) {
    this.#options = options;
    this.faults = new Faults(options.cluster, options.timeline);
  }

  /** Resolves with what was seen. Throws NotSo when it is not as it has to be, anything else when it cannot be done. */
  async run(step: Step): Promise<string> {
    const seen = await this.#perform(this.#filledIn(step));
    this.over(step);
    return seen;
  }

  /** In one line, with the values that are known by now. */
  describe(step: Step): string {
    try {
      return describeStep(this.#filledIn(step));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return describeStep(step);
    }
  }

  /** Durations keep the names of the cluster's times: those are no texts. */
  #filledIn(step: Step): Step {
    return substitute(step, new Map([...this.#options.variables, ...[...this.#options.times.keys()].map((name): [string, string] => [name, `\${${name}}`])]));
  }

  /** The step is over, or was left out: later ones count from it. */
  over(step: Step): void {
    this.#previousEndMs = systemClock.nowMs();
    if (step.as !== undefined) this.#ends.set(step.as, this.#previousEndMs);
  }

  async stopClients(): Promise<void> {
    await Promise.all([...this.#traffic.values(), ...this.#writes.values()].map((client) => client.stop()));
  }
  clientReports(): ClientReport[] {
    return [...this.#traffic, ...this.#writes].map(([name, { what, attempts, startMs }]) => ({ name, what, figures: figuresOf(attempts.all, startMs, attempts.all.at(-1)?.endMs ?? startMs) }));
  }

  /** What the drill made outside its namespace. */
  async deleteApplied(): Promise<void> {
    for (const manifest of this.#applied.reverse()) await this.#kubectl(['delete', '--ignore-not-found', '--wait=false', '-f', '-'], manifest);
  }

  #perform(step: Step): Promise<string> {
    if ('apply' in step) return this.#apply(step);
    if ('delete' in step) return this.#delete(step);
    if ('command' in step) return this.#command(step);
    if ('fault' in step) return this.#fault(step.fault, step.as ?? step.fault, this.#optionalMs(step.for));
    if ('heal' in step) return this.#heal(step.heal);
    if ('remember' in step) return this.#remember(step);
    if ('expect' in step) return this.#expect(step);
    if ('expect-event' in step) return this.#expectEvent(step);
    if ('traffic' in step) return this.#startTraffic(step);
    if ('expect-traffic' in step) return this.#expectTraffic(step);
    if ('writes' in step) return Promise.resolve(this.#startWrites(step));
    return this.#expectWrites(step);
  }

  #ms(text: string): number {
    try {
      return durationMs(text, this.#options.times);
    } catch (error) {
      throw error instanceof RangeError ? new UserError(error.message) : error;
    }
  }
  #optionalMs(text: string | undefined): number | undefined {
    return text === undefined ? undefined : this.#ms(text);
  }

  // ------------------------------------------------------------------ making and breaking

  async #kubectl(words: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await runCommand(['kubectl', '--kubeconfig', this.#options.kubeconfig, ...words], { input, signal: this.#options.signal });
    if (code !== 0) throw new UserError(`kubectl ${words.join(' ')}: ${short(stderr.trim() || stdout.trim())}`);
    return stdout.trim();
  }

  async #apply(step: ApplyStep): Promise<string> {
    const outside = await this.#kubectl(['apply', '--dry-run=client', '-f', '-', '-o', 'jsonpath={range .items[*]}{.metadata.namespace} {end}{.metadata.namespace}'], step.apply).catch(() => '');
    // In its own namespace everything goes with that.
    if (outside.split(' ').some((namespace) => namespace !== '' && namespace !== this.#options.api.namespace) || /^kind:\s*(Namespace|PersistentVolume|PriorityClass|StorageClass|Cluster\w+|CustomResourceDefinition|\w*Webhook\w*|APIService|RuntimeClass|IngressClass|FlowSchema|PriorityLevelConfiguration)\s*$/m.test(step.apply)) this.#applied.push(step.apply);
    const printed = await this.#kubectl(['apply', '-f', '-'], step.apply);
    if (isFault(step)) this.faults.note(step.as ?? 'apply', `apply: ${printed.replaceAll('\n', ', ')}`, undefined);
    return printed.replaceAll('\n', ', ');
  }

  async #delete(step: DeleteStep): Promise<string> {
    const grace = step['grace-seconds'];
    const deleted = await this.#options.api.delete(step.delete, selectionOf(step), grace === undefined ? {} : { gracePeriodSeconds: grace });
    if (deleted.length === 0) throw new UserError(`there is nothing to delete: ${step.delete}${step.selector === undefined ? '' : ` -l ${step.selector}`}`);
    if (isFault(step)) this.faults.note(step.as ?? 'delete', `delete ${deleted.join(', ')}`, undefined);
    return deleted.join(', ');
  }

  async #fault(text: string, name: string, forMs: number | undefined): Promise<string> {
    await this.faults.make(text, { name, ...(forMs !== undefined && { forMs }) });
    return '';
  }

  async #heal(name: string): Promise<string> {
    const problems = await this.faults.heal(name);
    if (problems.length > 0) throw new UserError(`could not be undone: ${problems.join('; ')}`);
    return name;
  }

  // ------------------------------------------------------------------ commands

  #runScript(script: string, { on, in: inside }: { readonly on?: string; readonly in?: string }, timeoutMs: number, signal: AbortSignal = this.#options.signal): Promise<CommandResult> {
    const { cluster, kubeconfig, folder } = this.#options;
    if (on !== undefined) return cluster.onHost(on, ['sh', '-c', script], { timeoutMs, signal });
    if (inside !== undefined) {
      const [, pod = '', container] = inside.split('/');
      return runCommand(['kubectl', '--kubeconfig', kubeconfig, 'exec', pod, ...(container === undefined ? [] : ['-c', container]), '--', 'sh', '-c', script], { timeoutMs, signal });
    }
    return runCommand(['env', `KUBECONFIG=${kubeconfig}`, 'sh', '-c', `cd "$0" || exit; ${script}`, folder], { timeoutMs, signal });
  }

  async #command(step: CommandStep): Promise<string> {
    const timeoutMs = this.#optionalMs(step.timeout) ?? DEFAULT_COMMAND_MS;
    const untilMs = systemClock.nowMs() + (this.#optionalMs(step.within) ?? 0);
    if (isFault(step)) {
      const { undo } = step;
      // No signal: what is broken is mended, also when somebody ends the drill.
      this.faults.note(step.as ?? step.command, step.title ?? short(step.command.trim().split('\n')[0] ?? ''), undo === undefined ? undefined : async () => {
        const { code, stdout, stderr } = await this.#runScript(undo, step, DEFAULT_COMMAND_MS, new AbortController().signal);
        if (code !== 0) throw new UserError(`${undo} ended with ${code}: ${short(stderr.trim() || stdout.trim())}`);
      });
    }
    for (;;) {
      const { code, stdout, stderr } = await this.#runScript(step.command, step, timeoutMs);
      this.#options.signal.throwIfAborted();
      const output = `${stdout}${code === TIMED_OUT ? stderr.replace(/no answer within [\d.]+ s$/, '') : stderr}`;
      const problem = exitProblem(code, step.exit ?? 0, output) ?? (step.output && outputProblem(output, step.output));
      if (problem === undefined) return short(output.trim().split('\n').slice(-3).join(' / '));
      if (systemClock.nowMs() >= untilMs) {
        // What breaks things and cannot be done is no answer of the cluster.
        if (isFault(step)) throw new UserError(problem);
        throw new NotSo(step.within === undefined ? problem : `not within ${step.within}: ${problem}`);
      }
      await systemClock.sleep(ASK_MS, this.#options.signal);
    }
  }

  // ------------------------------------------------------------------ looking

  async #remember(step: RememberStep): Promise<string> {
    let value = '';
    const look = async (): Promise<Sight> => {
      if (step['output-of'] !== undefined) {
        const { code, stdout, stderr } = await this.#runScript(step['output-of'], step, DEFAULT_COMMAND_MS);
        value = stdout.trim();
        return { holds: code === 0 && value !== '', text: code === 0 ? value : short(stderr.trim()) };
      }
      let objects: readonly AnyObject[];
      try {
        objects = await this.#options.api.objects(step.of ?? '', selectionOf(step));
      } catch (error) {
        return { holds: 'unknown', text: noAnswer(error) };
      }
      const values = objects.map((object) => valueAt(object, step.path ?? '')).filter((each) => each !== undefined && each !== '');
      value = values.join(' ');
      return { holds: values.length > 0, text: values.length === 0 ? `nothing at ${step.path ?? ''}` : value };
    };
    await this.#until(look, { withinMs: this.#optionalMs(step.within) ?? DEFAULT_WITHIN_MS }, this.#previousEndMs);
    this.#options.variables.set(step.remember, value);
    return `${step.remember} = ${short(value)}`;
  }

  #expect(step: ExpectStep): Promise<string> {
    const look = async (): Promise<Sight> => {
      let objects: AnyObject[] | undefined;
      let problem = '';
      try {
        objects = await this.#options.api.objects(step.expect, selectionOf(step));
      } catch (error) {
        problem = noAnswer(error);
      }
      return seeObjects(objects, step, problem);
    };
    return this.#until(look, this.#windowOf(step), this.#startOf(step.since));
  }

  #expectEvent(step: ExpectEventStep): Promise<string> {
    const startMs = this.#startOf(step.since);
    // Events of the older form carry whole seconds.
    const sinceMs = Math.floor((step.since === undefined ? systemClock.nowMs() - this.#options.timeline.nowMs : startMs) / 1000) * 1000;
    const look = async (): Promise<Sight> => {
      let events: SeenEvent[] | undefined;
      let problem = '';
      try {
        events = await this.#options.api.eventsSince(sinceMs, step.namespace);
      } catch (error) {
        problem = noAnswer(error);
      }
      const sight = seeEvents(events, step['expect-event'], step, problem);
      return step.absent === true && sight.holds !== 'unknown' ? { ...sight, holds: !sight.holds } : sight;
    };
    return this.#until(look, this.#windowOf(step), startMs);
  }
  #windowOf({ within, after, stays }: { readonly within?: string; readonly after?: string; readonly stays?: string }): Window {
    const [afterMs, staysMs] = [this.#optionalMs(after), this.#optionalMs(stays)];
    return { withinMs: this.#optionalMs(within) ?? DEFAULT_WITHIN_MS + (afterMs ?? 0), ...(afterMs !== undefined && { afterMs }), ...(staysMs !== undefined && { staysMs }) };
  }
  #startOf(since: string | undefined): number {
    return since === undefined ? this.#previousEndMs : this.#ends.get(since) ?? this.#previousEndMs;
  }

  async #until(look: () => Promise<Sight>, window: Window, startMs: number, everyMs = ASK_MS): Promise<string> {
    const expectation = new Expectation(window, startMs);
    for (;;) {
      const sight = await look();
      this.#options.signal.throwIfAborted();
      const verdict = expectation.see(sight, systemClock.nowMs());
      if (verdict.is === 'met') return verdict.text;
      if (verdict.is === 'missed') throw new NotSo(verdict.text);
      await systemClock.sleep(everyMs, this.#options.signal);
    }
  }

  // ------------------------------------------------------------------ clients

  async #startTraffic(step: TrafficStep): Promise<string> {
    const { cluster, api, timeline } = this.#options;
    let [host, podAddress] = [step.from, undefined as string | undefined];
    if (step.from.startsWith('pod/')) {
      const [pod] = await api.objects(step.from);
      host = pod === undefined ? '' : valueAt(pod, '.spec.nodeName') ?? '';
      podAddress = pod === undefined ? undefined : valueAt(pod, '.status.podIP');
      if (host === '' || podAddress === undefined) throw new UserError(`${step.from} does not run: no traffic can come from it`);
    }
    const client = new TrafficClient(cluster, {
      host: hostNamed(host, cluster.hosts).name, url: step.to, everyMs: Math.max(SHORTEST_TRAFFIC_MS, this.#optionalMs(step.every) ?? 200), timeoutMs: Math.min(LONGEST_REQUEST_MS, this.#optionalMs(step.timeout) ?? 2_000),
      ...(podAddress !== undefined && { podAddress }),
      onChange: (passes, text) => timeline.change({ kind: 'traffic', lane: `traffic ${step.traffic}`, state: passes ? 'passes' : 'fails', text: `${passes ? 'passes' : 'fails'} (${text})`, tone: passes ? 'good' : 'bad' }),
    });
    await this.#traffic.get(step.traffic)?.stop();
    this.#traffic.set(step.traffic, { client, attempts: client.attempts, startMs: systemClock.nowMs(), what: `from ${step.from} to ${step.to}`, stop: () => client.stop() });
    return `${step.from} asks ${step.to}`;
  }

  #startWrites(step: WritesStep): string {
    const client = new Writers(this.#options.api, {
      name: step.writes, clients: step.clients ?? 1, everyMs: Math.max(SHORTEST_WRITES_MS, this.#optionalMs(step.every) ?? 100), timeoutMs: Math.min(LONGEST_REQUEST_MS, this.#optionalMs(step.timeout) ?? 5_000),
      onChange: (passes, text) => this.#options.timeline.change({ kind: 'traffic', lane: `writes ${step.writes}`, state: passes ? 'acknowledged' : 'fail', text: passes ? 'are acknowledged' : `fail (${short(text)})`, tone: passes ? 'good' : 'bad' }),
    });
    this.#writes.set(step.writes, { client, attempts: client.attempts, startMs: systemClock.nowMs(), what: 'ConfigMaps', stop: () => client.stop() });
    return `${step.clients ?? 1} write`;
  }

  /** Of what has been asked since the step began, or since `since`, and has ended, the last decides. */
  #seeClient(client: Client, passes: boolean, sinceMs: number, problem: string): Sight {
    const last = client.attempts.latest;
    if (last === undefined || last.startMs < sinceMs) return { holds: 'unknown', text: problem === '' ? 'nothing has been asked yet' : problem };
    return { holds: last.isAnswered === passes, text: last.text };
  }

  async #expectTraffic(step: ExpectTrafficStep): Promise<string> {
    const traffic = this.#traffic.get(step['expect-traffic']);
    if (!traffic) throw new UserError(`no traffic is called ${step['expect-traffic']}`);
    const seen: string[] = [];
    if (step.passes !== undefined) {
      const { passes } = step;
      const startMs = this.#startOf(step.since);
      seen.push(await this.#until(() => Promise.resolve(this.#seeClient(traffic, passes, startMs, traffic.client.problem)), this.#windowOf(step), startMs, POLL_MS));
    }
    seen.push(this.#checkFigures(traffic, step, step.since === undefined ? traffic.startMs : this.#startOf(step.since)));
    return seen.join('; ');
  }

  async #expectWrites(step: ExpectWritesStep): Promise<string> {
    const writes = this.#writes.get(step['expect-writes']);
    if (!writes) throw new UserError(`no writes are called ${step['expect-writes']}`);
    const seen: string[] = [];
    if (step.passes !== undefined) {
      const { passes } = step;
      const startMs = this.#startOf(step.since);
      seen.push(await this.#until(() => Promise.resolve(this.#seeClient(writes, passes, startMs, '')), this.#windowOf(step), startMs, POLL_MS));
    }
    seen.push(this.#checkFigures(writes, { ...step, ...(step['min-acknowledged'] !== undefined && { 'min-answered': step['min-acknowledged'] }) }, step.since === undefined ? writes.startMs : this.#startOf(step.since)));
    if (step['none-lost'] === true) {
      await writes.stop();
      const lost = await writes.client.lost(READ_BACK_MS, this.#options.signal);
      if (lost.length > 0) throw new NotSo(`${lost.length} of ${writes.client.acknowledged} acknowledged writes are lost: ${short(lost.join(', '))}`);
      seen.push(`all ${writes.client.acknowledged} acknowledged writes are there`);
    }
    return seen.join('; ');
  }

  #checkFigures({ attempts }: Client, step: { readonly 'max-failed'?: number; readonly 'min-failed'?: number; readonly 'min-answered'?: number; readonly 'max-answered'?: number; readonly 'max-gap'?: string }, sinceMs: number): string {
    const figures = figuresOf(attempts.all, sinceMs, Math.max(sinceMs, attempts.all.at(-1)?.endMs ?? sinceMs));
    const { 'max-failed': maxFailed, 'min-failed': minFailed, 'min-answered': minAnswered, 'max-answered': maxAnswered } = step;
    const maxGapMs = this.#optionalMs(step['max-gap']);
    const problem = figuresProblem(figures, {
      ...(maxFailed !== undefined && { maxFailed }), ...(minFailed !== undefined && { minFailed }), ...(minAnswered !== undefined && { minAnswered }),
      ...(maxAnswered !== undefined && { maxAnswered }), ...(maxGapMs !== undefined && { maxGapMs }),
    });
    if (problem !== undefined) throw new NotSo(`${problem} (${describeFigures(figures)})`);
    return describeFigures(figures);
  }
}

const selectionOf = ({ selector, namespace }: { readonly selector?: string; readonly namespace?: string }): { selector?: string; namespace?: string } =>
  ({ ...(selector !== undefined && { selector }), ...(namespace !== undefined && { namespace }) });

/** Whoever cannot answer is part of the experiment; what the API server refuses is a mistake of the drill. */
function noAnswer(error: unknown): string {
  if (error instanceof StatusError && !isNoAnswer(error)) throw new UserError(error.message);
  if (!isNoAnswer(error)) throw error;
  return `the API server does not answer: ${short(error instanceof Error ? error.message : String(error))}`;
}

function exitProblem(code: number, wanted: number | 'nonzero' | 'any' | 'timeout', output: string): string | undefined {
  const isSo = wanted === 'any' || (wanted === 'nonzero' ? code !== 0 : wanted === 'timeout' ? code === TIMED_OUT : code === wanted);
  if (isSo) return undefined;
  return `it ${code === TIMED_OUT ? 'did not end in time' : `ended with ${code}`}, not ${wanted === 'timeout' ? 'hanging' : `with ${String(wanted)}`}${output.trim() === '' ? '' : `: ${short(output.trim())}`}`;
}
