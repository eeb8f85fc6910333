// Makes the claims of pods' ephemeral volumes; the garbage collector deletes them with their pod.
// Source: pkg/controller/volume/ephemeral.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { defineController, done, mapped, retryAfterMs, type Controller } from '#lib/controller/define-controller.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { controllerOf, controllerReference } from '#lib/machinery/controller-ref.ts';
import { ephemeralClaimName, foreignClaimProblem } from '#lib/machinery/volume-binding.ts';

/** Until a claim of that name that is not the pod's is looked at again; milliseconds. */
const RETRY_MS = 15_000;

export const ephemeralVolumeController = (): Controller => defineController({
  name: 'ephemeral-volume-controller',
  eventSource: 'ephemeral_volume',
  queueName: 'ephemeral_volume',
  reconciles: podKind,
  isRelevantUpdate: () => false, // the volumes of a pod do not change
  alsoWatches: [mapped(persistentVolumeClaimKind, (claim) => {
    const owner = controllerOf(claim);
    return owner?.kind === 'Pod' && owner.apiVersion === 'v1' ? [`${claim.metadata.namespace ?? ''}/${owner.name}`] : [];
  }, { isRelevantUpdate: () => false })],
  async reconcile({ namespace, name }, { cache, api, events }) {
    const pod = cache.get(podKind, namespace, name);
    if (!pod || pod.metadata.deletionTimestamp !== undefined) return done;
    let isBlocked = false;
    for (const { name: volume, ephemeral } of pod.spec.volumes ?? []) {
      const template = ephemeral?.volumeClaimTemplate;
      if (!template) continue;
      const claimName = ephemeralClaimName(name, volume);
      const known = cache.get(persistentVolumeClaimKind, namespace, claimName);
      const problem = known && foreignClaimProblem(pod, known);
      if (problem !== undefined) {
        events.event(referenceTo(pod), 'Warning', 'FailedBinding', `ephemeral volume ${volume}: ${problem}`);
        isBlocked = true;
        continue;
      }
      if (known) continue;
      await api.create(persistentVolumeClaimKind, {
        metadata: { name: claimName, namespace, labels: template.metadata?.labels, annotations: template.metadata?.annotations, ownerReferences: [controllerReference(pod, podKind)] },
        spec: template.spec,
      });
    }
    return isBlocked ? retryAfterMs(RETRY_MS) : done;
  },
});
