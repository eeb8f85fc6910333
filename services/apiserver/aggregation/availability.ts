// Whether the server behind an APIService can be asked at all: what its Service and EndpointSlices tell. Pure.
// Source: kube-aggregator pkg/controllers/status/remote/remote_available_controller.go, apiserver pkg/util/proxy.
import type { APIService, APIServiceCondition } from '#lib/kinds/types/apiregistration-v1.ts';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';

export type Finding = Pick<APIServiceCondition, 'status' | 'reason' | 'message'>;

export const LOCAL: Finding = { status: 'True', reason: 'Local', message: 'Local APIServices are always available' };
export const PASSED: Finding = { status: 'True', reason: 'Passed', message: 'all checks passed' };
const unavailable = (reason: string, message: string): Finding => ({ status: 'False', reason, message });
export const failedDiscovery = (message: string): Finding => unavailable('FailedDiscoveryCheck', message);

export const DEFAULT_PORT = 443;

export function availableCondition({ status }: Readonly<APIService>): APIServiceCondition | undefined {
  return status?.conditions?.find(({ type }) => type === 'Available');
}
export const isAvailable = (service: Readonly<APIService>): boolean => availableCondition(service)?.status === 'True';

function hasEndpoint(slices: readonly Readonly<EndpointSlice>[], portName: string): boolean {
  return slices.some(({ endpoints, ports }) =>
    (endpoints ?? []).some(({ conditions }) => conditions?.ready !== false) && (ports ?? []).some(({ name, port }) => (name ?? '') === portName && port !== undefined));
}

/** Undefined: nothing speaks against asking it. */
export function obstacle({ spec }: Readonly<APIService>, service: Readonly<Service> | undefined, slices: readonly Readonly<EndpointSlice>[]): Finding | undefined {
  const { name = '', namespace = '', port = DEFAULT_PORT } = spec.service ?? {};
  const subject = `service/${name} in ${JSON.stringify(namespace)}`;
  if (!service) return unavailable('ServiceNotFound', `${subject} is not present`);
  if ((service.spec.type ?? 'ClusterIP') !== 'ClusterIP') return undefined;
  const found = service.spec.ports?.find((one) => one.port === port);
  if (!found) return unavailable('ServicePortError', `${subject} is not listening on port ${port}`);
  if (slices.length === 0) return unavailable('EndpointsNotFound', `cannot find endpointslices for ${subject}`);
  const portName = found.name ?? '';
  return hasEndpoint(slices, portName) ? undefined : unavailable('MissingEndpoints', `endpointslices for ${subject} have no addresses with port name ${JSON.stringify(portName)}`);
}

/** With the finding as its only condition; undefined when that is what it says already. */
export function withFinding(service: Readonly<APIService>, finding: Finding, now: string): APIService | undefined {
  const known = availableCondition(service);
  if (known && known.status === finding.status && known.reason === finding.reason && known.message === finding.message) return undefined;
  const lastTransitionTime = known?.status === finding.status ? known.lastTransitionTime : now;
  const others = (service.status?.conditions ?? []).filter(({ type }) => type !== 'Available');
  return { ...service, metadata: { ...service.metadata }, status: { ...service.status, conditions: [...others, { type: 'Available', ...finding, lastTransitionTime }] } };
}

/** Where the server is reached by its Service's own address; text when it cannot be. */
export function clusterAddress(service: Readonly<Service>, port: number): { readonly host: string; readonly port: number } | string {
  const { type = 'ClusterIP', clusterIP, externalName } = service.spec;
  if (type === 'ExternalName') return { host: externalName ?? '', port };
  if (!clusterIP || clusterIP === 'None') return 'cannot route to service with ClusterIP "None"';
  if (!service.spec.ports?.some((one) => one.port === port)) return `no service port ${port} found for service ${JSON.stringify(service.metadata.name)}`;
  return { host: clusterIP, port };
}
