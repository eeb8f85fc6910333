// Brings claims and volumes together, and volumes to their end when their claim is gone.
import { rm } from 'node:fs/promises';
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { defineController, done, index, mapped, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { storageClassKind } from '#lib/kinds/storage/storage-class.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { annotationOf, claimsOfPod, classNameOf, namesClass, VOLUME_ANNOTATION, volumeBoundTo, withAnnotations } from '#lib/machinery/volume-binding.ts';
import { isTerminal } from '../../core/pod-state.ts';
import { planClaim } from './claim-plan.ts';
import { recycledBy, scrub } from './recycler.ts';
import { planReclaim, planVolume, type VolumePhase } from './volume-plan.ts';

const common = { name: 'persistentvolume-binder-controller', serviceAccount: 'persistent-volume-binder', eventSource: 'persistentvolume-controller' } as const;

/** Pods by the claims they use: `namespace/claim`. */
export const PODS_BY_CLAIM = 'pods-by-claim';
export const podsByClaim = index(podKind, PODS_BY_CLAIM, (pod: Pod) => claimsOfPod(pod).map(({ claimName }) => `${pod.metadata.namespace ?? ''}/${claimName}`));

const claimKeyOf = ({ spec: { claimRef } }: Readonly<PersistentVolume>): string[] => (claimRef ? [`${claimRef.namespace ?? ''}/${claimRef.name ?? ''}`] : []);
const isOpen = ({ status }: Readonly<PersistentVolumeClaim>): boolean => status?.phase !== 'Bound' && status?.phase !== 'Lost';

const claims = (resyncMs: number): Controller => defineController({
  ...common,
  queueName: 'claims',
  reconciles: persistentVolumeClaimKind,
  indexes: [podsByClaim],
  reads: [anyKind(podKind)],
  alsoWatches: [
    // A free volume may be what a waiting claim needs; upstream's would find it at its next look, within 15 s.
    mapped(persistentVolumeKind, (volume, cache) => (volume.spec.claimRef ? claimKeyOf(volume)
      : cache.list(persistentVolumeClaimKind).filter((claim) => isOpen(claim) && (classNameOf(claim) === classNameOf(volume) || claim.spec.volumeName === volume.metadata.name)).map(keyOf))),
    mapped(storageClassKind, ({ metadata: { name } }, cache) => cache.list(persistentVolumeClaimKind).filter((claim) => isOpen(claim) && (classNameOf(claim) === name || !namesClass(claim))).map(keyOf)),
  ],
  async reconcile({ namespace, name }, context) {
    const { cache, events } = context;
    let claim = cache.get(persistentVolumeClaimKind, namespace, name);
    if (!claim) return done;
    const waitingPods = cache.byIndex(podKind, PODS_BY_CLAIM, `${namespace}/${name}`).filter((pod) => (pod.spec.nodeName ?? '') === '' && !isTerminal(pod)).map(({ metadata }) => metadata.name);
    let isSettled = false;
    for (const action of planClaim(claim, { volumes: cache.list(persistentVolumeKind), classes: cache.list(storageClassKind), waitingPods })) {
      switch (action.type) {
        case 'bind':
          await bind(claim, action.volume, context);
          isSettled = true;
          break;
        case 'set-class':
          await context.api.update(persistentVolumeClaimKind, { ...claim, spec: { ...claim.spec, storageClassName: action.className } });
          return done; // seen again with its class
        case 'ask-provisioner':
          if (annotationOf(claim, VOLUME_ANNOTATION.storageProvisioner) === action.provisioner) break;
          claim = await context.api.update(persistentVolumeClaimKind, withAnnotations(claim, { [VOLUME_ANNOTATION.storageProvisioner]: action.provisioner, [VOLUME_ANNOTATION.betaStorageProvisioner]: action.provisioner }));
          break;
        case 'set-phase':
          isSettled ||= action.phase === 'Lost';
          if (claim.status?.phase !== action.phase) await setClaimStatus(claim, { ...(action.phase === 'Lost' ? {} : claim.status), phase: action.phase }, context);
          break;
        case 'event':
          events.event(referenceTo(claim), action.eventType, action.reason, action.message);
          break;
      }
    }
    return isSettled ? done : retryAfterMs(resyncMs);
  },
});

async function setClaimStatus(claim: Readonly<PersistentVolumeClaim>, status: PersistentVolumeClaim['status'], { api }: ReconcileContext): Promise<void> {
  if (!semanticEqual(status, claim.status)) await api.updateStatus(persistentVolumeClaimKind, { ...claim, status });
}

async function setVolumePhase(volume: Readonly<PersistentVolume>, phase: VolumePhase, { api }: ReconcileContext, message?: string): Promise<PersistentVolume> {
  if (volume.status?.phase === phase && (message === undefined || volume.status.message === message)) return volume;
  return api.updateStatus(persistentVolumeKind, { ...volume, status: { ...volume.status, phase, message } });
}

/** In this order, so that a crash in between leaves a volume that is reserved for the claim, never a claim without its volume. */
async function bind(claim: Readonly<PersistentVolumeClaim>, free: Readonly<PersistentVolume>, context: ReconcileContext): Promise<void> {
  const { api } = context;
  const taken = volumeBoundTo(free, claim);
  const volume = await setVolumePhase(taken ? await api.update(persistentVolumeKind, taken) : free, 'Bound', context);
  let bound = claim;
  const isNew = claim.spec.volumeName !== volume.metadata.name;
  if (isNew || annotationOf(claim, VOLUME_ANNOTATION.bindCompleted) === undefined) {
    bound = await api.update(persistentVolumeClaimKind, withAnnotations(
      { ...claim, spec: { ...claim.spec, volumeName: volume.metadata.name } },
      { [VOLUME_ANNOTATION.bindCompleted]: 'yes', ...(isNew ? { [VOLUME_ANNOTATION.boundByController]: 'yes' } : {}) },
    ));
  }
  const isBecomingBound = bound.status?.phase !== 'Bound';
  const capacity = isBecomingBound || bound.status?.capacity === undefined ? volume.spec.capacity : bound.status.capacity;
  await setClaimStatus(bound, { ...bound.status, phase: 'Bound', accessModes: volume.spec.accessModes, capacity }, context);
}

const volumes = (resyncMs: number): Controller => defineController({
  ...common,
  queueName: 'volumes',
  reconciles: persistentVolumeKind,
  alsoWatches: [
    mapped(persistentVolumeClaimKind, (claim, cache) => [
      ...((claim.spec.volumeName ?? '') === '' ? [] : [claim.spec.volumeName ?? '']),
      ...cache.list(persistentVolumeKind).filter((volume) => claimKeyOf(volume)[0] === keyOf(claim)).map(keyOf),
    ]),
    mapped(podKind, (pod) => recycledBy(pod)),
  ],
  async reconcile({ name }, context) {
    const { cache, events } = context;
    const volume = cache.get(persistentVolumeKind, undefined, name);
    if (!volume) return done;
    const claim = await claimOf(volume, context);
    let current: Readonly<PersistentVolume> = volume;
    for (const action of planVolume(volume, claim)) {
      switch (action.type) {
        case 'set-phase':
          current = await setVolumePhase(current, action.phase, context);
          break;
        case 'event':
          events.event(referenceTo(volume), action.eventType, action.reason, action.message);
          if (action.onClaimToo && claim) events.event(referenceTo(claim), action.eventType, action.reason, action.message);
          return retryAfterMs(resyncMs);
        case 'unbind':
          await unbind(current, action.keepsReservation, context);
          return done;
        case 'reclaim':
          return await reclaim(current, context) ? done : retryAfterMs(resyncMs);
      }
    }
    return done;
  },
});

/** The claim that the volume refers to. Before a volume is given up, the server is asked: the cache may be behind. */
async function claimOf({ spec: { claimRef }, status }: Readonly<PersistentVolume>, { cache, api }: ReconcileContext): Promise<Readonly<PersistentVolumeClaim> | undefined> {
  if (!claimRef?.uid) return undefined;
  const { namespace = '', name = '', uid } = claimRef;
  const cached = cache.get(persistentVolumeClaimKind, namespace, name);
  if (cached?.metadata.uid === uid) return cached;
  if (!cached && (status?.phase === 'Released' || status?.phase === 'Failed')) return undefined;
  try {
    const live = await api.getLive(persistentVolumeClaimKind, namespace, name);
    return live.metadata.uid === uid ? live : undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function unbind(volume: Readonly<PersistentVolume>, keepsReservation: boolean, context: ReconcileContext): Promise<void> {
  const { claimRef, ...spec } = volume.spec;
  const free = keepsReservation
    ? { ...volume, spec: { ...spec, claimRef: { ...claimRef, uid: undefined } } }
    : withAnnotations({ ...volume, spec }, { [VOLUME_ANNOTATION.boundByController]: undefined });
  await setVolumePhase(await context.api.update(persistentVolumeKind, free), 'Available', context);
}

/** Resolves with whether there is nothing left to do. */
async function reclaim(volume: Readonly<PersistentVolume>, context: ReconcileContext): Promise<boolean> {
  const { api, events, cache } = context;
  if (volume.metadata.deletionTimestamp !== undefined) return true;
  const plan = planReclaim(volume);
  if (plan.type === 'none') return true;
  const fail = async (reason: string, message: string): Promise<void> => {
    if (volume.status?.phase === 'Failed' && volume.status.message === message) return;
    await setVolumePhase(volume, 'Failed', context, message);
    events.event(referenceTo(volume), 'Warning', reason, message);
  };
  if (plan.type === 'fail') {
    await fail(plan.reason, plan.message);
    return true;
  }
  // Pods of the deleted claim may still be ending.
  const users = cache.byIndex(podKind, PODS_BY_CLAIM, claimKeyOf(volume)[0] ?? '').filter((pod) => (pod.spec.nodeName ?? '') !== '' && !isTerminal(pod));
  if (users.length > 0) return false;
  if (plan.type === 'delete-host-path') {
    try {
      await rm(plan.path, { recursive: true, force: true });
    } catch (error) {
      await fail('VolumeFailedDelete', error instanceof Error ? error.message : String(error));
      return false;
    }
    await api.delete(persistentVolumeKind, volume);
    return true;
  }
  const scrubbed = await scrub(volume, context);
  if (scrubbed.state === 'running') return false;
  if (scrubbed.state === 'failed') {
    await fail('VolumeFailedRecycle', `Recycle failed: ${scrubbed.message}`);
    return false;
  }
  events.event(referenceTo(volume), 'Normal', 'VolumeRecycled', 'Volume recycled');
  await unbind(volume, annotationOf(volume, VOLUME_ANNOTATION.boundByController) === undefined, context);
  return true;
}

/** What is not settled is looked at, and told in events, every `resyncMs`. */
export const persistentVolumeBinder = (resyncMs: number): Controller[] => [claims(resyncMs), volumes(resyncMs)];
