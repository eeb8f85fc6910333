// Empties a volume with policy Recycle by a pod that mounts it. Source: pkg/volume/util/recyclerclient.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import type { ReconcileContext } from '#lib/controller/define-controller.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { PersistentVolume, Pod } from '#lib/kinds/types/core-v1.ts';

const NAMESPACE = 'default';
const PREFIX = 'recycler-for-';
/** Upstream takes registry.k8s.io/debian-base; any image with a shell does. */
const IMAGE = 'busybox';
const SCRUB = 'test -e /scrub && rm -rf /scrub/..?* /scrub/.[!.]* /scrub/*  && test -z "$(ls -A /scrub)" || exit 1';

export type Scrubbed = { readonly state: 'running' | 'done' } | { readonly state: 'failed'; readonly message: string };

/** Name of the volume that a pod recycles. */
export const recycledBy = ({ metadata: { namespace, name } }: Readonly<Pod>): string[] => (namespace === NAMESPACE && name.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : []);

function recyclerPod({ metadata, spec: { hostPath, nfs } }: Readonly<PersistentVolume>): Pod {
  return {
    metadata: { name: `${PREFIX}${metadata.name}`, namespace: NAMESPACE },
    spec: {
      restartPolicy: 'Never',
      volumes: [{ name: 'vol', ...(hostPath ? { hostPath: { path: hostPath.path } } : { nfs: { server: nfs?.server ?? '', path: nfs?.path ?? '' } }) }],
      containers: [{ name: 'pv-recycler', image: IMAGE, imagePullPolicy: 'IfNotPresent', command: ['/bin/sh', '-c', SCRUB], volumeMounts: [{ name: 'vol', mountPath: '/scrub' }] }],
    },
  };
}

/** Starts the pod, or looks how far it is; takes it away when it has ended. */
export async function scrub(volume: Readonly<PersistentVolume>, { api, cache, events }: ReconcileContext): Promise<Scrubbed> {
  const wanted = recyclerPod(volume);
  const pod = cache.get(podKind, NAMESPACE, wanted.metadata.name);
  if (!pod) {
    await api.create(podKind, wanted);
    events.event(referenceTo(volume), 'Normal', 'RecyclerPod', 'Recycler pod: Created pod');
    return { state: 'running' };
  }
  const phase = pod.status?.phase;
  if (phase !== 'Succeeded' && phase !== 'Failed') return { state: 'running' };
  if (pod.metadata.deletionTimestamp === undefined) await api.delete(podKind, pod);
  if (phase === 'Succeeded') return { state: 'done' };
  return { state: 'failed', message: pod.status?.message ?? `pod failed, pod.Status.Message unknown` };
}
