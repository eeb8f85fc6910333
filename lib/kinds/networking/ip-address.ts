// IPAddress of networking.k8s.io/v1: an address in use, and by whom.
import { required } from '#lib/machinery/field-error.ts';
import { IP_TEXT, isIpAddress } from '#lib/machinery/ip.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { nameColumn, NONE, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { IPAddress } from '../types/networking-v1.ts';

function parentText({ spec }: IPAddress): string {
  const { parentRef } = spec as Partial<IPAddress['spec']>;
  if (parentRef === undefined) return NONE;
  const { group, resource = '', namespace, name = '' } = parentRef;
  return `${`${resource}${group ? `.${group}` : ''}`.toLowerCase()}${namespace ? `/${namespace}` : ''}/${name}`;
}

export const ipAddressKind = defineKind<IPAddress>({
  group: 'networking.k8s.io', version: 'v1', kind: 'IPAddress', plural: 'ipaddresses', singular: 'ipaddress', scope: 'Cluster',
  schema: 'io.k8s.api.networking.v1.IPAddress',
  shortNames: ['ip'],
  storageVersionHash: '3f/plJFChNE=',
  // A body may leave out what the type requires.
  applyDefaults: (address) => { address.spec ??= {} as IPAddress['spec']; },
  validateName: (name) => (isIpAddress(name) ? [] : [IP_TEXT]),
  validate: ({ spec }) => {
    const { parentRef } = spec as Partial<IPAddress['spec']>;
    if (parentRef === undefined) return [required('spec.parentRef')];
    const { group, resource, name, namespace } = parentRef;
    return [
      ...(group ? checked('spec.parentRef.group', group, dnsSubdomainProblems) : []),
      ...(resource ? checked('spec.parentRef.resource', resource, pathSegmentProblems) : [required('spec.parentRef.resource')]),
      ...(name ? checked('spec.parentRef.name', name, pathSegmentProblems) : [required('spec.parentRef.name')]),
      ...(namespace ? checked('spec.parentRef.namespace', namespace, pathSegmentProblems) : []),
    ];
  },
  validateUpdate: (next, previous) => unchanged(next.spec.parentRef, previous.spec.parentRef, 'spec.parentRef'),
  columns: [nameColumn(), textColumn('ParentRef', parentText)],
});
