// Watches whether the runtime answers and whether it has a pod network. Source: pkg/kubelet/runtime.go, updateRuntimeUp.
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Runtime } from './runtime.ts';

/** Milliseconds. Source: kubelet.go runs updateRuntimeUp every 5 s; every 100 ms until the node is ready. */
const LOOK_MS = 5_000;
const FAST_LOOK_MS = 100;
/** Without an answer for so long the runtime counts as down. Milliseconds. Source: maxWaitForContainerRuntime. */
const DOWN_AFTER_MS = 30_000;

export interface RuntimeHealthOptions extends Environment {
  readonly runtime: Runtime;
  /** What is said has changed. */
  readonly onChange: () => void;
  readonly signal: AbortSignal;
}

export class RuntimeHealth {
  readonly #options: RuntimeHealthOptions;
  #lastAnswerMs = 0;
  #runtimeProblem: string | undefined = 'container runtime status check may not have completed yet';
  #networkProblem: string | undefined = 'container runtime network not ready: container runtime status check may not have completed yet';
  #hasBeenReady = false;
  #firstLook: (() => void) | undefined;
  readonly #looked: Promise<void>;

  constructor(options: RuntimeHealthOptions) {
    this.#options = options;
    this.#looked = new Promise((resolve) => (this.#firstLook = resolve));
  }

  /** Resolves when the runtime has answered once. */
  answered(): Promise<void> {
    return this.#looked;
  }

  problems(): string[] {
    return [this.#runtimeProblem, this.#networkProblem].filter((problem) => problem !== undefined);
  }
  networkProblem(): string | undefined {
    return this.#networkProblem;
  }

  async run(): Promise<void> {
    const { clock, signal, onChange } = this.#options;
    while (!signal.aborted) {
      const before = this.problems().join();
      await this.#look();
      if (this.problems().join() !== before) onChange();
      this.#hasBeenReady ||= this.problems().length === 0;
      await clock.sleep(this.#hasBeenReady && this.problems().length === 0 ? LOOK_MS : this.#hasBeenReady ? FAST_LOOK_MS * 10 : FAST_LOOK_MS, signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { runtime, clock, log, signal } = this.#options;
    try {
      if (runtime.identity.version === '') await runtime.identify();
      const { status } = await runtime.cri.status({}, { timeoutMs: 10_000, signal });
      const find = (type: string): { status: boolean; reason: string; message: string } | undefined => status?.conditions.find((one) => one.type === type);
      const text = (type: string): string => `${type}=${String(find(type)?.status ?? false)} reason:${find(type)?.reason ?? ''} message:${find(type)?.message ?? ''}`;
      this.#lastAnswerMs = steadily(clock).nowMs();
      this.#runtimeProblem = find('RuntimeReady')?.status === true ? undefined : `container runtime not ready: ${text('RuntimeReady')}`;
      this.#networkProblem = find('NetworkReady')?.status === true ? undefined : `container runtime network not ready: ${text('NetworkReady')}`;
      this.#firstLook?.();
    } catch (error) {
      if (signal.aborted) return;
      log.debug({ err: error }, 'container runtime does not answer');
      if (this.#lastAnswerMs !== 0 && steadily(clock).nowMs() - this.#lastAnswerMs > DOWN_AFTER_MS) this.#runtimeProblem = 'container runtime is down';
    }
  }
}
