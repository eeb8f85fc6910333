// Which built-in groups come before which, and the APIServices that stand for them.
// Source: pkg/controlplane/apiserver/aggregator.go, APIServicePriority; kube-aggregator pkg/controllers/autoregister.
import type { APIService } from '#lib/kinds/types/apiregistration-v1.ts';

export interface LocalGroupVersion {
  readonly group: string;
  readonly version: string;
}

/** Of custom resources, and of groups that are not upstream's. */
const CUSTOM_GROUP_PRIORITY = 1000;
const CUSTOM_VERSION_PRIORITY = 100;

const GROUP_PRIORITIES: Readonly<Record<string, number>> = {
  'apiregistration.k8s.io': 20000, '': 18000, apps: 17800, 'events.k8s.io': 17750, 'authentication.k8s.io': 17700, 'authorization.k8s.io': 17600,
  autoscaling: 17500, batch: 17400, 'certificates.k8s.io': 17300, 'networking.k8s.io': 17200, policy: 17100, 'rbac.authorization.k8s.io': 17000,
  'storage.k8s.io': 16800, 'apiextensions.k8s.io': 16700, 'admissionregistration.k8s.io': 16700, 'scheduling.k8s.io': 16600,
  'coordination.k8s.io': 16500, 'node.k8s.io': 16300, 'resource.k8s.io': 16200, 'discovery.k8s.io': 16200, 'flowcontrol.apiserver.k8s.io': 16100,
};
/** Of built-in versions; those that are not listed have 15. */
const VERSION_PRIORITIES: Readonly<Record<string, number>> = { '/v1': 1, 'autoscaling/v2': 30, 'resource.k8s.io/v1': 21, 'flowcontrol.apiserver.k8s.io/v1': 21 };

export const groupPriority = (group: string): number => GROUP_PRIORITIES[group] ?? CUSTOM_GROUP_PRIORITY;
export function versionPriority(group: string, version: string): number {
  return VERSION_PRIORITIES[`${group}/${version}`] ?? (GROUP_PRIORITIES[group] === undefined ? CUSTOM_VERSION_PRIORITY : 15);
}

export const AUTOMANAGED = 'kube-aggregator.kubernetes.io/automanaged';

/** The server of APIServices needs none for itself. */
export function localApiServices(served: readonly LocalGroupVersion[]): APIService[] {
  const groupVersions = [...new Map(served.map((one) => [`${one.group}/${one.version}`, one])).values()];
  return groupVersions.filter(({ group }) => group !== 'apiregistration.k8s.io').map(({ group, version }) => ({
    apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService',
    metadata: { name: `${version}.${group}`, labels: { [AUTOMANAGED]: GROUP_PRIORITIES[group] === undefined ? 'true' : 'onstart' } },
    spec: { ...(group === '' ? {} : { group }), version, groupPriorityMinimum: groupPriority(group), versionPriority: versionPriority(group, version) },
  }));
}
