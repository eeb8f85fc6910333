// A mirror pod shows a kubelet's static pod in the API; it is run by no API object and may lean on none.
import type { Pod } from '#lib/kinds/types/core-v1.ts';

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

export const isMirrorPod = ({ metadata }: Readonly<Pod>): boolean => metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;

type Volume = NonNullable<NonNullable<Pod['spec']>['volumes']>[number];

const containersOf = ({ spec }: Readonly<Pod>) => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
const volumesOf = ({ spec }: Readonly<Pod>): readonly Volume[] => spec?.volumes ?? [];

export const usesSecrets = (pod: Readonly<Pod>): boolean =>
  (pod.spec?.imagePullSecrets ?? []).length > 0
  || containersOf(pod).some(({ env = [], envFrom = [] }) => env.some(({ valueFrom }) => valueFrom?.secretKeyRef) || envFrom.some(({ secretRef }) => secretRef))
  || volumesOf(pod).some(({ secret, projected }) => secret ?? projected?.sources?.some((source) => source.secret));
export const usesConfigMaps = (pod: Readonly<Pod>): boolean =>
  containersOf(pod).some(({ env = [], envFrom = [] }) => env.some(({ valueFrom }) => valueFrom?.configMapKeyRef) || envFrom.some(({ configMapRef }) => configMapRef))
  || volumesOf(pod).some(({ configMap, projected }) => configMap ?? projected?.sources?.some((source) => source.configMap));
export const usesClaims = (pod: Readonly<Pod>): boolean => volumesOf(pod).some(({ persistentVolumeClaim, ephemeral }) => persistentVolumeClaim ?? ephemeral);
export const usesTokenProjections = (pod: Readonly<Pod>): boolean => volumesOf(pod).some(({ projected }) => projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken));
