// A client that never stops asking, from a host or from within a pod, and what it has seen.
import { PassThrough } from 'node:stream';
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterAccess } from '../../access/cluster-access.ts';
import { curlProblem } from '../../curl-problem.ts';
import { UserError } from '../../user-error.ts';
import { Attempts } from '../core/attempts.ts';
import type { Attempt } from '../core/figures.ts';

/** Reads a number a line, asks, and answers: the number, curl's exit code, the HTTP status. Ends with its input. */
const ASK = `while read -r n; do ( s=$(curl -s -m "$1" -o /dev/null -w '%{http_code}' "$2"); echo "$n $? $s" ) & done; wait`;
/**
 * The same inside the pod that has an address: in its network, with its root, so that its names resolve; found without asking
 * API server or kubelet, for they may be what is broken.
 */
const ASK_IN_POD = `for n in $(ip netns list | cut -d' ' -f1); do
  if ip -n "$n" -4 -o addr show 2>/dev/null | grep -qF " $3/"; then
    p=$(ip netns pids "$n" | tail -n 1)
    [ -n "$p" ] && exec nsenter -t "$p" -n -m -r -w sh -c "$4" sh "$1" "$2"
  fi
done
echo "no pod here has the address $3" >&2; exit 1`;
/** Longest life of a client; milliseconds: a drill takes an hour at most. */
const LONGEST_MS = 2 * 3_600_000;
const RESTART_MS = 500;
/** A request without any answer counts as failed when its own time and this are over: who asked is gone. */
const SLACK_MS = 1_000;

export interface TrafficOptions {
  readonly host: string;
  /** Of the pod on that host; absent: the host itself asks. */
  readonly podAddress?: string;
  readonly url: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** The state has changed: what is asked passes, or fails. */
  readonly onChange: (passes: boolean, text: string) => void;
}

export class TrafficClient {
  readonly #cluster: ClusterAccess;
  readonly #options: TrafficOptions;
  readonly #stopping = new AbortController();
  readonly #open = new Map<number, number>();
  readonly attempts: Attempts;
  #running: Promise<unknown> = Promise.resolve();
  #lastProblem = '';

  constructor(cluster: ClusterAccess, options: TrafficOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.attempts = new Attempts(options.onChange);
    this.#running = Promise.all([this.#live()]);
  }

  /** Why the client itself could not run, the last time it could not. */
  get problem(): string {
    return this.#lastProblem;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #live(): Promise<void> {
    const { signal } = this.#stopping;
    let number = 0;
    while (!signal.aborted) {
      const input = new PassThrough();
      const life = this.#run(input);
      let hasEnded = false;
      const end = life.then(() => {
        hasEnded = true;
      });
      while (!hasEnded && !signal.aborted) {
        number += 1;
        this.#open.set(number, systemClock.nowMs());
        input.write(`${number}\n`);
        this.#giveUpOn();
        await systemClock.sleep(this.#options.everyMs, signal).catch(() => undefined);
      }
      input.end();
      await end;
      // Nobody is left who could answer them.
      for (const [open, startMs] of this.#open) this.#note(open, { startMs, endMs: systemClock.nowMs(), isAnswered: false, text: this.#lastProblem || 'the client has ended' }, signal.aborted);
      await systemClock.sleep(RESTART_MS, signal).catch(() => undefined);
    }
  }

  async #run(input: PassThrough): Promise<void> {
    const { host, podAddress, url, timeoutMs } = this.#options;
    const seconds = String(timeoutMs / 1000);
    const words = podAddress === undefined ? ['sh', '-c', ASK, 'sh', seconds, url] : ['sh', '-c', ASK_IN_POD, 'sh', seconds, url, podAddress, ASK];
    try {
      const { stderr } = await this.#cluster.onHost(host, words, { input, timeoutMs: LONGEST_MS, signal: this.#stopping.signal, onLine: (line) => this.#answer(line) });
      this.#lastProblem = stderr.trim().split('\n').at(-1) ?? '';
    } catch (error) {
      if (!(error instanceof UserError)) throw error; // the host is down
      this.#lastProblem = error.message;
    }
  }

  #answer(line: string): void {
    const [number = 0, exit = 1, status = 0] = line.split(' ').map(Number);
    const startMs = this.#open.get(number);
    if (startMs === undefined) return; // given up on
    const isAnswered = exit === 0 && status > 0 && status < 500;
    this.#note(number, { startMs, endMs: systemClock.nowMs(), isAnswered, text: exit === 0 ? `HTTP ${status}` : curlProblem(exit) });
  }

  #giveUpOn(): void {
    const beforeMs = systemClock.nowMs() - this.#options.timeoutMs - SLACK_MS;
    for (const [number, startMs] of this.#open) if (startMs < beforeMs) this.#note(number, { startMs, endMs: systemClock.nowMs(), isAnswered: false, text: 'no answer' });
  }

  #note(number: number, attempt: Attempt, isLast = false): void {
    this.#open.delete(number);
    if (!isLast) this.attempts.note(attempt);
  }
}
