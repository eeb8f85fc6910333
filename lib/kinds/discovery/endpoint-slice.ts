// EndpointSlice of discovery.k8s.io/v1: some of the addresses behind a Service.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { duplicate, invalid, required, tooMany, type FieldError } from '#lib/machinery/field-error.ts';
import { isIpv4, isIpv6 } from '#lib/machinery/ip.ts';
import { dnsLabelProblems, dnsSubdomainProblems, labelValueProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, firstThree, nameColumn, textColumn } from '../columns.ts';
import { validateEndpointIp } from '../core/endpoint-ip.ts';
import { defineKind } from '../define-kind.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../types/discovery-v1.ts';
import { oneOf } from '../validation.ts';

const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;
const MAX_PORTS = 20_000;
const MAX_ZONES = 8;

function validateAddress(address: string, addressType: string, path: string): FieldError[] {
  if (addressType === 'IPv4') return isIpv4(address) ? validateEndpointIp(address, path) : [invalid(path, address, 'must be an IPv4 address')];
  if (addressType === 'IPv6') return isIpv6(address) ? validateEndpointIp(address, path) : [invalid(path, address, 'must be an IPv6 address')];
  return addressType === 'FQDN' ? checked(path, address, dnsSubdomainProblems) : [];
}

function validateHints(names: readonly string[], path: string, check: (name: string) => string[]): FieldError[] {
  if (names.length > MAX_ZONES) return [tooMany(path, names.length, MAX_ZONES)];
  const seen = new Set<string>();
  return names.flatMap((name, index) => {
    const errors = seen.has(name) ? [duplicate(`${path}[${index}].name`, name)] : [];
    seen.add(name);
    return [...errors, ...checked(`${path}[${index}].name`, name, check)];
  });
}

function validateEndpoint({ addresses = [], nodeName, hostname, hints }: Endpoint, addressType: string, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (addresses.length === 0) errors.push(required(`${path}.addresses`, 'must contain at least 1 address'));
  else if (addresses.length > MAX_ADDRESSES) errors.push(tooMany(`${path}.addresses`, addresses.length, MAX_ADDRESSES));
  addresses.forEach((address, index) => errors.push(...validateAddress(address, addressType, `${path}.addresses[${index}]`)));
  if (nodeName !== undefined) errors.push(...checked(`${path}.nodeName`, nodeName, dnsSubdomainProblems));
  if (hostname !== undefined) errors.push(...checked(`${path}.hostname`, hostname, dnsLabelProblems));
  if (hints?.forZones !== undefined) errors.push(...validateHints(hints.forZones.map(({ name = '' }) => name), `${path}.hints.forZones`, labelValueProblems));
  if (hints?.forNodes !== undefined) errors.push(...validateHints(hints.forNodes.map(({ name = '' }) => name), `${path}.hints.forNodes`, dnsSubdomainProblems));
  return errors;
}

function validatePorts(ports: readonly EndpointPort[]): FieldError[] {
  if (ports.length > MAX_PORTS) return [tooMany('ports', ports.length, MAX_PORTS)];
  const names = new Set<string>();
  return ports.flatMap(({ name = '', protocol, appProtocol }, index) => {
    const path = `ports[${index}]`;
    const errors = name === '' ? [] : checked(`${path}.name`, name, dnsLabelProblems);
    if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
    names.add(name);
    errors.push(...oneOf(protocol, ['SCTP', 'TCP', 'UDP'], `${path}.protocol`));
    if (appProtocol !== undefined) errors.push(...checked(`${path}.appProtocol`, appProtocol, qualifiedNameProblems));
    return errors;
  });
}

function validate({ addressType, endpoints = [], ports = [] }: EndpointSlice): FieldError[] {
  return [
    ...oneOf(addressType, ['IPv4', 'IPv6', 'FQDN'], 'addressType'),
    ...(endpoints.length > MAX_ENDPOINTS
      ? [tooMany('endpoints', endpoints.length, MAX_ENDPOINTS)]
      : endpoints.flatMap((endpoint, index) => validateEndpoint(endpoint, addressType, `endpoints[${index}]`))),
    ...validatePorts(ports),
  ];
}

export const endpointSliceKind = defineKind<EndpointSlice>({
  group: 'discovery.k8s.io', version: 'v1', kind: 'EndpointSlice', plural: 'endpointslices', singular: 'endpointslice', scope: 'Namespaced',
  schema: 'io.k8s.api.discovery.v1.EndpointSlice',
  storageVersionHash: 'qgS0xkrxYAI=',
  applyDefaults: ({ ports }) => {
    for (const port of ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  validate,
  validateUpdate: (next, previous) => unchanged(next.addressType, previous.addressType, 'addressType'),
  generation: 'spec-change',
  raisesGeneration: (next, previous) => !semanticEqual(next.metadata.labels, previous.metadata.labels),
  columns: [
    nameColumn(),
    textColumn('AddressType', ({ addressType }) => addressType ?? ''),
    textColumn('Ports', ({ ports }) => firstThree((ports ?? []).map(({ port, name }) => (port === undefined ? name || '*' : String(port))), '<unset>')),
    textColumn('Endpoints', ({ endpoints }) => firstThree((endpoints ?? []).flatMap(({ addresses }) => addresses ?? []), '<unset>')),
    ageColumn(),
  ],
});
