// Makes a folder on the chosen node for each claim of its classes, and removes it when the volume is released.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { defineController, done, mapped, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { storageClassKind } from '#lib/kinds/storage/storage-class.ts';
import type { Node } from '#lib/kinds/types/core-v1.ts';
import { annotationOf, classNameOf, VOLUME_ANNOTATION, waitsForConsumer, withAnnotations } from '#lib/machinery/volume-binding.ts';
import { concernOf, helperName, helperPod, HELPER_NAMESPACE, hostOf, folderOf, letGo, problemOf, PROVISIONER, removalOf, volumeFor, volumeNameFor, type HelperOptions } from './plan.ts';

/** Until a failed helper is started anew; milliseconds. */
const RETRY_MS = 15_000;

const common = { name: 'local-path-provisioner', eventSource: PROVISIONER } as const;
const hostnameOf = ({ metadata }: Readonly<Node>): string => metadata.labels?.['kubernetes.io/hostname'] ?? metadata.name;

class HelperFailed extends Error {
  override readonly name = 'HelperFailed';
}

/** Resolves with whether the helper has done its work. Throws HelperFailed; the next call starts it anew. */
async function helped(options: HelperOptions, { api, cache }: ReconcileContext): Promise<boolean> {
  const pod = cache.get(podKind, HELPER_NAMESPACE, helperName(options.action, options.volumeName));
  if (!pod) {
    await api.create(podKind, helperPod(options));
    return false;
  }
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  const phase = pod.status?.phase;
  if (phase === 'Succeeded') return true;
  if (phase !== 'Failed') return false;
  await api.delete(podKind, pod);
  const message = pod.status?.message ?? pod.status?.containerStatuses?.[0]?.state?.terminated?.message ?? pod.status?.reason ?? 'it failed';
  throw new HelperFailed(`${options.action} process of folder ${options.folder} on node ${options.nodeName}: helper pod: ${message}`);
}

async function removeHelper(action: 'create' | 'delete', volumeName: string, { api, cache }: ReconcileContext): Promise<void> {
  const pod = cache.get(podKind, HELPER_NAMESPACE, helperName(action, volumeName));
  if (pod && pod.metadata.deletionTimestamp === undefined) await api.delete(podKind, pod);
}

const provision = (): Controller => defineController({
  ...common,
  queueName: 'local_path_claims',
  reconciles: persistentVolumeClaimKind,
  reads: [anyKind(nodeKind), anyKind(storageClassKind), anyKind(persistentVolumeKind)],
  alsoWatches: [mapped(podKind, (pod) => {
    const concern = concernOf(pod);
    return concern?.type === 'claim' ? [concern.key] : [];
  })],
  async reconcile({ namespace, name }, context) {
    const { cache, api, events } = context;
    const claim = cache.get(persistentVolumeClaimKind, namespace, name);
    if (!claim || annotationOf(claim, VOLUME_ANNOTATION.storageProvisioner) !== PROVISIONER || claim.metadata.deletionTimestamp !== undefined) return done;
    const volumeName = volumeNameFor(claim);
    if ((claim.spec.volumeName ?? '') !== '' || cache.get(persistentVolumeKind, undefined, volumeName)) {
      await removeHelper('create', volumeName, context);
      return done;
    }
    const storageClass = cache.get(storageClassKind, undefined, classNameOf(claim));
    if (storageClass?.provisioner !== PROVISIONER) return done;
    const nodeName = annotationOf(claim, VOLUME_ANNOTATION.selectedNode);
    if (nodeName === undefined && waitsForConsumer(storageClass)) return done;
    const failed = (why: string): void => events.event(referenceTo(claim), 'Warning', 'ProvisioningFailed', `failed to provision volume with StorageClass "${storageClass.metadata.name}": ${why}`);
    const problem = problemOf(claim, nodeName);
    if (problem !== undefined || nodeName === undefined) {
      failed(problem ?? '');
      return done;
    }
    const node = cache.get(nodeKind, undefined, nodeName);
    if (!node) {
      // The scheduler chooses another node.
      await api.update(persistentVolumeClaimKind, withAnnotations(claim, { [VOLUME_ANNOTATION.selectedNode]: undefined }));
      return done;
    }
    if (!cache.get(podKind, HELPER_NAMESPACE, helperName('create', volumeName))) {
      events.event(referenceTo(claim), 'Normal', 'Provisioning', `External provisioner is provisioning volume for claim "${namespace}/${name}"`);
    }
    try {
      if (!(await helped({ action: 'create', volumeName, folder: folderOf(claim, storageClass), nodeName, concerns: `claim ${namespace}/${name}` }, context))) return done;
    } catch (error) {
      if (!(error instanceof HelperFailed)) throw error;
      failed(error.message);
      return retryAfterMs(RETRY_MS);
    }
    await api.create(persistentVolumeKind, volumeFor(claim, storageClass, hostnameOf(node)));
    events.event(referenceTo(claim), 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${volumeName}`);
    await removeHelper('create', volumeName, context);
    return done;
  },
});

const remove = (): Controller => defineController({
  ...common,
  queueName: 'local_path_volumes',
  reconciles: persistentVolumeKind,
  reads: [anyKind(nodeKind)],
  alsoWatches: [mapped(podKind, (pod) => {
    const concern = concernOf(pod);
    return concern?.type === 'volume' ? [concern.key] : [];
  })],
  async reconcile({ name }, context) {
    const { cache, api, events, log } = context;
    const volume = cache.get(persistentVolumeKind, undefined, name);
    if (!volume) {
      await removeHelper('delete', name, context);
      return done;
    }
    const removal = removalOf(volume);
    if (removal === 'none') return done;
    const release = async (): Promise<void> => {
      const free = letGo(volume);
      const current = free ? await api.update(persistentVolumeKind, free) : volume;
      if (removal === 'folder' && current.metadata.deletionTimestamp === undefined) await api.delete(persistentVolumeKind, current);
    };
    if (removal === 'release') {
      await release();
      return done;
    }
    const host = hostOf(volume);
    const node = cache.list(nodeKind).find((one) => hostnameOf(one) === host);
    const folder = volume.spec.hostPath?.path;
    try {
      // With the node its folder is gone from our reach.
      if (!node || folder === undefined) log.warn({ volume: name, host }, 'deleting a volume whose node is gone, its folder stays');
      else if (!(await helped({ action: 'delete', volumeName: name, folder, nodeName: node.metadata.name, concerns: `volume ${name}` }, context))) return done;
    } catch (error) {
      if (!(error instanceof HelperFailed)) throw error;
      events.event(referenceTo(volume), 'Warning', 'VolumeFailedDelete', error.message);
      return retryAfterMs(RETRY_MS);
    }
    await release();
    await removeHelper('delete', name, context);
    return done;
  },
});

export const localPathProvisioner = (): Controller[] => [provision(), remove()];
