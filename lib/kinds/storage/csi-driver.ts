// CSIDriver of storage.k8s.io/v1: what a storage driver wants of the cluster.
import { ageColumn, joined, nameColumn, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { CSIDriver, CSIDriverSpec } from '../types/storage-v1.ts';

function applyDefaults(driver: CSIDriver): void {
  // A body may leave out what the type requires.
  const spec = (driver.spec ??= {});
  spec.attachRequired ??= true;
  spec.podInfoOnMount ??= false;
  spec.storageCapacity ??= false;
  spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
  if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ['Persistent'];
  spec.requiresRepublish ??= false;
  spec.seLinuxMount ??= false;
}

const tokensText = ({ tokenRequests }: CSIDriverSpec): string => (tokenRequests === undefined ? '<unset>' : joined(tokenRequests.map(({ audience }) => audience)));

export const csiDriverKind = defineKind<CSIDriver>({
  group: 'storage.k8s.io', version: 'v1', kind: 'CSIDriver', plural: 'csidrivers', singular: 'csidriver', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.CSIDriver',
  storageVersionHash: 'hL6j/rwBV5w=',
  applyDefaults,
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn(),
    { name: 'AttachRequired', type: 'boolean', value: ({ spec }) => spec.attachRequired ?? true },
    { name: 'PodInfoOnMount', type: 'boolean', value: ({ spec }) => spec.podInfoOnMount ?? false },
    { name: 'StorageCapacity', type: 'boolean', value: ({ spec }) => spec.storageCapacity ?? false },
    textColumn('TokenRequests', ({ spec }) => tokensText(spec)),
    { name: 'RequiresRepublish', type: 'boolean', value: ({ spec }) => spec.requiresRepublish ?? false },
    textColumn('Modes', ({ spec }) => orNone(joined(spec.volumeLifecycleModes))),
    ageColumn(),
  ],
});
