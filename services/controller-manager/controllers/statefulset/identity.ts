// Who a StatefulSet's pod is: its ordinal, its name, its labels, its claims. Source: pkg/controller/statefulset/stateful_set_utils.go.
import type { NewObject } from '#lib/api-client/client.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import type { StatefulSet } from '#lib/kinds/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, Volume } from '#lib/kinds/types/core-v1.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';

export const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name';
export const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index';
/** Its value is the name of the ControllerRevision that the pod was made from. */
export const REVISION_LABEL = 'controller-revision-hash';

const POD_NAME = /^(.*)-([0-9]+)$/;

/** -1: the name was not made by a StatefulSet. */
export function ordinalOf(pod: { readonly metadata: { readonly name: string } }): number {
  const match = POD_NAME.exec(pod.metadata.name);
  const ordinal = match ? Number(match[2]) : -1;
  return ordinal <= 0x7fffffff ? ordinal : -1;
}
export const isMemberOf = (set: Readonly<StatefulSet>, pod: Readonly<Pod>): boolean => POD_NAME.exec(pod.metadata.name)?.[1] === set.metadata.name;

export const startOf = ({ spec }: Readonly<StatefulSet>): number => spec.ordinals?.start ?? 0;
export const replicasOf = ({ spec }: Readonly<StatefulSet>): number => spec.replicas ?? 1;
export const isInRange = (set: Readonly<StatefulSet>, ordinal: number): boolean => ordinal >= startOf(set) && ordinal < startOf(set) + replicasOf(set);

export const podNameOf = (set: Readonly<StatefulSet>, ordinal: number): string => `${set.metadata.name}-${ordinal}`;
export const revisionOf = (pod: { readonly metadata: { readonly labels?: Readonly<Record<string, string>> | undefined } }): string => pod.metadata.labels?.[REVISION_LABEL] ?? '';

const claimNameOf = (set: Readonly<StatefulSet>, template: Readonly<PersistentVolumeClaim>, ordinal: number): string => `${template.metadata.name}-${podNameOf(set, ordinal)}`;

export const claimNamesOf = (set: Readonly<StatefulSet>, ordinal: number): string[] => (set.spec.volumeClaimTemplates ?? []).map((template) => claimNameOf(set, template, ordinal));

/** The claims that the pod of an ordinal needs. */
export function claimsOf(set: Readonly<StatefulSet>, ordinal: number): NewObject<PersistentVolumeClaim>[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template) => ({
    metadata: {
      name: claimNameOf(set, template, ordinal), namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec.selector.matchLabels },
      ...(template.metadata.annotations ? { annotations: template.metadata.annotations } : {}),
    },
    spec: structuredClone(template.spec),
  }));
}

/** The volumes of a pod with those of the claim templates in place of whatever had their names. */
export function volumesWithClaims(set: Readonly<StatefulSet>, ordinal: number, volumes: readonly Volume[]): Volume[] {
  const templates = set.spec.volumeClaimTemplates ?? [];
  const own = new Set(templates.map(({ metadata }) => metadata.name));
  return [
    ...templates.map((template) => ({ name: template.metadata.name, persistentVolumeClaim: { claimName: claimNameOf(set, template, ordinal) } })),
    ...volumes.filter(({ name }) => !own.has(name)),
  ];
}

export function identityLabels(set: Readonly<StatefulSet>, ordinal: number): Record<string, string> {
  return { [POD_NAME_LABEL]: podNameOf(set, ordinal), [POD_INDEX_LABEL]: String(ordinal) };
}

/** The pod of an ordinal, made from a revision's template. */
export function newPod(set: Readonly<StatefulSet>, ordinal: number, revision: string, template: Readonly<PodTemplateSpec>): NewObject<Pod> {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const spec = structuredClone(template.spec ?? { containers: [] });
  const name = podNameOf(set, ordinal);
  const volumes = volumesWithClaims(set, ordinal, spec.volumes ?? []);
  return {
    metadata: {
      name, namespace: set.metadata.namespace,
      labels: { ...labels, ...identityLabels(set, ordinal), [REVISION_LABEL]: revision },
      annotations: { ...annotations }, finalizers: [...(finalizers ?? [])],
      ownerReferences: [controllerReference(set, statefulSetKind)],
    },
    spec: { ...spec, hostname: name, subdomain: set.spec.serviceName ?? '', ...(volumes.length > 0 ? { volumes } : {}) },
  };
}

/** Whether a pod's labels and volumes are those of its ordinal; somebody may have edited them. */
export function hasIdentity(set: Readonly<StatefulSet>, pod: Readonly<Pod>): boolean {
  const ordinal = ordinalOf(pod);
  const labels = pod.metadata.labels ?? {};
  const hasLabels = Object.entries(identityLabels(set, ordinal)).every(([key, value]) => labels[key] === value);
  return hasLabels && (set.spec.volumeClaimTemplates ?? []).every((template) =>
    pod.spec.volumes?.some(({ name, persistentVolumeClaim }) => name === template.metadata.name && persistentVolumeClaim?.claimName === claimNameOf(set, template, ordinal)));
}
