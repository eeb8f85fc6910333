// Pods from manifest files, and the mirror pods that show them in the API.
// Source: pkg/kubelet/config/common.go and file.go, pkg/kubelet/pod/mirror_client.go.
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { canonicalJson } from '#lib/machinery/hash.ts';
import { HASH_ANNOTATION, MIRROR_ANNOTATION, SEEN_ANNOTATION, SOURCE_ANNOTATION } from './pod-spec.ts';

export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

export interface StaticPodInputs {
  /** The parsed manifest. */
  readonly manifest: unknown;
  readonly file: string;
  readonly nodeName: string;
  /** Lower-case hexadecimal MD5 of a text. */
  readonly md5: (text: string) => string;
  /** RFC 3339 with nanoseconds, as it is shown in an annotation. */
  readonly seenAt: string;
}

/** Throws ManifestError when the manifest is no pod. */
export function staticPod({ manifest, file, nodeName, md5, seenAt }: StaticPodInputs): Pod {
  if (typeof manifest !== 'object' || manifest === null) throw new ManifestError('manifest is empty or not an object');
  const { kind, metadata, spec } = manifest as Partial<Pod>;
  if (kind !== 'Pod') throw new ManifestError(`expected a Pod, got ${JSON.stringify(kind)}`);
  if (metadata?.name === undefined || metadata.name === '') throw new ManifestError('metadata.name is required');
  if (!Array.isArray(spec?.containers) || spec.containers.length === 0) throw new ManifestError('spec.containers is required');
  const pod = structuredClone(manifest) as Pod;
  const uid = pod.metadata.uid ?? md5(`host:${nodeName}\nfile:${file}\n${canonicalJson(manifest)}`);
  pod.apiVersion = 'v1';
  pod.metadata = {
    ...pod.metadata,
    uid,
    name: `${pod.metadata.name}-${nodeName.toLowerCase()}`,
    namespace: pod.metadata.namespace ?? 'default',
    annotations: { ...pod.metadata.annotations, [HASH_ANNOTATION]: uid, [SEEN_ANNOTATION]: seenAt, [SOURCE_ANNOTATION]: 'file' },
  };
  pod.spec.nodeName = nodeName;
  // A static pod stays whatever befalls its node.
  pod.spec.tolerations = [{ operator: 'Exists', effect: 'NoExecute' }, ...(pod.spec.tolerations ?? [])];
  podKind.applyDefaults?.(pod);
  pod.status = { phase: 'Pending' };
  return pod;
}

export function mirrorPodOf(pod: Pod, node: { readonly name: string; readonly uid: string }): Pod {
  const { status: _, ...rest } = structuredClone(pod);
  const { uid: _uid, ...metadata } = rest.metadata;
  return {
    ...rest,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [MIRROR_ANNOTATION]: pod.metadata.annotations?.[HASH_ANNOTATION] ?? '' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node.name, uid: node.uid, controller: true }],
    },
  };
}

export const isMirrorOf = (mirror: Pod, pod: Pod): boolean => mirror.metadata.annotations?.[MIRROR_ANNOTATION] === pod.metadata.annotations?.[HASH_ANNOTATION];
