// A pod goes only into the zone and region that the labels of its volumes name. Source: plugins/volumezone.
import { claimsOfPod, classNameOf, waitsForConsumer } from '#lib/machinery/volume-binding.ts';
import { unresolvable, type Plugin } from '../framework.ts';

const NAME = 'VolumeZone';
/** Older names stand for the newer ones. */
const LABELS: Readonly<Record<string, string>> = {
  'topology.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region': 'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
};

interface Demand {
  readonly label: string;
  /** The label's value lists several, joined by `__`. */
  readonly values: readonly string[];
}

export const volumeZone: Plugin = {
  name: NAME,
  retryOn: ['StorageClass/Add', 'PersistentVolumeClaim/Add', 'PersistentVolumeClaim/Update', 'PersistentVolume/Add', 'PersistentVolume/Update', 'Node/Add', 'Node/UpdateLabel'],
  prepareFilter: (pod, { storage }) => {
    const demands: Demand[] = [];
    for (const { claimName } of claimsOfPod(pod)) {
      const claim = storage.claim(pod.metadata.namespace ?? '', claimName);
      if (!claim) return unresolvable(NAME, `persistentvolumeclaim "${claimName}" not found`);
      const volumeName = claim.spec.volumeName ?? '';
      if (volumeName === '') {
        if (waitsForConsumer(storage.storageClass(classNameOf(claim)))) continue;
        return unresolvable(NAME, 'PersistentVolume had no name');
      }
      const volume = storage.volume(volumeName);
      if (!volume) return unresolvable(NAME, `persistentvolume "${volumeName}" not found`);
      for (const [key, value] of Object.entries(volume.metadata.labels ?? {})) {
        const label = LABELS[key];
        if (label !== undefined) demands.push({ label, values: value.split('__') });
      }
    }
    if (demands.length === 0) return undefined;
    return {
      filter: ({ node }) => {
        const labels = node?.metadata.labels ?? {};
        const isPlaced = Object.entries(LABELS).some(([older, newer]) => (labels[newer] ?? labels[older]) !== undefined);
        if (!isPlaced) return undefined; // a cluster without zones
        const holds = demands.every(({ label, values }) => values.includes(labels[label] ?? labels[label.replace('topology.', 'failure-domain.beta.')] ?? ''));
        return holds ? undefined : unresolvable(NAME, 'node(s) had no available volume zone');
      },
    };
  },
};
