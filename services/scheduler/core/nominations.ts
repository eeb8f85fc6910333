// Which node each waiting pod has been promised, once the pods that preemption took from it are gone.
// Source: pkg/scheduler/backend/queue/nominator.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';

export class Nominations {
  readonly #byPod = new Map<string, { readonly pod: Pod; readonly nodeName: string }>();

  /** As the server shows the pod now and showed it before. A promise that it has not seen yet stays. */
  observe(pod: Pod, previous: Pod | undefined): void {
    const uid = pod.metadata.uid ?? '';
    const nodeName = pod.status?.nominatedNodeName ?? '';
    const isTaken = nodeName === '' && (previous?.status?.nominatedNodeName ?? '') !== '';
    const known = this.#byPod.get(uid);
    if (nodeName !== '') this.#byPod.set(uid, { pod, nodeName });
    else if (isTaken) this.#byPod.delete(uid);
    else if (known) this.#byPod.set(uid, { pod, nodeName: known.nodeName });
  }
  promise(pod: Pod, nodeName: string): void {
    this.#byPod.set(pod.metadata.uid ?? '', { pod, nodeName });
  }
  remove({ metadata }: Pod): void {
    this.#byPod.delete(metadata.uid ?? '');
  }
  of(pod: Pod): string | undefined {
    return this.#byPod.get(pod.metadata.uid ?? '')?.nodeName;
  }
  on(nodeName: string): Pod[] {
    return [...this.#byPod.values()].flatMap((one) => (one.nodeName === nodeName ? [one.pod] : []));
  }
}
