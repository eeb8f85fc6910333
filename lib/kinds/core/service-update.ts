// What an update of a Service takes over from the stored one: values that were allocated, unless the user gave others,
// and nothing that its new type has no use for. Source: pkg/registry/core/service/storage (patchAllocatedValues),
// pkg/registry/core/service/strategy.go (dropTypeDependentFields).
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import type { Service, ServiceSpec } from '../types/core-v1.ts';

export const needsClusterIp = ({ type }: ServiceSpec): boolean => type !== 'ExternalName';
export const needsNodePort = ({ type, allocateLoadBalancerNodePorts }: ServiceSpec): boolean =>
  type === 'NodePort' || (type === 'LoadBalancer' && allocateLoadBalancerNodePorts !== false);
export const needsHealthCheckPort = ({ type, externalTrafficPolicy }: ServiceSpec): boolean => type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
/** Reached from outside by a port of the nodes or an address. */
export const isExternallyAccessible = ({ type, externalIPs }: ServiceSpec): boolean =>
  type === 'LoadBalancer' || type === 'NodePort' || (type === 'ClusterIP' && (externalIPs ?? []).length > 0);

/** clusterIP is always the first of clusterIPs; old clients know only the former. */
export function normalizeClusterIps({ spec }: Service, previous?: Service): void {
  const old = previous?.spec;
  if (old === undefined) {
    if (spec.clusterIP && (spec.clusterIPs ?? []).length === 0) spec.clusterIPs = [spec.clusterIP];
    return;
  }
  if (spec.clusterIP === old.clusterIP || !semanticEqual(spec.clusterIPs, old.clusterIPs)) return;
  // Only the old field was changed: the list follows.
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  else delete spec.clusterIPs;
}

function keepClusterIps(spec: ServiceSpec, old: ServiceSpec): void {
  if (!needsClusterIp(spec) || !needsClusterIp(old)) return;
  spec.clusterIP ||= old.clusterIP;
  if ((spec.clusterIPs ?? []).length === 0 && spec.clusterIP === old.clusterIP && old.clusterIPs !== undefined) spec.clusterIPs = old.clusterIPs;
}

function keepNodePorts(spec: ServiceSpec, old: ServiceSpec): void {
  if (!needsNodePort(spec) || !needsNodePort(old)) return;
  const keyOf = (protocol: string | undefined, port: number): string => `${protocol ?? 'TCP'}/${port}`;
  const used = new Set((spec.ports ?? []).map(({ protocol, nodePort }) => (nodePort ? keyOf(protocol, nodePort) : '')));
  const allocated = new Map((old.ports ?? []).map(({ protocol, port, nodePort }) => [keyOf(protocol, port), nodePort]));
  for (const port of spec.ports ?? []) {
    if (port.nodePort) continue;
    const nodePort = allocated.get(keyOf(port.protocol, port.port));
    if (nodePort && !used.has(keyOf(port.protocol, nodePort))) port.nodePort = nodePort;
  }
}

/** Before the checks: fills in what was allocated. */
export function keepAllocatedValues({ spec }: Service, { spec: old }: Service): void {
  keepClusterIps(spec, old);
  keepNodePorts(spec, old);
  if (needsHealthCheckPort(spec) && needsHealthCheckPort(old) && !spec.healthCheckNodePort && old.healthCheckNodePort) spec.healthCheckNodePort = old.healthCheckNodePort;
  if (needsClusterIp(spec) && needsClusterIp(old)) {
    // Families stay with the addresses, unless the user asks otherwise.
    if (spec.ipFamilyPolicy === undefined && old.ipFamilyPolicy !== undefined) spec.ipFamilyPolicy = old.ipFamilyPolicy;
    if ((spec.ipFamilies ?? []).length === 0 && old.ipFamilies !== undefined) spec.ipFamilies = old.ipFamilies;
  }
}

const nodePortsOf = ({ ports }: ServiceSpec): number[] => (ports ?? []).map(({ nodePort }) => nodePort ?? 0).filter((port) => port !== 0).sort();

/** When the type changes, what the user left as it was and the new type has no use for goes. */
export function dropUnusedFields({ spec }: Service, { spec: old }: Service): void {
  const drop = (condition: boolean, ...names: (keyof ServiceSpec)[]): void => {
    if (condition) for (const name of names) if (semanticEqual(spec[name], old[name])) delete spec[name];
  };
  if (needsClusterIp(old) && !needsClusterIp(spec)) {
    if (semanticEqual(spec.clusterIPs, old.clusterIPs)) drop(true, 'clusterIP', 'clusterIPs');
    if (semanticEqual(spec.ipFamilies, old.ipFamilies)) drop(true, 'ipFamilies', 'ipFamilyPolicy');
    drop(true, 'internalTrafficPolicy');
  }
  if (needsNodePort(old) && !needsNodePort(spec) && semanticEqual(nodePortsOf(spec), nodePortsOf(old))) for (const port of spec.ports ?? []) delete port.nodePort;
  drop(needsHealthCheckPort(old) && !needsHealthCheckPort(spec), 'healthCheckNodePort');
  drop(old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer', 'allocateLoadBalancerNodePorts', 'loadBalancerClass');
  drop(isExternallyAccessible(old) && !isExternallyAccessible(spec), 'externalTrafficPolicy');
}
