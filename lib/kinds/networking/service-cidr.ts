// ServiceCIDR of networking.k8s.io/v1: a range from which Services get their addresses.
import { invalid, required } from '#lib/machinery/field-error.ts';
import { CIDR_TEXT, parseCidr } from '#lib/machinery/ip.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, joined, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepStatus } from '../strategy.ts';
import type { ServiceCIDR } from '../types/networking-v1.ts';

export const serviceCidrKind = defineKind<ServiceCIDR>({
  group: 'networking.k8s.io', version: 'v1', kind: 'ServiceCIDR', plural: 'servicecidrs', singular: 'servicecidr', scope: 'Cluster',
  schema: 'io.k8s.api.networking.v1.ServiceCIDR',
  storageVersionHash: 'gNLvruQhW2g=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (range) => { range.spec ??= {}; },
  prepareForCreate: (range) => { range.status = {}; },
  prepareForUpdate: keepStatus,
  validate: ({ spec: { cidrs = [] } }) => {
    if (cidrs.length === 0) return [required('spec.cidrs', 'at least one CIDR required')];
    if (cidrs.length > 2) return [invalid('spec.cidrs', cidrs, 'may only hold up to 2 values')];
    const families = cidrs.map((cidr) => parseCidr(cidr)?.address.length);
    return [
      ...cidrs.flatMap((cidr, index) => (families[index] === undefined ? [invalid(`spec.cidrs[${index}]`, cidr, CIDR_TEXT)] : [])),
      ...(cidrs.length === 2 && families[0] === families[1] ? [invalid('spec.cidrs', cidrs, 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64')] : []),
    ];
  },
  // A second family may be added, nothing else.
  validateUpdate: ({ spec: { cidrs: next = [] } }, { spec: { cidrs: previous = [] } }) => {
    if (previous.length === 1 && next.length === 2) return unchanged(next[0], previous[0], 'spec.cidrs[0]');
    return unchanged(next, previous, 'spec.cidrs');
  },
  columns: [nameColumn(), textColumn('CIDRs', ({ spec }) => joined(spec.cidrs)), ageColumn()],
});
