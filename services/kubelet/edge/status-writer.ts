// Brings the statuses of pods to the API server: only differences, newest last, and the final delete of a pod whose
// containers are gone. Source: pkg/kubelet/status/status_manager.go.
import { context, trace, type Link } from '@opentelemetry/api';
import type { Environment } from '#lib/environment/environment.ts';
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Pod, PodStatus } from '#lib/kinds/types/core-v1.ts';
import { isConflict, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { inSpan } from '#lib/tracing/in-span.ts';
import { fullNameOf, isMirrorPod, isStaticPod, namespaceOf, uidOf } from '../core/pod-spec.ts';
import { statusPatch } from '../core/status-patch.ts';

const tracer = trace.getTracer('k8s.io/kubernetes/pkg/kubelet');

/** First and longest wait after a write that failed. Milliseconds; upstream comes back with every 10 s sync. */
const RETRY_FIRST_MS = 250;
const RETRY_LONGEST_MS = 10_000;

export interface StatusWriterOptions extends Environment {
  readonly api: ApiClient;
  /** The pod as the API server has it: the mirror pod for a static one. undefined: it has none. */
  readonly apiPod: (pod: Pod) => Pod | undefined;
  /** Whether nothing of the pod is left on this node. */
  readonly isFinished: (uid: string) => boolean;
  readonly signal: AbortSignal;
}

interface Entry {
  pod: Pod;
  status: PodStatus;
  isWriting: boolean;
  isWanted: boolean;
  failures: number;
  /** What the server answered to our last write, until the watch brings it. */
  written: Pod | undefined;
  isDeleted: boolean;
  timer: NodeJS.Timeout | undefined;
  /** In traces: the work that the status came of. */
  cause: Link | undefined;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => {
      for (const { timer } of this.#entries.values()) clearTimeout(timer);
    }, { once: true });
  }

  /** The newest status of a pod, written or not. */
  get(uid: string): PodStatus | undefined {
    return this.#entries.get(uid)?.status;
  }

  set(pod: Pod, status: PodStatus): void {
    const uid = uidOf(pod);
    const entry = this.#entries.get(uid) ?? { pod, status, isWriting: false, isWanted: false, failures: 0, written: undefined, isDeleted: false, timer: undefined, cause: undefined };
    entry.pod = pod;
    entry.status = status;
    const active = trace.getSpan(context.active());
    entry.cause = active?.isRecording() === true ? { context: active.spanContext() } : undefined;
    this.#entries.set(uid, entry);
    this.wake(uid);
  }

  /** Compares with what the server has and writes the difference: the server's copy changed, or the pod is finished. */
  wake(uid: string): void {
    const entry = this.#entries.get(uid);
    if (!entry || this.#options.signal.aborted) return;
    entry.isWanted = true;
    if (entry.isWriting || entry.timer) return;
    void this.#drain(uid, entry);
  }
  wakeAll(): void {
    for (const uid of this.#entries.keys()) this.wake(uid);
  }

  forget(uid: string): void {
    clearTimeout(this.#entries.get(uid)?.timer);
    this.#entries.delete(uid);
  }

  async #drain(uid: string, entry: Entry): Promise<void> {
    const { log, signal } = this.#options;
    entry.isWriting = true;
    try {
      while (entry.isWanted && !signal.aborted) {
        entry.isWanted = false;
        await this.#inSpan(uid, entry);
        entry.failures = 0;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      entry.isWanted = true;
      const delayMs = Math.min(RETRY_FIRST_MS * 2 ** entry.failures, RETRY_LONGEST_MS);
      entry.failures += 1;
      if (entry.failures === 1 || error instanceof StatusError) log.warn({ err: error, pod: fullNameOf(entry.pod) }, 'cannot write pod status, trying again');
      entry.timer = setTimeout(() => {
        entry.timer = undefined;
        this.wake(uid);
      }, delayMs);
    } finally {
      entry.isWriting = false;
    }
  }

  #inSpan(uid: string, entry: Entry): Promise<void> {
    const { namespace, name, resourceVersion } = newer(this.#options.apiPod(entry.pod) ?? entry.pod, entry.written).metadata;
    return inSpan(tracer, 'syncPodStatus', {
      root: true, onlyIfFollowed: true, ...(entry.cause ? { links: [entry.cause] } : {}),
      attributes: {
        [attribute.resource]: 'pods', [attribute.namespace]: namespace, [attribute.podName]: name, [attribute.objectName]: name, [attribute.podUid]: uid, [attribute.uid]: uid,
        [attribute.versionRead]: resourceVersion,
      },
    }, () => this.#write(uid, entry));
  }

  async #write(uid: string, entry: Entry): Promise<void> {
    const { api, apiPod, signal, log } = this.#options;
    const known = apiPod(entry.pod);
    if (!known || entry.isDeleted) return;
    const isMirrored = isStaticPod(entry.pod) && !isMirrorPod(entry.pod);
    if (!isMirrored && uidOf(known) !== uid) return; // another pod has taken the name
    const current = newer(known, entry.written);
    const { status } = entry;
    const patch = statusPatch(current.status ?? {}, status);
    try {
      if (patch) {
        entry.written = await api.patch(podKind, namespaceOf(known), known.metadata.name,
          { metadata: { uid: uidOf(known) }, status: patch }, { type: 'strategic', subresource: 'status', signal });
        log.debug({ pod: fullNameOf(entry.pod), phase: status.phase }, 'wrote pod status');
      }
      // The last word first: with a newer status there is another round.
      if (entry.status === status) await this.#deleteWhenFinished(uid, entry, known);
    } catch (error) {
      // Gone, or another one under this name: nothing left to tell. The watch will say so, too.
      if (isNotFound(error) || isConflict(error)) return;
      throw error;
    }
  }

  async #deleteWhenFinished(uid: string, entry: Entry, known: Pod): Promise<void> {
    const { api, isFinished, signal, log } = this.#options;
    if (known.metadata.deletionTimestamp === undefined || isMirrorPod(known) || !isFinished(uid)) return;
    await api.delete(podKind, namespaceOf(known), known.metadata.name, { gracePeriodSeconds: 0, preconditions: { uid } }, { signal });
    entry.isDeleted = true;
    log.info({ pod: fullNameOf(entry.pod) }, 'deleted pod: nothing of it is left here');
  }
}

function newer(known: Pod, written: Pod | undefined): Pod {
  if (!written || uidOf(written) !== uidOf(known)) return known;
  // Versions are opaque to others; between two answers of one server about one object the larger is the later.
  return BigInt(written.metadata.resourceVersion ?? '0') > BigInt(known.metadata.resourceVersion ?? '0') ? written : known;
}
