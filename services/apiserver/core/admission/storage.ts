// Three plugins for storage: a claim without a class gets the default one, what is in use is not deleted at once, and a
// claim grows only where its class can do it.
// Source: plugin/pkg/admission/storage/{storageclass/setdefault,storageobjectinuseprotection,persistentvolume/resize}.
import { storageClassKind } from '#lib/kinds/storage/storage-class.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';
import { compareQuantities } from '#lib/machinery/quantity.ts';
import type { ObjectReader } from '../object-reader.ts';
import { isKind, refusal, type AdmissionPlugin } from './admission.ts';

const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
const DEFAULT_ANNOTATIONS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class'] as const;
const PROTECTION = { PersistentVolume: 'kubernetes.io/pv-protection', PersistentVolumeClaim: 'kubernetes.io/pvc-protection' } as const;

/** Of several defaults the newest counts; of equally new ones the first by name. */
export function newestDefault<T extends KubernetesObject>(all: readonly T[], annotations: readonly string[]): T | undefined {
  return all.filter(({ metadata }) => annotations.some((key) => metadata.annotations?.[key] === 'true'))
    .sort((a, b) => (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '') || (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}

const classOf = ({ metadata, spec }: Readonly<PersistentVolumeClaim>): string | undefined => metadata.annotations?.[CLASS_ANNOTATION] ?? spec?.storageClassName;

export function defaultStorageClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DefaultStorageClass',
    admit: (attributes) => {
      if (attributes.operation !== 'CREATE' || attributes.subresource !== '' || !isKind(attributes, '', 'PersistentVolumeClaim')) return;
      const claim = attributes.object as PersistentVolumeClaim;
      if (!claim.spec || classOf(claim) !== undefined) return;
      const found = newestDefault(objects.listCached(storageClassKind), DEFAULT_ANNOTATIONS);
      if (found) claim.spec.storageClassName = found.metadata.name;
    },
  };
}

export const storageObjectInUseProtection: AdmissionPlugin = {
  name: 'StorageObjectInUseProtection',
  admit: ({ operation, kind, subresource, object }) => {
    if (operation !== 'CREATE' || subresource !== '' || kind.group !== '' || !object) return;
    const finalizer = (PROTECTION as Readonly<Record<string, string | undefined>>)[kind.kind];
    if (finalizer === undefined || object.metadata.finalizers?.includes(finalizer)) return;
    object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer];
  },
};

export function persistentVolumeClaimResize(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PersistentVolumeClaimResize',
    validate: (attributes) => {
      if (attributes.operation !== 'UPDATE' || attributes.subresource !== '' || !isKind(attributes, '', 'PersistentVolumeClaim')) return;
      const [next, previous] = [attributes.object, attributes.previous] as [PersistentVolumeClaim, PersistentVolumeClaim];
      const [size, old] = [next, previous].map(({ spec }) => spec?.resources?.requests?.['storage'] ?? '0') as [string, string];
      if (compareQuantities(size, old) <= 0) return;
      if (previous.status?.phase !== 'Bound') throw refusal(attributes, 'Only bound persistent volume claims can be expanded');
      const name = classOf(next) ?? '';
      const mayGrow = name !== '' && objects.cached(storageClassKind, '', name)?.allowVolumeExpansion === true;
      if (!mayGrow) throw refusal(attributes, 'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize');
    },
  };
}
