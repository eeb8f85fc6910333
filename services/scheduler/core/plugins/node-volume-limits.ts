// A node takes only so many volumes of a CSI driver as its CSINode says. Source: plugins/nodevolumelimits.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { claimsOfPod, classNameOf } from '#lib/machinery/volume-binding.ts';
import { unschedulable, type Plugin } from '../framework.ts';
import type { Storage } from '../storage.ts';

const NAME = 'NodeVolumeLimits';

/** Volumes of CSI drivers that the pod uses: `driver` by what is unique to each. */
function csiVolumesOf(pod: Pod, storage: Storage): Map<string, string> {
  const volumes = new Map<string, string>();
  const { namespace = '' } = pod.metadata;
  for (const { claimName } of claimsOfPod(pod)) {
    const claim = storage.claim(namespace, claimName);
    if (!claim) continue;
    const volume = storage.volume(claim.spec.volumeName ?? '');
    if (volume?.spec.csi) volumes.set(`${volume.spec.csi.driver}/${volume.spec.csi.volumeHandle}`, volume.spec.csi.driver);
    else if (!volume) {
      const provisioner = storage.storageClass(classNameOf(claim))?.provisioner;
      if (provisioner !== undefined) volumes.set(`${provisioner}/${namespace}/${claimName}`, provisioner);
    }
  }
  return volumes;
}

export const nodeVolumeLimits: Plugin = {
  name: NAME,
  retryOn: ['CSINode/Add', 'CSINode/Update', 'AssignedPod/Delete', 'PersistentVolumeClaim/Add', 'VolumeAttachment/Delete'],
  prepareFilter: (pod, { storage }) => {
    const wanted = csiVolumesOf(pod, storage);
    if (wanted.size === 0) return undefined;
    return {
      filter: ({ name, pods }) => {
        const limits = new Map((storage.csiNode(name)?.spec.drivers ?? []).map((driver) => [driver.name, driver.allocatable?.count]));
        if (![...wanted.values()].some((driver) => limits.get(driver) !== undefined)) return undefined;
        const used = new Map(pods.flatMap((other) => [...csiVolumesOf(other, storage)]));
        const count = (volumes: Iterable<string>, driver: string): number => [...volumes].filter((one) => one === driver).length;
        const added = new Map([...wanted].filter(([id]) => !used.has(id)));
        for (const driver of new Set(added.values())) {
          const limit = limits.get(driver);
          if (limit !== undefined && count(used.values(), driver) + count(added.values(), driver) > limit) return unschedulable(NAME, 'node(s) exceed max volume count');
        }
        return undefined;
      },
    };
  },
};
