// Endpoints of v1: the addresses behind a Service, as old clients read them.
import { invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsLabelProblems, dnsSubdomainProblems, portNumberProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, NONE, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { EndpointAddress, EndpointPort, Endpoints } from '../types/core-v1.ts';
import { oneOf } from '../validation.ts';
import { validateEndpointIp } from './endpoint-ip.ts';

function validateAddress({ ip, hostname, nodeName }: EndpointAddress, path: string): FieldError[] {
  return [
    ...validateEndpointIp(ip ?? '', `${path}.ip`),
    ...(hostname ? checked(`${path}.hostname`, hostname, dnsLabelProblems) : []),
    ...(nodeName ? checked(`${path}.nodeName`, nodeName, dnsSubdomainProblems) : []),
  ];
}

function validatePort({ name, port, protocol, appProtocol }: EndpointPort, path: string, needsName: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (needsName && !name) errors.push(required(`${path}.name`));
  else if (name) errors.push(...checked(`${path}.name`, name, dnsLabelProblems));
  errors.push(...portNumberProblems(port ?? 0).map((text) => invalid(`${path}.port`, port ?? 0, text)), ...oneOf(protocol, ['SCTP', 'TCP', 'UDP'], `${path}.protocol`));
  if (appProtocol !== undefined) errors.push(...checked(`${path}.appProtocol`, appProtocol, qualifiedNameProblems));
  return errors;
}

function validate({ subsets = [] }: Endpoints): FieldError[] {
  return subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }, index) => {
    const path = `subsets[${index}]`;
    return [
      ...(addresses.length + notReadyAddresses.length === 0 ? [required(path, 'must specify `addresses` or `notReadyAddresses`')] : []),
      ...addresses.flatMap((address, at) => validateAddress(address, `${path}.addresses[${at}]`)),
      ...notReadyAddresses.flatMap((address, at) => validateAddress(address, `${path}.notReadyAddresses[${at}]`)),
      ...ports.flatMap((port, at) => validatePort(port, `${path}.ports[${at}]`, ports.length > 1)),
    ];
  });
}

function endpointsText({ subsets }: Endpoints): string {
  if (subsets === undefined || subsets.length === 0) return NONE;
  const shown: string[] = [];
  for (const { addresses = [], ports = [] } of subsets) {
    const hosts = addresses.map(({ ip = '' }) => ip);
    if (ports.length === 0) shown.push(...hosts);
    for (const { port } of ports) shown.push(...hosts.map((ip) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)));
  }
  return shown.length > 3 ? `${shown.slice(0, 3).join(',')} + ${shown.length - 3} more...` : shown.join(',');
}

export const endpointsKind = defineKind<Endpoints>({
  group: '', version: 'v1', kind: 'Endpoints', plural: 'endpoints', singular: 'endpoints', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Endpoints',
  shortNames: ['ep'],
  storageVersionHash: 'fWeeMqaN/OA=',
  storagePrefix: 'services/endpoints',
  applyDefaults: ({ subsets }) => {
    for (const { ports } of subsets ?? []) for (const port of ports ?? []) port.protocol ||= 'TCP';
  },
  validate,
  deprecation: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
  allowCreateOnUpdate: true,
  columns: [nameColumn(), textColumn('Endpoints', endpointsText), ageColumn()],
});
