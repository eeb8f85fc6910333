// Shows static pods in the API: a mirror pod for each, made again when someone deletes it or the manifest changes.
// Source: pkg/kubelet/pod/mirror_client.go.
import type { Environment } from '#lib/environment/environment.ts';
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { isAlreadyExists, isConflict, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { fullNameOf, isMirrorPod, namespaceOf, uidOf } from '../core/pod-spec.ts';
import { isMirrorOf, mirrorPodOf } from '../core/static-pod.ts';

export interface MirrorPodsOptions extends Environment {
  readonly api: ApiClient;
  readonly apiPod: (namespace: string, name: string) => Pod | undefined;
  readonly isSynced: () => boolean;
  readonly node: () => Node | undefined;
  /** Has the pod looked at again, if it is still there: that comes back here. */
  readonly retry: (pod: Pod) => void;
  readonly signal: AbortSignal;
}

const RETRY_MS = 1_000;

export class MirrorPods {
  readonly #options: MirrorPodsOptions;
  readonly #busy = new Set<string>();
  /** Asked for while an earlier one of the name was under way. */
  readonly #missed = new Map<string, Pod>();

  constructor(options: MirrorPodsOptions) {
    this.#options = options;
  }

  /** Never waits; comes back by itself while the server cannot be reached. */
  keep(pod: Pod): void {
    const { isSynced, node, retry, log, clock, signal } = this.#options;
    const name = fullNameOf(pod);
    if (!isSynced() || !node()?.metadata.uid || signal.aborted) return;
    if (this.#busy.has(name)) {
      this.#missed.set(name, pod);
      return;
    }
    this.#busy.add(name);
    void this.#keepOne(pod).catch(async (error: unknown) => {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      log.warn({ err: error, pod: name }, 'cannot keep mirror pod, trying again');
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      // No server, or one that knows more than what has been heard of it yet. What else was refused waits for the pod's next look.
      if ((error instanceof TransportError || isConflict(error)) && !this.#missed.has(name)) this.#missed.set(name, pod);
    }).finally(() => {
      this.#busy.delete(name);
      const missed = this.#missed.get(name);
      this.#missed.delete(name);
      if (missed && !signal.aborted) retry(missed);
    });
  }

  async #keepOne(pod: Pod): Promise<void> {
    const { api, apiPod, node, log, signal } = this.#options;
    const known = apiPod(namespaceOf(pod), pod.metadata.name);
    const owner = node();
    if (!owner) return;
    if (known && isMirrorPod(known) && isMirrorOf(known, pod) && known.metadata.deletionTimestamp === undefined) return;
    if (known && !isMirrorPod(known)) return; // someone's own pod under this name: not ours to touch
    if (known) await this.delete(known);
    try {
      await api.create(podKind, mirrorPodOf(pod, { name: owner.metadata.name, uid: uidOf(owner as unknown as Pod) }), { signal });
      log.info({ pod: fullNameOf(pod) }, 'created mirror pod');
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  async delete(mirror: Pod): Promise<void> {
    const { api, signal } = this.#options;
    try {
      await api.delete(podKind, namespaceOf(mirror), mirror.metadata.name, { gracePeriodSeconds: 0, preconditions: { uid: uidOf(mirror) } }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
