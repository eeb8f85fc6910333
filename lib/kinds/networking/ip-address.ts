// IPAddress of networking.k8s.io/v1: an address in use, and by whom.
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
  columns: [nameColumn(), textColumn('ParentRef', parentText)],
});
