// NetworkPolicy of networking.k8s.io/v1: who may talk to the pods of a selector, and to whom they may.
import { labelSelectorText } from '#lib/machinery/selectors.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { NetworkPolicy } from '../types/networking-v1.ts';

function applyDefaults(policy: NetworkPolicy): void {
  // A body may leave out what the type requires.
  const spec = (policy.spec ??= {});
  spec.podSelector ??= {};
  for (const { ports } of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) for (const port of ports ?? []) port.protocol ??= 'TCP';
  if ((spec.policyTypes ?? []).length === 0) spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

export const networkPolicyKind = defineKind<NetworkPolicy>({
  group: 'networking.k8s.io', version: 'v1', kind: 'NetworkPolicy', plural: 'networkpolicies', singular: 'networkpolicy', scope: 'Namespaced',
  schema: 'io.k8s.api.networking.v1.NetworkPolicy',
  shortNames: ['netpol'],
  storageVersionHash: 'YpfwF18m1G8=',
  applyDefaults,
  generation: 'spec-change',
  columns: [nameColumn(), textColumn('Pod-Selector', ({ spec }) => labelSelectorText(spec.podSelector)), ageColumn()],
});
