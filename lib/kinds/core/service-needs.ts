// What a Service of each type has use for.
import type { ServiceSpec } from '../types/core-v1.ts';

export const needsClusterIp = ({ type }: ServiceSpec): boolean => type !== 'ExternalName';
export const needsHealthCheckPort = ({ type, externalTrafficPolicy }: ServiceSpec): boolean => type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
/** Reached from outside by a port of the nodes or an address. */
export const isExternallyAccessible = ({ type, externalIPs }: ServiceSpec): boolean =>
  type === 'LoadBalancer' || type === 'NodePort' || (type === 'ClusterIP' && (externalIPs ?? []).length > 0);
