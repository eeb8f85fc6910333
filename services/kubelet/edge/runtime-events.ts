// Learns what changes in the runtime: from its stream of events, or where there is none by listing all every second.
// Source: pkg/kubelet/pleg (generic.go, evented.go).
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { isUnimplemented } from '#lib/cri/client.ts';
import { LABEL } from '../core/runtime-config.ts';
import type { PodListing, Runtime } from './runtime.ts';

/** Milliseconds. Source: genericPlegRelistPeriod, eventedPlegRelistPeriod. */
const RELIST_MS = 1_000;
const RELIST_WITH_STREAM_MS = 60_000;
/** No successful look for so long: the node is not ready. Milliseconds. Source: genericPlegRelistThreshold. */
const UNHEALTHY_MS = 180_000;
const RECONNECT_MS = 200;

export interface RuntimeEventsOptions extends Environment {
  readonly runtime: Runtime;
  /** Something happened to a pod. */
  readonly onPod: (uid: string) => void;
  /** All that the runtime has, after each look at everything. */
  readonly onList: (pods: ReadonlyMap<string, PodListing>) => void;
  readonly signal: AbortSignal;
}

export class RuntimeEvents {
  readonly #options: RuntimeEventsOptions;
  #fingerprints = new Map<string, string>();
  #hasStream = false;
  #listedMs: number;
  #wakeLister: (() => void) | undefined;

  constructor(options: RuntimeEventsOptions) {
    this.#options = options;
    this.#listedMs = steadily(options.clock).nowMs();
  }

  /** Why the node is not ready because of this; undefined: all is well. */
  problem(): string | undefined {
    const silentMs = steadily(this.#options.clock).nowMs() - this.#listedMs;
    if (silentMs < UNHEALTHY_MS) return undefined;
    return `PLEG is not healthy: pleg was last seen active ${Math.floor(silentMs / 1000)}s ago; threshold is 3m0s`;
  }

  async run(): Promise<void> {
    await Promise.all([this.#stream(), this.#list()]);
  }

  async #stream(): Promise<void> {
    const { runtime, clock, log, onPod, signal } = this.#options;
    const podOfContainer = new Map<string, string>();
    while (!signal.aborted) {
      const opened = clock.sleep(RELIST_MS, signal).then(() => {
        this.#hasStream = true;
        this.listNow(); // what happened before the stream was there
      }, () => undefined);
      try {
        for await (const event of runtime.cri.containerEvents(signal)) {
          this.#hasStream = true;
          const uid = event.podSandboxStatus?.labels[LABEL.podUid] ?? event.containersStatuses[0]?.labels[LABEL.podUid] ?? podOfContainer.get(event.containerId);
          if (uid === undefined) continue;
          if (event.containerEventType === 'CONTAINER_DELETED_EVENT') podOfContainer.delete(event.containerId);
          else podOfContainer.set(event.containerId, uid);
          onPod(uid);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (isUnimplemented(error)) {
          log.info('the runtime has no container events: listing every second');
          await opened;
          this.#hasStream = false;
          return;
        }
        log.debug({ err: error }, 'container events were cut off');
      }
      this.#hasStream = false;
      this.listNow();
      await clock.sleep(RECONNECT_MS, signal).catch(() => undefined);
    }
  }

  /** Looks at everything soon. */
  listNow(): void {
    this.#wakeLister?.();
  }

  async #list(): Promise<void> {
    const { runtime, clock, log, onPod, onList, signal } = this.#options;
    while (!signal.aborted) {
      try {
        const pods = await runtime.list();
        this.#listedMs = steadily(clock).nowMs();
        for (const [uid, { fingerprint }] of pods) if (this.#fingerprints.get(uid) !== fingerprint) onPod(uid);
        for (const uid of this.#fingerprints.keys()) if (!pods.has(uid)) onPod(uid);
        this.#fingerprints = new Map([...pods].map(([uid, { fingerprint }]) => [uid, fingerprint]));
        onList(pods);
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, 'cannot list what the runtime has');
      }
      await this.#pause(this.#hasStream ? RELIST_WITH_STREAM_MS : RELIST_MS);
    }
  }

  #pause(durationMs: number): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wakeLister = undefined;
        resolve();
      };
      const timer = setTimeout(done, durationMs);
      this.#wakeLister = done;
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}
