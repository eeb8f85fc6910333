// Questions about a pod's specification that many parts ask, with the API server's defaults where a field is absent.
import type { Container, EphemeralContainer, Pod } from '#lib/kinds/types/core-v1.ts';

export const SOURCE_ANNOTATION = 'kubernetes.io/config.source';
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
export const HASH_ANNOTATION = 'kubernetes.io/config.hash';
export const SEEN_ANNOTATION = 'kubernetes.io/config.seen';

/** Source: scheduling.SystemCriticalPriority. */
export const SYSTEM_CRITICAL_PRIORITY = 2_000_000_000;
/** Source: apis/core/v1 defaults.go. */
export const DEFAULT_GRACE_SECONDS = 30;

export const uidOf = (pod: Pod): string => pod.metadata.uid ?? '';
export const namespaceOf = (pod: Pod): string => pod.metadata.namespace ?? 'default';
/** `namespace/name` */
export const fullNameOf = (pod: Pod): string => `${namespaceOf(pod)}/${pod.metadata.name}`;
/** `name_namespace(uid)`, as in messages. Source: pkg/kubelet/util/format. */
export const describePod = (pod: Pod): string => `${pod.metadata.name}_${namespaceOf(pod)}(${uidOf(pod)})`;

export const isMirrorPod = (pod: Pod): boolean => pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;
export const isStaticPod = (pod: Pod): boolean => {
  const source = pod.metadata.annotations?.[SOURCE_ANNOTATION];
  return source !== undefined && source !== 'api';
};
export const isCriticalPod = (pod: Pod): boolean => isStaticPod(pod) || isMirrorPod(pod) || (pod.spec.priority ?? 0) >= SYSTEM_CRITICAL_PRIORITY;
export const usesHostNetwork = (pod: Pod): boolean => pod.spec.hostNetwork === true;
export const restartPolicyOf = (pod: Pod): string => pod.spec.restartPolicy ?? 'Always';
export const isTerminalPhase = (phase: string | undefined): boolean => phase === 'Succeeded' || phase === 'Failed';

/** An init container that goes on running beside the others. */
export const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always';
export const initContainersOf = (pod: Pod): readonly Container[] => pod.spec.initContainers ?? [];
export const regularInitContainersOf = (pod: Pod): Container[] => initContainersOf(pod).filter((container) => !isSidecar(container));
export const sidecarsOf = (pod: Pod): Container[] => initContainersOf(pod).filter(isSidecar);
export const ephemeralContainersOf = (pod: Pod): readonly EphemeralContainer[] => pod.spec.ephemeralContainers ?? [];
export const isInitContainer = (pod: Pod, name: string): boolean => initContainersOf(pod).some((container) => container.name === name);

export const allContainersOf = (pod: Pod): readonly Container[] => [...initContainersOf(pod), ...pod.spec.containers, ...ephemeralContainersOf(pod)];
export const findContainer = (pod: Pod, name: string): Container | undefined => allContainersOf(pod).find((container) => container.name === name);

/** `spec.containers{web}`, for events. */
export function fieldPathOf(pod: Pod, name: string): string {
  if (pod.spec.containers.some((container) => container.name === name)) return `spec.containers{${name}}`;
  return isInitContainer(pod, name) ? `spec.initContainers{${name}}` : `spec.ephemeralContainers{${name}}`;
}
