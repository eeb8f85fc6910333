// All pods of this node: which there should be by their sources, and a worker for each.
import { isMirrorPod, fullNameOf, isStaticPod, uidOf } from '../core/pod-spec.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { Refusal } from '../core/admission.ts';
import { PodWorker, type WorkerServices } from './pod-worker.ts';

export interface PodWorkersOptions {
  readonly services: WorkerServices;
  readonly admit: (pod: Pod, others: readonly Pod[]) => Refusal | undefined;
  /** Ends a pod at once to make way for a critical one. */
  readonly preempt: (victim: PodWorker) => void;
  /** A pod that no source has is finished: what the runtime has of it may go. */
  readonly onGone: (uid: string) => void;
}

export class PodWorkers {
  readonly #options: PodWorkersOptions;
  readonly #workers = new Map<string, PodWorker>();
  /** Static pods that wait for their predecessor of the same name (or their own earlier life) to end. */
  readonly #waiting = new Map<string, Pod>();

  constructor(options: PodWorkersOptions) {
    this.#options = options;
  }

  get(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }
  all(): PodWorker[] {
    return [...this.#workers.values()];
  }
  byName(namespace: string, name: string): PodWorker | undefined {
    const all = this.all().filter(({ pod }) => pod.metadata.name === name && (pod.metadata.namespace ?? 'default') === namespace);
    return all.find(({ isRemoved }) => !isRemoved) ?? all[0];
  }
  /** The static pod of this name, if one is wanted. */
  staticByName(fullName: string): PodWorker | undefined {
    return this.all().find(({ pod, isRemoved }) => !isRemoved && isStaticPod(pod) && fullNameOf(pod) === fullName);
  }

  /** A source has this pod. */
  apply(pod: Pod): void {
    const known = this.#workers.get(uidOf(pod));
    if (known && !known.isRemoved) return known.update(pod);
    if (isStaticPod(pod) && !isMirrorPod(pod) && this.all().some((worker) => isStaticPod(worker.pod) && fullNameOf(worker.pod) === fullNameOf(pod))) {
      this.#waiting.set(fullNameOf(pod), pod);
      return;
    }
    if (known) return; // the API server never uses a uid twice: a late event
    this.#start(pod);
  }

  #start(pod: Pod): void {
    const { services, admit } = this.#options;
    const worker = new PodWorker(pod, services);
    const others = this.all().filter(({ stage }) => stage === 'syncing').map((one) => one.allocatedPod);
    this.#workers.set(uidOf(pod), worker);
    const isOver = pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
    const refusal = isOver ? undefined : admit(pod, others);
    if (refusal?.victims) {
      for (const victim of refusal.victims) {
        const other = this.#workers.get(uidOf(victim));
        if (other) this.#options.preempt(other);
      }
      worker.update(pod);
    } else if (refusal) {
      services.onEvent(pod, undefined, 'Warning', refusal.reason, refusal.message);
      services.log.warn({ pod: fullNameOf(pod), ...refusal }, 'refused pod');
      worker.end({ ...refusal, isRejected: true });
    } else {
      worker.update(pod);
    }
  }

  /** No source has this pod any more. `last`: as it was when it went. */
  remove(last: Pod): void {
    const worker = this.#workers.get(uidOf(last));
    if (this.#waiting.get(fullNameOf(last)) && uidOf(this.#waiting.get(fullNameOf(last)) ?? last) === uidOf(last)) this.#waiting.delete(fullNameOf(last));
    if (!worker) return;
    worker.remove(last);
    if (worker.stage === 'finished') this.forget(worker);
  }

  /** Called when a worker has finished. */
  finished(worker: PodWorker): void {
    if (worker.isRemoved) this.forget(worker);
  }

  forget(worker: PodWorker): void {
    this.#workers.delete(worker.uid);
    this.#options.services.statuses.forget(worker.uid);
    this.#options.onGone(worker.uid);
    const fullName = fullNameOf(worker.pod);
    const next = this.#waiting.get(fullName);
    if (!next) return;
    this.#waiting.delete(fullName);
    this.apply(next);
  }
}
