// Keeps a claim that is being deleted as long as a pod on a node uses it.
// Source: pkg/controller/volume/pvcprotection.
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { objectPath } from '#lib/api-client/client.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import { claimsOfPod, foreignClaimProblem } from '#lib/machinery/volume-binding.ts';
import { isTerminal } from '../../core/pod-state.ts';
import { PODS_BY_CLAIM, podsByClaim } from '../persistentvolume-binder/controller.ts';

const FINALIZER = 'kubernetes.io/pvc-protection';

const isOnNode = ({ spec }: Readonly<Pod>): boolean => (spec.nodeName ?? '') !== '';
/** The kubelet has let go of it, or it was deleted by force. */
const isShutDown = ({ metadata }: Readonly<Pod>): boolean => metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0;

/** A pod without a node does not count: the kubelet starts none whose claim is being deleted. One that has ended counts until it is deleted. */
export function usesClaim(pod: Readonly<Pod>, claim: Readonly<PersistentVolumeClaim>): boolean {
  return isOnNode(pod) && claimsOfPod(pod).some(({ claimName, isEphemeral }) =>
    claimName === claim.metadata.name && (!isEphemeral || (!isShutDown(pod) && foreignClaimProblem(pod, claim) === undefined)));
}

export const persistentVolumeClaimProtection = (): Controller => defineController({
  name: 'persistentvolumeclaim-protection-controller',
  serviceAccount: 'pvc-protection-controller',
  queueName: 'pvcprotection',
  reconciles: persistentVolumeClaimKind,
  isRelevantUpdate: ({ metadata }) => metadata.deletionTimestamp !== undefined || !metadata.finalizers?.includes(FINALIZER),
  indexes: [podsByClaim],
  reads: [anyKind(podKind)],
  alsoWatches: [mapped(podKind, (pod) => claimsOfPod(pod).map(({ claimName }) => `${pod.metadata.namespace ?? ''}/${claimName}`),
    { isRelevantUpdate: (next, previous) => next.metadata.uid !== previous.metadata.uid || isTerminal(next) || !isOnNode(next) })],
  async reconcile({ namespace, name }, { cache, api }) {
    const claim = cache.get(persistentVolumeClaimKind, namespace, name);
    if (!claim) return done;
    const { finalizers = [], deletionTimestamp } = claim.metadata;
    const isProtected = finalizers.includes(FINALIZER);
    const write = (next: string[]): Promise<unknown> => api.update(persistentVolumeClaimKind, { ...claim, metadata: { ...claim.metadata, finalizers: next } });
    if (deletionTimestamp === undefined) {
      if (!isProtected) await write([...finalizers, FINALIZER]); // admission does so for new claims
      return done;
    }
    if (!isProtected || cache.byIndex(podKind, PODS_BY_CLAIM, `${namespace}/${name}`).some((pod) => usesClaim(pod, claim))) return done;
    // A live list: the cache may not know yet of a pod that has just been given its node.
    const { items } = await api.request<{ items?: Pod[] | null }>('GET', objectPath(podKind, namespace));
    if (!(items ?? []).some((pod) => usesClaim(pod, claim))) await write(finalizers.filter((one) => one !== FINALIZER));
    return done;
  },
});
