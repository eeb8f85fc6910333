// Checks of a Service. Source: pkg/apis/core/validation (ValidateService, ValidateServiceUpdate).
import { duplicate, forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { CIDR_TEXT, IP_TEXT, isIpAddress, isIpv4, isIpv6, parseCidr } from '#lib/machinery/ip.ts';
import { dnsLabelProblems, dnsSubdomainProblems, FIELD_IS_IMMUTABLE, portNameProblems, portNumberProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, validateLabels } from '#lib/machinery/object-meta.ts';
import type { Service, ServicePort, ServiceSpec, ServiceStatus } from '../types/core-v1.ts';
import { oneOf } from '../validation.ts';
import { validateEndpointIp } from './endpoint-ip.ts';
import { isExternallyAccessible, needsClusterIp, needsHealthCheckPort } from './service-needs.ts';

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const ONE_DAY_SECONDS = 86_400;
const FAMILIES = ['IPv4', 'IPv6'];

const isHeadless = ({ clusterIPs, clusterIP }: ServiceSpec): boolean => (clusterIPs?.[0] ?? clusterIP) === 'None';

function validatePort({ name, port, protocol, targetPort, appProtocol }: ServicePort, path: string, needsName: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (needsName && !name) errors.push(required(`${path}.name`));
  else if (name) errors.push(...checked(`${path}.name`, name, dnsLabelProblems));
  errors.push(...portNumberProblems(port ?? 0).map((text) => invalid(`${path}.port`, port ?? 0, text)), ...oneOf(protocol, PROTOCOLS, `${path}.protocol`));
  const targetProblems = typeof targetPort === 'string' ? portNameProblems(targetPort) : portNumberProblems(targetPort ?? 0);
  errors.push(...targetProblems.map((text) => invalid(`${path}.targetPort`, targetPort ?? 0, text)));
  if (appProtocol !== undefined) errors.push(...checked(`${path}.appProtocol`, appProtocol, qualifiedNameProblems));
  return errors;
}

function validatePorts(spec: ServiceSpec): FieldError[] {
  const ports = spec.ports ?? [];
  const errors: FieldError[] = ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName' ? [required('spec.ports')] : [];
  const names = new Set<string>();
  ports.forEach((port, index) => {
    const path = `spec.ports[${index}]`;
    errors.push(...validatePort(port, path, ports.length > 1));
    if (port.name && names.has(port.name)) errors.push(duplicate(`${path}.name`, port.name));
    if (port.name) names.add(port.name);
  });
  return [...errors, ...validateNodePorts(spec), ...validateDistinctPorts(ports)];
}

function validateNodePorts({ type, ports = [] }: ServiceSpec): FieldError[] {
  const seen = new Set<string>();
  return ports.flatMap(({ nodePort, protocol }, index) => {
    if (!nodePort) return [];
    const path = `spec.ports[${index}].nodePort`;
    if (type === 'ClusterIP') return [forbidden(path, "may not be used when `type` is 'ClusterIP'")];
    const key = `${protocol}/${nodePort}`;
    const errors = seen.has(key) ? [duplicate(path, nodePort)] : [];
    seen.add(key);
    return errors;
  });
}

/** The duplicate is shown as upstream prints its internal type. */
function validateDistinctPorts(ports: readonly ServicePort[]): FieldError[] {
  const seen = new Set<string>();
  return ports.flatMap(({ port, protocol }, index) => {
    const key = `${protocol}/${port}`;
    const errors = seen.has(key) ? [duplicate(`spec.ports[${index}]`, { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 })] : [];
    seen.add(key);
    return errors;
  });
}

function validateType(spec: ServiceSpec): FieldError[] {
  const { type, clusterIPs = [], ipFamilies = [], ipFamilyPolicy, externalName } = spec;
  if ((type === 'LoadBalancer' || type === 'NodePort') && isHeadless(spec)) {
    return [invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${type} services`)];
  }
  if (type !== 'ExternalName') return [];
  const errors: FieldError[] = [];
  if (clusterIPs.length > 0) errors.push(forbidden('spec.clusterIPs', 'may not be set for ExternalName services'));
  if (ipFamilies.length > 0) errors.push(forbidden('spec.ipFamilies', 'may not be set for ExternalName services'));
  if (ipFamilyPolicy !== undefined) errors.push(forbidden('spec.ipFamilyPolicy', 'may not be set for ExternalName services'));
  // A final dot is allowed: it makes the name absolute.
  const name = (externalName ?? '').replace(/\.$/, '');
  errors.push(...(name === '' ? [required('spec.externalName')] : checked('spec.externalName', name, dnsSubdomainProblems)));
  return errors;
}

function validateAffinity({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): FieldError[] {
  const errors = oneOf(sessionAffinity, ['ClientIP', 'None'], 'spec.sessionAffinity');
  const path = 'spec.sessionAffinityConfig';
  if (sessionAffinity === 'None' && sessionAffinityConfig !== undefined) errors.push(forbidden(path, 'must not be set when session affinity is None'));
  if (sessionAffinity !== 'ClientIP') return errors;
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (sessionAffinityConfig === undefined) errors.push(required(path, 'when session affinity type is ClientIP'));
  else if (sessionAffinityConfig.clientIP === undefined) errors.push(required(`${path}.clientIP`, 'when session affinity type is ClientIP'));
  else if (seconds === undefined) errors.push(required(`${path}.clientIP.timeoutSeconds`, 'when session affinity type is ClientIP'));
  else if (seconds <= 0 || seconds > ONE_DAY_SECONDS) errors.push(invalid(`${path}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than ${ONE_DAY_SECONDS}`));
  return errors;
}

function validateFamilies({ ipFamilies = [], ipFamilyPolicy }: ServiceSpec): FieldError[] {
  const errors: FieldError[] = ipFamilies.flatMap((family, index) => [
    ...(FAMILIES.includes(family) ? [] : [notSupported(`spec.ipFamilies[${index}]`, family, FAMILIES)]),
    ...(ipFamilies.indexOf(family) < index ? [duplicate(`spec.ipFamilies[${index}]`, family)] : []),
  ]);
  if (ipFamilyPolicy !== undefined) errors.push(...oneOf(ipFamilyPolicy, ['PreferDualStack', 'RequireDualStack', 'SingleStack'], 'spec.ipFamilyPolicy'));
  return errors;
}

function validateClusterIps({ clusterIP = '', clusterIPs = [], ipFamilies = [] }: ServiceSpec): FieldError[] {
  const path = 'spec.clusterIPs';
  const errors: FieldError[] = [];
  if (clusterIP === '') {
    if (clusterIPs.length > 0) errors.push(invalid(path, clusterIPs, 'must be empty when `clusterIP` is not specified'));
    return errors;
  }
  if (clusterIPs.length === 0) return [required(path)];
  if (clusterIPs[0] !== clusterIP) errors.push(invalid(path, clusterIPs, 'first value must match `clusterIP`'));
  if (clusterIPs.includes('None')) {
    if (clusterIPs.length > 1) errors.push(invalid(path, clusterIPs, "'None' must be the first and only value"));
    return errors;
  }
  clusterIPs.forEach((address, index) => {
    if (!isIpAddress(address)) errors.push(invalid(`${path}[${index}]`, address, IP_TEXT));
  });
  if (errors.length > 0) return errors;
  if (clusterIPs.length > 2) errors.push(invalid(path, clusterIPs, 'may only hold up to 2 values'));
  if (clusterIPs.length === 2 && clusterIPs.filter(isIpv4).length !== 1) errors.push(invalid(path, clusterIPs, 'may specify no more than one IP for each IP family'));
  clusterIPs.forEach((address, index) => {
    const family = ipFamilies[index];
    const agrees = family === undefined || (family === 'IPv4' ? isIpv4(address) : isIpv6(address));
    if (!agrees) errors.push(invalid(`${path}[${index}]`, address, `expected an ${family} value as indicated by \`ipFamilies[${index}]\``));
  });
  return errors;
}

function validateTraffic(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { externalTrafficPolicy, healthCheckNodePort, internalTrafficPolicy, trafficDistribution } = spec;
  if (!isExternallyAccessible(spec)) {
    if (externalTrafficPolicy) errors.push(invalid('spec.externalTrafficPolicy', externalTrafficPolicy, 'may only be set for externally-accessible services'));
  } else {
    errors.push(...oneOf(externalTrafficPolicy, ['Cluster', 'Local'], 'spec.externalTrafficPolicy'));
  }
  if (!needsHealthCheckPort(spec)) {
    if (healthCheckNodePort) {
      errors.push(invalid('spec.healthCheckNodePort', healthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
    }
  } else if (healthCheckNodePort) {
    errors.push(...portNumberProblems(healthCheckNodePort).map((text) => invalid('spec.healthCheckNodePort', healthCheckNodePort, text)));
  }
  if (internalTrafficPolicy !== undefined) errors.push(...oneOf(internalTrafficPolicy, ['Cluster', 'Local'], 'spec.internalTrafficPolicy'));
  else if (needsClusterIp(spec)) errors.push(required('spec.internalTrafficPolicy'));
  if (trafficDistribution !== undefined) errors.push(...oneOf(trafficDistribution, ['PreferClose', 'PreferSameZone', 'PreferSameNode'], 'spec.trafficDistribution'));
  return errors;
}

function validateLoadBalancer({ type, loadBalancerSourceRanges = [], allocateLoadBalancerNodePorts, loadBalancerClass }: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const only = "may only be used when `type` is 'LoadBalancer'";
  if (loadBalancerSourceRanges.length > 0) {
    if (type !== 'LoadBalancer') errors.push(forbidden('spec.LoadBalancerSourceRanges', only));
    loadBalancerSourceRanges.forEach((range, index) => {
      if (parseCidr(range.trim()) === undefined) errors.push(invalid(`spec.LoadBalancerSourceRanges[${index}]`, range, CIDR_TEXT));
    });
  }
  if (allocateLoadBalancerNodePorts !== undefined && type !== 'LoadBalancer') errors.push(forbidden('spec.allocateLoadBalancerNodePorts', only));
  if (loadBalancerClass !== undefined) {
    if (type !== 'LoadBalancer') errors.push(forbidden('spec.loadBalancerClass', only));
    errors.push(...checked('spec.loadBalancerClass', loadBalancerClass, qualifiedNameProblems));
  }
  return errors;
}

export function validateService({ spec }: Service): FieldError[] {
  return [
    ...validateType(spec),
    ...validatePorts(spec),
    ...validateLabels(spec.selector, 'spec.selector'),
    ...validateAffinity(spec),
    ...(spec.externalIPs ?? []).flatMap((address, index) => validateEndpointIp(address, `spec.externalIPs[${index}]`)),
    ...oneOf(spec.type, ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'], 'spec.type'),
    ...validateLoadBalancer(spec),
    ...validateFamilies(spec),
    ...validateClusterIps(spec),
    ...validateTraffic(spec),
  ];
}

export function validateServiceUpdate({ spec: next }: Service, { spec: previous }: Service): FieldError[] {
  const errors: FieldError[] = [];
  const [own, old] = [next.clusterIPs ?? [], previous.clusterIPs ?? []];
  if (needsClusterIp(previous) && needsClusterIp(next) && old[0] !== undefined) {
    if (own[0] === undefined) errors.push(invalid('spec.clusterIPs[0]', own, 'primary clusterIP can not be unset'));
    else if (own[0] !== old[0]) errors.push(invalid('spec.clusterIPs[0]', own, 'may not change once set'));
    const [family, oldFamily] = [next.ipFamilies?.[0], previous.ipFamilies?.[0]];
    if (oldFamily !== undefined && family === undefined) errors.push(invalid('spec.ipFamilies[0]', next.ipFamilies ?? null, 'primary ipFamily can not be unset'));
    else if (oldFamily !== undefined && family !== oldFamily) errors.push(invalid('spec.ipFamilies[0]', next.ipFamilies, 'may not change once set'));
  }
  if (previous.type === 'LoadBalancer' && next.type === 'LoadBalancer' && previous.loadBalancerClass !== next.loadBalancerClass) {
    errors.push(invalid('spec.loadBalancerClass', next.loadBalancerClass ?? null, 'may not change once set'));
  }
  if (needsHealthCheckPort(previous) && needsHealthCheckPort(next) && previous.healthCheckNodePort && previous.healthCheckNodePort !== next.healthCheckNodePort) {
    errors.push(forbidden('spec.healthCheckNodePort', FIELD_IS_IMMUTABLE));
  }
  return errors;
}

export function validateLoadBalancerStatus(status: ServiceStatus | undefined, { type }: ServiceSpec): FieldError[] {
  const ingress = status?.loadBalancer?.ingress ?? [];
  const path = 'status.loadBalancer.ingress';
  if (type !== 'LoadBalancer' && ingress.length > 0) return [forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")];
  return ingress.flatMap(({ ip, hostname, ipMode }, index) => {
    const at = `${path}[${index}]`;
    const errors: FieldError[] = [];
    if (ip && !isIpAddress(ip)) errors.push(invalid(`${at}.ip`, ip, IP_TEXT));
    if (ip && ipMode === undefined) errors.push(required(`${at}.ipMode`, 'must be specified when `ip` is set'));
    if (!ip && ipMode !== undefined) errors.push(forbidden(`${at}.ipMode`, 'may not be specified when `ip` is not set'));
    if (ipMode !== undefined) errors.push(...oneOf(ipMode, ['Proxy', 'VIP'], `${at}.ipMode`));
    if (hostname) {
      errors.push(...checked(`${at}.hostname`, hostname, dnsSubdomainProblems));
      if (isIpAddress(hostname)) errors.push(invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'));
    }
    return errors;
  });
}
