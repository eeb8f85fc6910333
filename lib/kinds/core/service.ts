// Service of v1: one address for many pods. The API server allocates addresses, families and node ports, and keeps or
// drops them on updates (services/apiserver/core/services).
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { ageColumn, labelsText, nameColumn, NONE, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { Service } from '../types/core-v1.ts';
import { isExternallyAccessible, needsClusterIp } from './service-needs.ts';
import { validateLoadBalancerStatus, validateService, validateServiceUpdate } from './service-validation.ts';

/** How long a client keeps its pod; seconds. */
const CLIENT_IP_TIMEOUT_SECONDS = 10_800;

function applyDefaults(service: Service): void {
  // A body may leave out what the type requires.
  const spec = (service.spec ??= {});
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= CLIENT_IP_TIMEOUT_SECONDS;
  }
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    // 0 and '' both mean: as the port.
    port.targetPort ||= port.port;
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (needsClusterIp(spec)) spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of service.status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
}

function externalIpText({ spec, status }: Service): string {
  const external = spec.externalIPs ?? [];
  switch (spec.type) {
    case 'ClusterIP': case 'NodePort': return orNone(external.join(','));
    case 'LoadBalancer': {
      const ingress = [...new Set((status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || (hostname ?? '')).filter((one) => one !== ''))].sort();
      return [...ingress, ...external].join(',') || '<pending>';
    }
    case 'ExternalName': return spec.externalName ?? '';
    default: return '<unknown>';
  }
}

function portsText({ spec }: Service): string {
  return orNone((spec.ports ?? []).map(({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`).join(','));
}

export const serviceKind = defineKind<Service>({
  group: '', version: 'v1', kind: 'Service', plural: 'services', singular: 'service', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Service',
  shortNames: ['svc'],
  categories: ['all'],
  storageVersionHash: '0/CO1lhkEBI=',
  storagePrefix: 'services/specs',
  subresources: {
    proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: 'ServiceProxyOptions' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (service) => { service.status = { loadBalancer: {} }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validateName: dnsLabelProblems,
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  validateStatusUpdate: ({ spec, status }) => validateLoadBalancerStatus(status, spec),
  selectableFields: { 'spec.clusterIP': ({ spec }) => spec.clusterIP ?? '', 'spec.type': ({ spec }) => spec.type ?? '' },
  allowCreateOnUpdate: true,
  columns: [
    nameColumn(),
    textColumn('Type', ({ spec }) => spec.type ?? ''),
    textColumn('Cluster-IP', ({ spec }) => orNone(spec.clusterIPs?.[0] ?? (spec.clusterIP || NONE))),
    textColumn('External-IP', externalIpText),
    textColumn('Port(s)', portsText),
    ageColumn(),
    textColumn('Selector', ({ spec }) => labelsText(spec.selector), 1),
  ],
});
