// What a claim needs next: a volume, a provisioner, or only a word on what it waits for.
// Source: pkg/controller/volume/persistentvolume/pv_controller.go, syncClaim, Kubernetes 1.36.
import type { PersistentVolume, PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';
import {
  annotationOf, bestVolumeFor, classNameOf, defaultClass, hasSameMode, isReservedFor, mismatchOf, namesClass, VOLUME_ANNOTATION, waitsForConsumer,
} from '#lib/machinery/volume-binding.ts';

export type ClaimAction =
  | { readonly type: 'bind'; readonly volume: Readonly<PersistentVolume> }
  | { readonly type: 'set-class'; readonly className: string }
  | { readonly type: 'ask-provisioner'; readonly provisioner: string }
  | { readonly type: 'set-phase'; readonly phase: 'Pending' | 'Lost' }
  | { readonly type: 'event'; readonly eventType: 'Normal' | 'Warning'; readonly reason: string; readonly message: string };

export interface StorageView {
  readonly volumes: readonly Readonly<PersistentVolume>[];
  readonly classes: readonly Readonly<StorageClass>[];
  /** Names of the pods without a node that use the claim. */
  readonly waitingPods: readonly string[];
}

const pending: ClaimAction = { type: 'set-phase', phase: 'Pending' };
const warning = (reason: string, message: string): ClaimAction => ({ type: 'event', eventType: 'Warning', reason, message });
const normal = (reason: string, message: string): ClaimAction => ({ type: 'event', eventType: 'Normal', reason, message });

export function planClaim(claim: Readonly<PersistentVolumeClaim>, view: StorageView): ClaimAction[] {
  if (annotationOf(claim, VOLUME_ANNOTATION.bindCompleted) !== undefined) return planBoundClaim(claim, view);
  return (claim.spec.volumeName ?? '') === '' ? planOpenClaim(claim, view) : planClaimForVolume(claim, view);
}

/** No volume is named: look for one. */
function planOpenClaim(claim: Readonly<PersistentVolumeClaim>, { volumes, classes, waitingPods }: StorageView): ClaimAction[] {
  const className = classNameOf(claim);
  const storageClass = classes.find(({ metadata }) => metadata.name === className);
  const isDelayed = waitsForConsumer(storageClass);
  const hasNode = annotationOf(claim, VOLUME_ANNOTATION.selectedNode) !== undefined;
  const volume = bestVolumeFor(claim, volumes, { isDelayed });
  if (volume) return [{ type: 'bind', volume }];
  const fallback = namesClass(claim) ? undefined : defaultClass(classes);
  if (fallback) return [{ type: 'set-class', className: fallback.metadata.name }];
  if (isDelayed && !hasNode) return [waitingFor(waitingPods), pending];
  if (className === '') return [normal('FailedBinding', 'no persistent volumes available for this claim and no storage class is set'), pending];
  if (!storageClass) return [warning('ProvisioningFailed', `storageclass.storage.k8s.io "${className}" not found`), pending];
  const { provisioner } = storageClass;
  if (provisioner.startsWith('kubernetes.io/')) return [warning('ProvisioningFailed', `no volume plugin matched name: ${provisioner}`), pending];
  return [
    { type: 'ask-provisioner', provisioner },
    normal('ExternalProvisioning', `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`),
    pending,
  ];
}

function waitingFor(pods: readonly string[]): ClaimAction {
  if (pods.length === 0) return normal('WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
  return normal('WaitForPodScheduled', `waiting for pod${pods.length > 1 ? 's' : ''} ${pods.join(',')} to be scheduled`);
}

/** The user, or an interrupted binding, has named the volume. */
function planClaimForVolume(claim: Readonly<PersistentVolumeClaim>, { volumes }: StorageView): ClaimAction[] {
  const name = claim.spec.volumeName ?? '';
  const volume = volumes.find(({ metadata }) => metadata.name === name);
  if (!volume) return [pending];
  if (!volume.spec.claimRef) {
    const why = mismatchOf(volume, claim);
    return why === undefined ? [{ type: 'bind', volume }] : [warning('VolumeMismatch', `Cannot bind to requested volume "${name}": ${why}`), pending];
  }
  if (isReservedFor(volume, claim)) {
    if (!hasSameMode(volume, claim)) return [warning('VolumeMismatch', `Cannot bind to requested volume "${name}": incompatible volumeMode`), pending];
    return [{ type: 'bind', volume }];
  }
  return [warning('FailedBinding', `volume "${name}" already bound to a different claim.`), pending];
}

function planBoundClaim(claim: Readonly<PersistentVolumeClaim>, { volumes }: StorageView): ClaimAction[] {
  const name = claim.spec.volumeName ?? '';
  const lost = (reason: string, message: string): ClaimAction[] =>
    (claim.status?.phase === 'Lost' ? [] : [{ type: 'set-phase', phase: 'Lost' }, warning(reason, message)]);
  if (name === '') return lost('ClaimLost', 'Bound claim has lost reference to PersistentVolume. Data on the volume is lost!');
  const volume = volumes.find(({ metadata }) => metadata.name === name);
  if (!volume) return lost('ClaimLost', 'Bound claim has lost its PersistentVolume. Data on the volume is lost!');
  if (!volume.spec.claimRef || volume.spec.claimRef.uid === claim.metadata.uid) return [{ type: 'bind', volume }];
  return lost('ClaimMisbound', 'Two claims are bound to the same volume, this one is bound incorrectly');
}
