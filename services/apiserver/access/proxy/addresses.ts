// Which address a node, a pod or a service is reached at. Pure.
// Source: pkg/kubelet/client/kubelet_client.go; pkg/registry/core/{node,pod,service} ResourceLocation.
import type { Node, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { badRequest, failure, serviceUnavailable } from '#lib/machinery/status-error.ts';

export const KUBELET_PORT = 10250;

/** By --kubelet-preferred-address-types. */
export function kubeletAddress(node: Node, preferredTypes: readonly string[]): { readonly host: string; readonly port: number } {
  const addresses = node.status?.addresses ?? [];
  for (const type of preferredTypes) {
    const found = addresses.find((one) => one.type === type);
    if (found) return { host: found.address, port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port || KUBELET_PORT };
  }
  throw failure(500, undefined, `no preferred addresses found; known addresses: [${addresses.map(({ type, address }) => `{${type} ${address}}`).join(' ')}]`);
}

export interface SchemeNamePort {
  readonly scheme: '' | 'http' | 'https';
  readonly name: string;
  readonly port: string;
}

/** `NAME`, `NAME:PORT`, `SCHEME:NAME:PORT`; undefined when it is none of these. Source: apimachinery util/net. */
export function splitSchemeNamePort(id: string): SchemeNamePort | undefined {
  const parts = id.split(':');
  const [first = '', second = '', third = ''] = parts;
  if (parts.length === 1 && first !== '') return { scheme: '', name: first, port: '' };
  if (parts.length === 2 && first !== '') return { scheme: '', name: first, port: second };
  if (parts.length !== 3 || second === '' || !['', 'http', 'https'].includes(first)) return undefined;
  return { scheme: first as SchemeNamePort['scheme'], name: second, port: third };
}

/** Neither loopback nor link-local nor multicast: a pod must not lead the API server to itself. IPv4 and IPv6. */
export function isProxiable(address: string): boolean {
  if (address.includes(':')) return !/^(::1?|fe[89ab].*|ff.*)$/i.test(address);
  return /^\d+(\.\d+){3}$/.test(address) && !/^(0\.0\.0\.0|127\.|169\.254\.|22[4-9]\.|23\d\.|255\.255\.255\.255)/.test(address);
}

export function podAddress(pod: Pod, port: string): { readonly host: string; readonly port: string } {
  const host = pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '';
  if (!isProxiable(host)) throw badRequest('address not allowed');
  const first = pod.spec?.containers.find(({ ports }) => (ports ?? []).length > 0)?.ports?.[0]?.containerPort;
  return { host, port: port !== '' ? port : String(first ?? '') };
}

/** One ready endpoint of a port of the service; `fraction` in [0, 1) picks among them. */
export function serviceEndpoint(service: Service, slices: readonly Readonly<EndpointSlice>[], asked: string, fraction: number): { readonly host: string; readonly port: number } {
  const name = service.metadata.name;
  let portName = asked;
  if (/^\d+$/.test(asked)) {
    const port = service.spec.ports?.find((one) => one.port === Number(asked));
    if (!port) throw serviceUnavailable(`no service port ${asked} found for service ${JSON.stringify(name)}`);
    portName = port.name ?? '';
  }
  const candidates = slices.flatMap((slice) => {
    const port = (slice.ports ?? []).find((one) => (one.name ?? '') === portName)?.port;
    if (port === undefined) return [];
    return (slice.endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false).flatMap(({ addresses }) => addresses.slice(0, 1).map((host) => ({ host, port })));
  }).filter(({ host }) => isProxiable(host));
  const chosen = candidates[Math.floor(fraction * candidates.length)];
  if (!chosen) throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  return chosen;
}
