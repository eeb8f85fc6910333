// Dynamic volumes as folders of nodes: the objects that the provisioner makes. Not part of kube-controller-manager
// upstream; it stands in for rancher/local-path-provisioner, which kind and k3s install, and makes the same volumes.
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';
import { claimReference, requestedStorage, VOLUME_ANNOTATION } from '#lib/machinery/volume-binding.ts';

export const PROVISIONER = 'kubreak.dev/local-path';
export const HELPER_NAMESPACE = 'kube-system';
/** Where volumes lie on the nodes, unless the class says otherwise by its parameter nodePath. */
const DEFAULT_FOLDER = '/var/lib/local-path-provisioner';
const HELPER_IMAGE = 'busybox';
/** On a helper pod: whom its end concerns, `claim NAMESPACE/NAME` or `volume NAME`. */
const HELPER_FOR = 'local-path.kubreak.dev/for';
const HOSTNAME = 'kubernetes.io/hostname';
/** Keeps a volume that somebody deletes until its folder is gone. Source: sig-storage-lib-external-provisioner. */
const FINALIZER = 'external-provisioner.volume.kubernetes.io/finalizer';
/** A helper pod that has not ended by then counts as failed. Source: local-path-provisioner's helper timeout. */
const HELPER_DEADLINE_SECONDS = 120;

export const volumeNameFor = ({ metadata }: Readonly<PersistentVolumeClaim>): string => `pvc-${metadata.uid ?? ''}`;

export function folderOf(claim: Readonly<PersistentVolumeClaim>, storageClass: Readonly<StorageClass>): string {
  const root = (storageClass.parameters?.['nodePath'] ?? DEFAULT_FOLDER).replace(/\/+$/, '');
  return `${root}/${volumeNameFor(claim)}_${claim.metadata.namespace ?? ''}_${claim.metadata.name}`;
}

/** Why no volume can be made for the claim; undefined: one can. */
export function problemOf({ spec }: Readonly<PersistentVolumeClaim>, node: string | undefined): string | undefined {
  if (spec.selector) return 'claim.Spec.Selector is not supported';
  if (spec.volumeMode === 'Block') return `${PROVISIONER} does not support block volume provisioning`;
  if ((spec.accessModes ?? []).some((mode) => mode !== 'ReadWriteOnce' && mode !== 'ReadWriteOncePod')) return 'NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes';
  return node === undefined ? 'configuration error, no node was specified' : undefined;
}

/** The kubelet makes the folder anew should it be missing: a helper has made it with rights for every user. */
export function volumeFor(claim: Readonly<PersistentVolumeClaim>, storageClass: Readonly<StorageClass>, hostname: string): PersistentVolume {
  return {
    metadata: { name: volumeNameFor(claim), annotations: { [VOLUME_ANNOTATION.provisionedBy]: PROVISIONER }, finalizers: [FINALIZER] },
    spec: {
      accessModes: claim.spec.accessModes,
      capacity: { storage: requestedStorage(claim) },
      claimRef: claimReference(claim),
      hostPath: { path: folderOf(claim, storageClass), type: 'DirectoryOrCreate' },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: HOSTNAME, operator: 'In', values: [hostname] }] }] } },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: storageClass.metadata.name,
      volumeMode: 'Filesystem',
    },
  };
}

/** The host that holds a volume made here. */
export function hostOf({ spec }: Readonly<PersistentVolume>): string | undefined {
  const [term] = spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  return term?.matchExpressions?.find(({ key }) => key === HOSTNAME)?.values?.[0];
}

/** What is to be done about a volume of ours: remove its folder, only let it go, or nothing yet. */
export function removalOf({ metadata, spec, status }: Readonly<PersistentVolume>): 'folder' | 'release' | 'none' {
  if (metadata.annotations?.[VOLUME_ANNOTATION.provisionedBy] !== PROVISIONER) return 'none';
  if (spec.persistentVolumeReclaimPolicy === 'Delete') return status?.phase === 'Released' ? 'folder' : 'none';
  return metadata.deletionTimestamp !== undefined && status?.phase !== 'Bound' && isHeld(metadata) ? 'release' : 'none';
}
const isHeld = ({ finalizers }: PersistentVolume['metadata']): boolean => finalizers?.includes(FINALIZER) ?? false;

/** The volume without our hold on it; undefined when there is none. */
export function letGo(volume: Readonly<PersistentVolume>): PersistentVolume | undefined {
  if (!isHeld(volume.metadata)) return undefined;
  return { ...volume, metadata: { ...volume.metadata, finalizers: volume.metadata.finalizers?.filter((one) => one !== FINALIZER) } };
}

export interface HelperOptions {
  readonly action: 'create' | 'delete';
  readonly volumeName: string;
  readonly folder: string;
  readonly nodeName: string;
  /** `claim NAMESPACE/NAME` or `volume NAME`. */
  readonly concerns: string;
}

export const helperName = (action: 'create' | 'delete', volumeName: string): string => `helper-pod-${action}-${volumeName}`;

/** A pod that makes or removes a folder on its node; it is put there directly, whatever the node's taints. */
export function helperPod({ action, volumeName, folder, nodeName, concerns }: HelperOptions): Pod {
  const [root, name] = [folder.slice(0, folder.lastIndexOf('/')), folder.slice(folder.lastIndexOf('/') + 1)];
  const command = action === 'create' ? ['mkdir', '-m', '0777', '-p', `/volumes/${name}`] : ['rm', '-rf', `/volumes/${name}`];
  return {
    metadata: { name: helperName(action, volumeName), namespace: HELPER_NAMESPACE, annotations: { [HELPER_FOR]: concerns } },
    spec: {
      nodeName,
      restartPolicy: 'Never',
      activeDeadlineSeconds: HELPER_DEADLINE_SECONDS,
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: 'Exists' }],
      automountServiceAccountToken: false,
      volumes: [{ name: 'volumes', hostPath: { path: root, type: 'DirectoryOrCreate' } }],
      containers: [{ name: 'helper-pod', image: HELPER_IMAGE, imagePullPolicy: 'IfNotPresent', command, volumeMounts: [{ name: 'volumes', mountPath: '/volumes' }] }],
    },
  };
}

/** Whom a helper pod works for. */
export function concernOf(pod: Readonly<Pod>): { readonly type: 'claim' | 'volume'; readonly key: string } | undefined {
  if (pod.metadata.namespace !== HELPER_NAMESPACE) return undefined;
  const [type, key] = pod.metadata.annotations?.[HELPER_FOR]?.split(' ') ?? [];
  return (type === 'claim' || type === 'volume') && key !== undefined ? { type, key } : undefined;
}
